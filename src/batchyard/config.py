"""Reads the settings from command line, environment and file.

The command line beats the environment, the environment beats the file. Whatever is wrong is one ``ConfigError`` of
one line.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from batchyard.declared import (
    ConfigError,
    did_you_mean,
    parse,
    secret,
    secret_file,
    toml_text,
)
from batchyard.hook_tables import read_hooks
from batchyard.kinds import HTTP_URL, is_loopback
from batchyard.price_tables import read_prices
from batchyard.settings import DECLARED, FILE_NAME, Settings
from batchyard.upstream_tables import RouteTable, UpstreamTable, read_routes, read_upstreams
from batchyard.watch_tables import read_watch
from batchyard.workspace_tables import read_workspaces

BOOTSTRAP_KEY = "BATCHYARD_BOOTSTRAP_KEY"
BOOTSTRAP_KEY_FILE = f"{BOOTSTRAP_KEY}_FILE"
VAULT_SECRET = "BATCHYARD_VAULT_SECRET"  # noqa: S105 # nosec B105
SECRETS = tuple(f"{name}{end}" for name in (BOOTSTRAP_KEY, VAULT_SECRET) for end in ("", "_FILE"))
"""Variables that hold a secret, or name a file that does. They have no option: others could read it."""
SHARED = {"role": "all", "objects": None}
"""Settings of several processes on one database, and what each is without one: a data folder is one process's."""

TABLES = ("upstreams", "routes", "limits", "workspaces", "prices", "webhooks", "watch")
"""Keys of the file that are tables, with no option and no variable."""

_KUBERNETES = re.compile(r"BATCHYARD_(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP)(_\w+)?)\Z")


def check_http_url(label: str, text: str) -> str:
    """Return the URL without a slash at its end; ``label`` is the option or variable that an error names."""
    return str(parse(HTTP_URL, f"{label} ", text))


def is_local_url(url: str) -> bool:
    """Whether the URL names this machine."""
    return is_loopback(urlsplit(url).hostname or "")


@dataclass(frozen=True, slots=True)
class _Given:
    """A value as somebody wrote it; ``label`` is what stood before it."""

    label: str
    text: str


def read(options: Mapping[str, str], environ: Mapping[str, str], folder: Path) -> Settings:
    """Return the settings that options (name to text), environment and file make together.

    Where nobody names a file, it is ``batchyard.toml`` in the folder, if there. A wrong value is refused even where
    a stronger source overrules it.
    """
    spoken = {name: _Given(f"{DECLARED[name].option} ", text) for name, text in options.items()}
    layers = [_from_environment(environ), spoken]
    named = spoken.get("config") or layers[0].get("config")
    file = _value("config", named) if named else folder / FILE_NAME
    has_file = named is not None or file.exists()
    tree = _tree(file) if has_file else {}
    tables = {name: tree.pop(name) for name in TABLES if name in tree}
    if has_file:
        layers.insert(0, _from_file(file, tree))
    values: dict[str, Any] = {}
    given: dict[str, _Given] = {}
    for layer in layers:
        values |= {name: _value(name, one) for name, one in layer.items()}
        given |= layer
    values["config"] = file if has_file else None
    for name, alone in SHARED.items():
        if values.get(name, alone) != alone and "database" not in given:
            shown = DECLARED[name].kind.show(given[name].text)
            raise ConfigError(f"{given[name].label}{shown}: needs a database; a data folder is one process's")
    upstreams, routes = _upstreams(file, tables, given, environ)
    limits, workspaces = read_workspaces(file, tables.get("limits", {}), tables.get("workspaces", {}))
    return Settings(
        **values,
        upstream_key=_upstream_key(given, environ),
        bootstrap_key=_secret(BOOTSTRAP_KEY, environ),
        vault_secret=_secret(VAULT_SECRET, environ),
        upstreams=upstreams,
        routes=routes,
        limits=limits,
        workspaces=workspaces,
        prices=read_prices(file, tables.get("prices")),
        webhooks=read_hooks(file, tables.get("webhooks", {}), environ),
        watch=read_watch(file, tables.get("watch", {})),
    )


def _upstreams(
    file: Path, tables: Mapping[str, object], given: Mapping[str, _Given], environ: Mapping[str, str]
) -> tuple[tuple[UpstreamTable, ...], tuple[RouteTable, ...]]:
    """Return what the file's tables say. An upstream named elsewhere takes their place: it is the one to try."""
    if "upstreams" not in tables:
        if "routes" in tables:
            raise ConfigError(f"{file}: routes need [upstreams.NAME] to lead to")
        return (), ()
    upstreams = read_upstreams(file, tables["upstreams"], environ)
    routes = read_routes(file, tables.get("routes"), upstreams)
    for name in ("upstream", "upstream_api", "upstream_key_env"):
        if name in given and given[name].label.startswith(f"{file}: "):
            raise ConfigError(f"{file}: {name} stands beside [upstreams.NAME]: name it there")
    return ((), ()) if "upstream" in given else (upstreams, routes)


def _value(name: str, given: _Given) -> Any:
    return parse(DECLARED[name].kind, given.label, given.text)


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    known = {declared.variable: name for name, declared in DECLARED.items()}
    given = {}
    for variable, text in environ.items():
        # Kubernetes sets these for a service named "batchyard", BATCHYARD_PORT=tcp://10.0.0.1:8787 among them.
        foreign = _KUBERNETES.match(variable) or (variable == "BATCHYARD_PORT" and text.startswith("tcp://"))
        if foreign or not variable.startswith("BATCHYARD_") or variable in SECRETS:
            continue
        if variable not in known:
            raise ConfigError(f"unknown environment variable {variable}{did_you_mean(variable, [*known, *SECRETS])}")
        given[known[variable]] = _Given(f"{variable}=", text)
    return given


def _tree(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except OSError as problem:
        raise ConfigError(f"{file}: cannot be read: {problem.strerror}") from None
    except ValueError as problem:  # not TOML, or not UTF-8
        raise ConfigError(f"{file}: not a TOML file: {str(problem).splitlines()[0]}") from None


def _from_file(file: Path, tree: Mapping[str, object]) -> dict[str, _Given]:
    known = [name for name in DECLARED if name != "config"]
    for key in tree:
        if key not in known:
            raise ConfigError(f"{file}: unknown key {key!r}{did_you_mean(key, [*known, *TABLES])}")
    given = {key: f"{file}: {key} = " for key in tree}
    return {key: _Given(given[key], toml_text(DECLARED[key].kind, given[key], value)) for key, value in tree.items()}


def _upstream_key(given: Mapping[str, _Given], environ: Mapping[str, str]) -> str | None:
    named = given.get("upstream_key_env")
    if named is None:
        return None
    if "upstream" not in given:
        raise ConfigError(f"{named.label}{named.text!r}: needs an upstream to send the key to")
    return secret(environ.get(named.text, ""), f"{named.label}{named.text!r}: the environment variable")


def _secret(variable: str, environ: Mapping[str, str]) -> str | None:
    """Return what the variable holds, or the file that its twin names."""
    held, name = environ.get(variable), environ.get(f"{variable}_FILE")
    if held is not None and name is not None:
        raise ConfigError(f"{variable} and {variable}_FILE are both set: unset one")
    if name is not None:
        return secret_file(Path(name), f"{variable}_FILE={name!r}")
    return None if held is None else secret(held, variable)
