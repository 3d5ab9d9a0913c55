"""What API calls and a dispatcher's look-out ask of the SQLite store: single statements, each one snapshot."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import apsw
import msgspec

from batchyard.domain.batch import Batch
from batchyard.domain.errors import NotFound
from batchyard.ports import Page, Ready
from batchyard.store import sqlite_streams, sqlite_views
from batchyard.store.database import is_damage
from batchyard.store.rows import micros, moment
from batchyard.store.sqlite_rows import StoredBatch, batches

_LEASABLE = "ended_at is null and closing is null and not paused and expires_at > ? and open > leased"
_PART = "order by num limit 100"
"""A client may make a batch's row large: all of them decoded in one step would keep the interpreter from the loop."""
_decode_retries = msgspec.json.Decoder(list[tuple[int, int, int]]).decode


def find(connection: apsw.Connection, workspace: str, batch_id: str) -> StoredBatch:
    """Return the batch if it is the workspace's own."""
    rows = batches(connection, "workspace = ? and id = ?", (workspace, batch_id))
    if not rows:
        raise NotFound(f"Message Batch {batch_id} not found.")
    return rows[0]


def get(connection: apsw.Connection, workspace: str, batch_id: str) -> Batch:
    return find(connection, workspace, batch_id).batch()


def page(connection: apsw.Connection, workspace: str, after: str | None, before: str | None, limit: int) -> Page:
    """Return one page; a range of the index batches_of_workspace, walked from where the page adjoins."""
    return chosen(connection, "workspace = ?", [workspace], after=after, before=before, limit=limit)


def chosen(
    connection: apsw.Connection,
    where: str,
    bindings: list[Any],
    *,
    after: str | None,
    before: str | None,
    limit: int,
) -> Page:
    """Return one page of the batches that fit ``where``, SQL of ours."""
    ascending = after is None and before is not None
    if before is not None:
        where, bindings = where + " and id > ?", [*bindings, before]
    if after is not None:
        where, bindings = where + " and id < ?", [*bindings, after]
    tail = f"order by id {'asc' if ascending else 'desc'} limit {limit + 1:d}"
    found = batches(connection, where, bindings, tail=tail)
    shown = sorted(found[:limit], key=lambda stored: stored.id, reverse=True)
    return Page([stored.batch() for stored in shown], has_more=len(found) > limit)


def cancel(connection: apsw.Connection, workspace: str, batch_id: str, now: datetime) -> Batch:
    """Begin to cancel; only the batch's own row changes, however many requests are open."""
    batch = find(connection, workspace, batch_id).batch()
    canceling = batch.begin_cancel(now)
    if canceling is not batch:
        connection.execute(
            "update batches set cancel_initiated_at = ?, closing = ? where id = ?",
            (micros(now), canceling.closing, batch_id),
        )
    return canceling


def pause(connection: apsw.Connection, workspace: str, batch_id: str, *, paused: bool) -> Batch:
    """Pause or resume; only the batch's own row changes."""
    batch = find(connection, workspace, batch_id).batch().pause(paused=paused)
    connection.execute("update batches set paused = ? where id = ?", (int(paused), batch_id))
    return batch


def delete(connection: apsw.Connection, workspace: str, batch_id: str) -> Batch:
    """Forget an ended batch. What is left of its rows has been the sweep's since its seal."""
    stored = find(connection, workspace, batch_id)
    batch = stored.batch()
    batch.check_deletable()
    connection.execute("delete from creates where batch = ?", (stored.num,))
    sqlite_views.forget_batch(connection, stored.num)
    connection.execute("delete from batches where num = ?", (stored.num,))
    return batch


def backlog(connection: apsw.Connection, now: int) -> Sequence[Ready]:
    """Return what may be leased: indexes batches_live and, for what waits for its time, requests_waiting."""
    connection.execute("begin")
    found: list[Ready] = []
    after = -1
    while rows := batches(connection, f"{_LEASABLE} and num > ?", (now, after), tail=_PART):
        after = rows[-1].num
        streams = sqlite_streams.of(connection, [stored.num for stored in rows if stored.only_model is None])
        for stored in rows:
            found += _ready(connection, stored, streams.get(stored.num, {}))
    return found


def _ready(connection: apsw.Connection, stored: StoredBatch, streams: sqlite_streams.Streams) -> Iterator[Ready]:
    fresh = {model: stream.total - stream.fresh for model, stream in streams.items()}
    if stored.only_model is not None:
        fresh = {stored.only_model: stored.total - stored.fresh}
    retries: dict[int, tuple[int, int]] = {}
    if stored.pending > stored.total - stored.fresh:
        try:
            retries = {model: (count, ready_at) for model, count, ready_at in _retries(connection, stored)}
        except apsw.Error as fault:
            if not is_damage(fault):
                raise
            # Its neighbours go on. It is due at once: then its lease fails, and says which batch is damaged.
            retries = dict.fromkeys(range(len(stored.models)), (1, stored.created_at))
    for model, pending in fresh.items():
        count, ready_at = retries.get(model, (0, 0))
        if pending + count:
            yield Ready(
                batch=stored.id,
                workspace=stored.workspace,
                created_at=moment(stored.created_at),
                expires_at=moment(stored.expires_at),
                version=stored.version,
                betas=stored.betas,
                model=stored.models[model],
                pending=pending + count,
                next_ready_at=moment(stored.created_at if pending else ready_at),
            )


def _retries(connection: apsw.Connection, stored: StoredBatch) -> list[tuple[int, int, int]]:
    """Return (model, how many wait for a retry, when the first of them is ready): one range of the index."""
    return _decode_retries(
        connection.execute(
            "select json_group_array(json_array(model, n, first)) from (select model, count(*) as n,"
            " min(ready_at) as first from requests indexed by requests_waiting"
            " where id >> 24 = ? and state = 0 and ready_at > 0 group by model)",
            (stored.num,),
        ).get
    )
