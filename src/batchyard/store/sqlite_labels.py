"""Names and labels of batches in the SQLite store: found, and edited."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import apsw
import msgspec

from batchyard.domain.batch import Batch
from batchyard.domain.labels import Wanted, lower
from batchyard.ports import Page
from batchyard.store import sqlite_batches

_STATUS = {
    "in_progress": " and ended_at is null and cancel_initiated_at is null",
    "canceling": " and ended_at is null and cancel_initiated_at is not null",
    "ended": " and ended_at is not null",
}


def search(
    connection: apsw.Connection, workspace: str, wanted: Wanted, *, after: str | None, before: str | None, limit: int
) -> Page:
    """Return one page of what fits. Reads the workspace's batches in their order until the page is full: one with
    10,000 of them is read in some milliseconds."""
    where, bindings = "workspace = ?", list[Any]((workspace,))
    if wanted.status is not None:
        where += _STATUS[wanted.status]
    if wanted.text:
        where += (
            " and (instr(lower(id), ?1) or instr(lower(name), ?1)"
            " or exists (select 1 from json_each(labels) each where instr(lower(each.value), ?1)))"
        ).replace("?1", "?")
        bindings += [lower(wanted.text)] * 3
    for key, value in wanted.pairs:
        where += " and exists (select 1 from json_each(labels) each where each.key = ?"
        bindings.append(key)
        if value is not None:
            where += " and each.value = ?"
            bindings.append(value)
        where += ")"
    return sqlite_batches.chosen(connection, where, bindings, after=after, before=before, limit=limit)


def label(
    connection: apsw.Connection, workspace: str, batch_id: str, name: str | None, changes: Mapping[str, str | None]
) -> Batch:
    """Edit them; only the batch's own row changes."""
    batch = sqlite_batches.find(connection, workspace, batch_id).batch()
    labels = batch.labels.edited(name, changes)
    connection.execute(
        "update batches set name = ?, labels = ? where id = ?",
        (labels.name, msgspec.json.encode(dict(labels.pairs)).decode(), batch_id),
    )
    return replace(batch, labels=labels)
