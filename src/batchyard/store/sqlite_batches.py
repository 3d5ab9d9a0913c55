"""What API calls and a dispatcher's look-out ask of the SQLite store: single statements, each one snapshot."""

from collections.abc import Sequence
from datetime import datetime

import apsw
import msgspec

from batchyard.domain.batch import Batch
from batchyard.domain.errors import NotFound
from batchyard.ports import Page, Ready
from batchyard.store.sqlite_rows import StoredBatch, batches, micros, moment

_decode_ready = msgspec.json.Decoder(list[tuple[int, int | None]]).decode


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
    ascending = after is None and before is not None
    where, bindings = "workspace = ?", [workspace]
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


def delete(connection: apsw.Connection, workspace: str, batch_id: str) -> Batch:
    """Forget an ended batch. What is left of its rows has been the sweep's since its seal."""
    stored = find(connection, workspace, batch_id)
    batch = stored.batch()
    batch.check_deletable()
    connection.execute("delete from creates where batch = ?", (stored.num,))
    connection.execute("delete from batches where num = ?", (stored.num,))
    return batch


def beat(connection: apsw.Connection, owner: str, now: int, lease_micros: int) -> int:
    """Note the owner's heartbeat; return how many owners live."""
    connection.execute(
        "insert into owners (id, beat) values (?, ?) on conflict (id) do update set beat = excluded.beat", (owner, now)
    )
    return int(connection.execute("select count(*) from owners where ? - beat < ?", (now, lease_micros)).get)


def backlog(connection: apsw.Connection, now: int) -> Sequence[Ready]:
    """Return what may have requests to lease: indexes batches_live and, for each batch's next, requests_waiting."""
    connection.execute("begin")
    rows = batches(connection, "ended_at is null and closing is null and expires_at > ? and open > leased", (now,))
    due = dict(
        _decode_ready(
            connection.execute(
                # "+num": a column's affinity would keep the comparison from using the index on an expression.
                "select json_group_array(json_array(num, (select ready_at from requests indexed by requests_waiting"
                " where id >> 24 = +num and state = 0 and ready_at > 0 order by ready_at limit 1)))"
                " from batches where ended_at is null and closing is null and fresh = total and open > leased"
            ).get
        )
    )
    return [_ready(stored, due.get(stored.num)) for stored in rows]


def _ready(stored: StoredBatch, due: int | None) -> Ready:
    next_ready_at = stored.created_at if stored.fresh < stored.total else due
    return Ready(
        batch=stored.id,
        workspace=stored.workspace,
        created_at=moment(stored.created_at),
        expires_at=moment(stored.expires_at),
        version=stored.version,
        betas=stored.betas,
        pending=stored.pending,
        next_ready_at=None if next_ready_at is None else moment(next_ready_at),
    )
