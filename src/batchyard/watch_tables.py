"""The table of the file that says what is told of a server: ``[watch]``."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from batchyard.declared import ConfigError, Declared, absent, did_you_mean, parse, setting, toml_text
from batchyard.kinds import HTTP_URL, one_of


@dataclass(frozen=True, slots=True)
class WatchTable:
    """What goes into the log, and where spans go."""

    log_level: str = setting(one_of("debug", "info", "warning", "error"), "info", "Least level of a line in the log.")
    traces: str | None = absent(HTTP_URL, "none are sent", "OpenTelemetry collector that spans are sent to.")


DECLARED_WATCH = {f.name: Declared(f.name, *f.metadata["declared"]) for f in fields(WatchTable)}
"""Every key of the table by name, in the order of the docs."""


def read_watch(file: Path, table: object) -> WatchTable:
    """Return what ``[watch]`` says."""
    where = f"{file}: watch"
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table: [watch]")
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in DECLARED_WATCH:
            raise ConfigError(f"{where}: unknown key {key!r}{did_you_mean(key, DECLARED_WATCH)}")
        kind, label = DECLARED_WATCH[key].kind, f"{where}: {key} = "
        values[key] = parse(kind, label, toml_text(kind, label, value))
    return WatchTable(**values)
