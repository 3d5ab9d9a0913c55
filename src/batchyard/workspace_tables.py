"""The tables of the file that limit workspaces: ``[limits]`` for all, ``[workspaces.NAME]`` for one, key by key."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from batchyard.declared import ConfigError, Declared, absent, did_you_mean, parse, setting, toml_text
from batchyard.kinds import RATE, WEIGHT, whole

_MANY = whole(0, 10**15)


@dataclass(frozen=True, slots=True)
class WorkspaceTable:
    """What one workspace may do, and its share."""

    calls_per_minute: int | None = absent(whole(1, 10**9), "no limit", "API calls about batches.")
    queued_requests: int | None = absent(_MANY, "no limit", "Most requests that wait for a result.")
    running_batches: int | None = absent(_MANY, "no limit", "Most batches that have not ended.")
    stored_bytes: int | None = absent(_MANY, "no limit", "Most bytes of bodies and results that are kept.")
    spend_per_day: float | None = absent(RATE, "no limit", "US dollars for batches in a day (UTC).")
    spend_per_month: float | None = absent(RATE, "no limit", "US dollars for batches in a month (UTC).")
    weight: float = setting(WEIGHT, "1", "Its share of the slots beside those of other workspaces.")


DECLARED_WORKSPACE = {f.name: Declared(f.name, *f.metadata["declared"]) for f in fields(WorkspaceTable)}
"""Every key of such a table by name, in the order of the docs."""


def read_workspaces(
    file: Path, limits: object, workspaces: object
) -> tuple[WorkspaceTable, Mapping[str, WorkspaceTable]]:
    """Return what holds for every workspace, and for those with a table of their own."""
    usual = _values(f"{file}: limits", limits)
    if not isinstance(workspaces, dict):
        raise ConfigError(f"{file}: workspaces must be tables: [workspaces.NAME]")
    named = {
        name: WorkspaceTable(**{**usual, **_values(f"{file}: workspaces.{name}", table)})
        for name, table in workspaces.items()
    }
    return WorkspaceTable(**usual), named


def _values(where: str, table: object) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table: [{where.rpartition(': ')[2]}]")
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in DECLARED_WORKSPACE:
            raise ConfigError(f"{where}: unknown key {key!r}{did_you_mean(key, DECLARED_WORKSPACE)}")
        kind, label = DECLARED_WORKSPACE[key].kind, f"{where}: {key} = "
        values[key] = parse(kind, label, toml_text(kind, label, value))
    return values
