"""The tables of the file that name several model servers, and the routes from model names to them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from batchyard.declared import (
    ConfigError,
    Declared,
    absent,
    did_you_mean,
    parse,
    secret,
    secret_file,
    setting,
    toml_text,
)
from batchyard.kinds import FILE, SWITCH, TEXT, TIMEZONE, UPSTREAM_URL, VARIABLE, WINDOWS, duration, one_of, whole

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
SIMULATOR = "simulator"
BATCHES = "batches"


@dataclass(frozen=True, slots=True)
class UpstreamTable:
    """One model server. What is secret has no repr."""

    name: str
    url: str | None = absent(UPSTREAM_URL, "none: only the simulator needs none", "Where the model server is.")
    api: str = setting(
        one_of("messages", "chat-completions", BATCHES, SIMULATOR),
        "messages",
        "Its dialect, or the built-in simulator.",
    )
    key_env: str | None = absent(VARIABLE, "no key", "Environment variable with its key.")
    key_file: Path | None = absent(FILE, "no key", "File with its key.")
    key_stored: bool = setting(SWITCH, "false", "Its key is in the data folder: `batchyard upstreams set-key`.")
    concurrency: int | None = absent(whole(1, 100_000), "the general setting", "Most requests in flight there.")
    params: str = setting(one_of("pass", "strict"), "pass", "Who judges params: the server, or we before it is asked.")
    stream: bool = setting(SWITCH, "false", "Ask for each answer as a stream, so that silence is seen.")
    model: str | None = absent(TEXT, "as the client says", "Ask it for this model, whatever the client says.")
    server: str = setting(
        one_of("auto", "anthropic", "vllm", "sglang", "llama.cpp", "ollama", "lm-studio", "plain"),
        "auto",
        "What kind of server it is: what it is sent, and how its answers are read.",
    )
    forward_version: bool | None = absent(SWITCH, "by the server", "Send the API version that the client sent.")
    forward_betas: bool | None = absent(SWITCH, "by the server", "Send the betas that the client sent.")
    timeout: timedelta = setting(duration("1s", "1d"), "600s", "Time that one call may take.")
    first_byte: timedelta | None = absent(duration("100ms", "1d"), "no limit", "Time until an answer begins.")
    silence: timedelta | None = absent(duration("100ms", "1d"), "no limit", "Time between two parts of an answer.")
    max_answer_bytes: int = setting(whole(1024, 2**32), "67108864", "Most bytes of one answer.")
    line: int | None = absent(
        whole(0, 100_000),
        "2 for vllm, sglang and llama.cpp",
        "Calls that may wait inside it, by its /metrics: batches leave the rest of it to others.",
    )
    first_token: timedelta | None = absent(
        duration("10ms", "1h"),
        "any time",
        "Time to an answer's first token that batches keep within there: where it is longer, fewer requests run.",
    )
    windows: tuple[str, ...] = setting(WINDOWS, "", "Hours in which batches may use it; calls may at any.")
    timezone: str = setting(TIMEZONE, "UTC", "Where the clock of these hours is.")
    carrier_requests: int = setting(whole(1, 100_000), "10000", "Most requests in one batch there.")
    carrier_bytes: int = setting(whole(65_536, 268_435_456), "67108864", "Most bytes in one batch there.")
    gather: timedelta = setting(duration("0s", "1h"), "5s", "Time that requests wait for others to travel with.")
    poll: timedelta = setting(duration("100ms", "1h"), "60s", "Longest time between two questions about a batch there.")
    idempotency_keys: bool = setting(SWITCH, "false", "Its creates know an Idempotency-Key, as Batchyard's do.")
    delete_collected: bool = setting(SWITCH, "false", "Delete a batch there once its results are stored here.")
    models: Mapping[str, str] = field(default_factory=dict)
    key: str | None = field(default=None, repr=False)


DECLARED_UPSTREAM = {f.name: Declared(f.name, *f.metadata["declared"]) for f in fields(UpstreamTable) if f.metadata}
"""Every key of an upstream's table by name, in the order of the docs; ``models`` is a table of its own."""
FOR_BATCHES = frozenset({"carrier_requests", "carrier_bytes", "gather", "poll", "idempotency_keys", "delete_collected"})
"""Keys that mean nothing to a server that takes one request at a time."""


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Models by pattern, and the upstreams (name, weight) that take them; ``fallback`` while all of those are held."""

    models: tuple[str, ...]
    to: tuple[tuple[str, float], ...]
    fallback: tuple[tuple[str, float], ...] = ()


def read_upstreams(file: Path, tables: object, environ: Mapping[str, str]) -> tuple[UpstreamTable, ...]:
    """Return what ``[upstreams.NAME]`` says."""
    if not isinstance(tables, dict) or not tables or not all(isinstance(one, dict) for one in tables.values()):
        raise ConfigError(f"{file}: upstreams must be tables: [upstreams.NAME]")
    return tuple(_upstream(file, name, table, environ) for name, table in tables.items())


def _upstream(file: Path, name: str, table: dict[str, object], environ: Mapping[str, str]) -> UpstreamTable:
    where = f"{file}: upstreams.{name}"
    if not _NAME.match(name):
        raise ConfigError(f"{where}: a name is up to 64 letters, digits, dots, underscores and hyphens")
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key == "models":
            values[key] = _names(where, value)
            continue
        if key not in DECLARED_UPSTREAM:
            raise ConfigError(f"{where}: unknown key {key!r}{did_you_mean(key, [*DECLARED_UPSTREAM, 'models'])}")
        kind, label = DECLARED_UPSTREAM[key].kind, f"{where}: {key} = "
        values[key] = parse(kind, label, toml_text(kind, label, value))
    upstream = UpstreamTable(name, **values, key=_key(where, values, environ))
    if (upstream.api == SIMULATOR) != (upstream.url is None):
        needs = "takes no url" if upstream.url else 'needs a url (or api = "simulator")'
        raise ConfigError(f"{where} {needs}")
    if upstream.api != BATCHES and (idle := FOR_BATCHES & table.keys()):
        raise ConfigError(f'{where}: {min(idle)} is for a server that takes batches: api = "{BATCHES}"')
    if upstream.api in (BATCHES, SIMULATOR) and upstream.line is not None:
        raise ConfigError(f"{where}: line is for a server that tells of its line at /metrics")
    if upstream.api == BATCHES and upstream.first_token is not None:
        raise ConfigError(f"{where}: first_token is for a server that takes one request at a time")
    if upstream.model is not None and upstream.models:
        raise ConfigError(f"{where} has both model and models: model is for every name, models for some; keep one")
    return upstream


def _names(where: str, value: object) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) and one for one in value.values()):
        raise ConfigError(f'{where}: models must be a table of patterns and names: {{ "claude-*" = "qwen3" }}')
    return dict(value)


def _key(where: str, values: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    variable, file = values.get("key_env"), values.get("key_file")
    named = [name for name in ("key_env", "key_file", "key_stored") if values.get(name)]
    if len(named) > 1:
        raise ConfigError(f"{where} has both {named[0]} and {named[1]}: keep one")
    if variable is not None:
        return secret(environ.get(variable, ""), f"{where}: key_env = {variable!r}: the environment variable")
    return None if file is None else secret_file(file, f"{where}: key_file = {str(file)!r}")


def read_routes(file: Path, tables: object, upstreams: Sequence[UpstreamTable]) -> tuple[RouteTable, ...]:
    """Return what ``[[routes]]`` say; where there is one upstream, every model may go there unsaid."""
    names = [upstream.name for upstream in upstreams]
    if tables is None:
        if len(names) > 1:
            raise ConfigError(f'{file}: several upstreams need [[routes]], such as models = ["*"], to = ["{names[0]}"]')
        return (RouteTable(("*",), ((names[0], 1.0),)),)
    if not isinstance(tables, list) or not tables or not all(isinstance(one, dict) for one in tables):
        raise ConfigError(f"{file}: routes must be tables: [[routes]]")
    routes = tuple(_route(f"{file}: route {number}", table, names) for number, table in enumerate(tables, 1))
    batched = {upstream.name for upstream in upstreams if upstream.api == BATCHES}
    for number, route in enumerate(routes, 1):
        led_to = [name for name, _ in (*route.to, *route.fallback)]
        if len(led_to) > 1 and (alone := batched.intersection(led_to)):
            raise ConfigError(
                f"{file}: route {number}: {min(alone)} takes batches: it must be the only one of its route"
            )
    return routes


def _route(where: str, table: dict[str, object], names: Sequence[str]) -> RouteTable:
    for key in table:
        if key not in {"models", "to", "fallback"}:
            raise ConfigError(f"{where}: unknown key {key!r}{did_you_mean(key, ['models', 'to', 'fallback'])}")
    models = table.get("models")
    if not isinstance(models, list) or not models or not all(isinstance(one, str) and one for one in models):
        raise ConfigError(f'{where}: models must be a list of patterns, such as ["claude-*"]')
    to = _targets(f"{where}: to", table.get("to"), names)
    fallback = _targets(f"{where}: fallback", table["fallback"], names) if "fallback" in table else ()
    if doubled := {name for name, _ in to} & {name for name, _ in fallback}:
        raise ConfigError(f"{where}: {min(doubled)} is in both to and fallback")
    return RouteTable(tuple(models), to, fallback)


def _targets(where: str, value: object, names: Sequence[str]) -> tuple[tuple[str, float], ...]:
    listed = value if isinstance(value, list) else [value]
    targets = [_target(where, one, names) for one in listed]
    if not targets or len({name for name, _ in targets}) != len(targets):
        raise ConfigError(f"{where} must name at least one upstream, and none twice")
    return tuple(targets)


def _target(where: str, value: object, names: Sequence[str]) -> tuple[str, float]:
    weight: object = 1.0
    if isinstance(value, dict) and set(value) <= {"upstream", "weight"}:
        weight = value.get("weight", 1.0)
        value = value.get("upstream")
    if not isinstance(value, str):
        raise ConfigError(f'{where} must name upstreams: "NAME" or {{ upstream = "NAME", weight = 2 }}')
    if value not in names:
        raise ConfigError(f"{where}: there is no upstream {value!r}{did_you_mean(value, names)}")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= 1_000_000:
        raise ConfigError(f"{where}: the weight of {value} must be a number above 0")
    return value, float(weight)
