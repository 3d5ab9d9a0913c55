"""The tables of the file that name webhooks: ``[webhooks.NAME]``."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
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
from batchyard.kinds import FILE, HOOK_EVENTS, HOOK_URL, NAMES, SWITCH, VARIABLE

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class HookTable:
    """One receiver. What is secret has no repr."""

    name: str
    url: str = absent(HOOK_URL, "it is needed", "Where notices are posted.")
    events: tuple[str, ...] = setting(
        HOOK_EVENTS, "batch.ended,batch.canceled,batch.expiring,lane.held", "What it is told."
    )
    workspaces: tuple[str, ...] = setting(NAMES, "*", "Whose batches; * for all, and for lanes.")
    secret_env: str | None = absent(VARIABLE, "secret_file", "Environment variable with the secret that signs.")
    secret_file: Path | None = absent(FILE, "secret_env", "File with the secret that signs.")
    allow_private: bool = setting(SWITCH, "false", "May be an address that is not of the public internet.")
    secret: str = field(default="", repr=False)


DECLARED_HOOK = {f.name: Declared(f.name, *f.metadata["declared"]) for f in fields(HookTable) if f.metadata}
"""Every key of such a table by name, in the order of the docs."""


def read_hooks(file: Path, tables: object, environ: Mapping[str, str]) -> tuple[HookTable, ...]:
    """Return what ``[webhooks.NAME]`` says."""
    if not isinstance(tables, dict) or not all(isinstance(one, dict) for one in tables.values()):
        raise ConfigError(f"{file}: webhooks must be tables: [webhooks.NAME]")
    return tuple(_hook(f"{file}: webhooks.{name}", name, table, environ) for name, table in tables.items())


def _hook(where: str, name: str, table: dict[str, object], environ: Mapping[str, str]) -> HookTable:
    if not _NAME.match(name):
        raise ConfigError(f"{where}: a name is up to 64 letters, digits, dots, underscores and hyphens")
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in DECLARED_HOOK:
            raise ConfigError(f"{where}: unknown key {key!r}{did_you_mean(key, DECLARED_HOOK)}")
        kind, label = DECLARED_HOOK[key].kind, f"{where}: {key} = "
        values[key] = parse(kind, label, toml_text(kind, label, value))
    for key in ("events", "workspaces"):
        if values.get(key) == ():
            raise ConfigError(f"{where}: {key} names nothing: such a webhook would never be told anything")
    if "url" not in values:
        raise ConfigError(f"{where} needs a url")
    return HookTable(name, **values, secret=_secret(where, values, environ))


def _secret(where: str, values: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """Return the secret; Standard Webhooks have 24 to 64 bytes in base64 behind ``whsec_``."""
    variable: str | None = values.get("secret_env")
    file: Path | None = values.get("secret_file")
    if variable is not None and file is None:
        holder = f"{where}: secret_env = {variable!r}: the environment variable"
        text = secret(environ.get(variable, ""), holder)
    elif file is not None and variable is None:
        holder = f"{where}: secret_file = {str(file)!r}: the file"
        text = secret_file(file, f"{where}: secret_file = {str(file)!r}")
    else:
        raise ConfigError(f"{where} needs secret_env or secret_file, one of them")
    try:
        raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if not text.startswith(_PREFIX) or not 24 <= len(raw) <= 64:
        raise ConfigError(f"{holder} must hold whsec_ and 24 to 64 bytes in base64")
    return text
