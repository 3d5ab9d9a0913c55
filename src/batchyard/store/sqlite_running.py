"""The requests of a batch that runs, as people look at them: as results come, by place, by custom_id.

A batch that has ended shows nothing here, in the same snapshot: its rows are being deleted, its files tell it all.
"""

from collections.abc import Iterable, Sequence

import apsw

from batchyard.domain.result import unpack
from batchyard.ports import Arrived, Final
from batchyard.store import sqlite_batches, sqlite_finals
from batchyard.store.rows import KINDS, SEQ_MASK, STATES
from batchyard.store.sqlite_rows import StoredBatch

BYTES = 1024 * 1024
"""Results that are held at once, unless a single one is larger."""


def _running(connection: apsw.Connection, workspace: str, batch_id: str) -> StoredBatch | None:
    connection.execute("begin")
    stored = sqlite_batches.find(connection, workspace, batch_id)
    return stored if stored.ended_at is None else None


def arrivals(
    connection: apsw.Connection, workspace: str, batch_id: str, *, after: int, limit: int
) -> Sequence[Arrived]:
    """Return the next results in the order of their arrival; index results_in_order."""
    stored = _running(connection, workspace, batch_id)
    return _parts(
        connection.execute(
            "select q.custom_id, q.state, r.packed from results r indexed by results_in_order"
            " cross join requests q on q.id = r.request where r.request >> 24 = ? and r.arrival > ?"
            " order by r.arrival limit ?",
            (-1 if stored is None else stored.num, after, limit),
        )
    )


def errors(connection: apsw.Connection, workspace: str, batch_id: str, *, limit: int) -> Sequence[Arrived]:
    """Return the first requests that errored; reads the batch's rows up to them, 10 ms for 100,000."""
    stored = _running(connection, workspace, batch_id)
    first, last = (1, 0) if stored is None else (stored.first, stored.last)
    return _parts(
        connection.execute(
            "select q.custom_id, q.state, r.packed from requests q cross join results r on r.request = q.id"
            " where q.id between ? and ? and q.state = ? order by q.id limit ?",
            (first, last, STATES["errored"], limit),
        )
    )


def _parts(rows: Iterable[tuple[object, ...]]) -> list[Arrived]:
    """Return what rows of custom_id, state and result come to, until they are large."""
    found: list[Arrived] = []
    held = 0
    for custom_id, state, packed in rows:
        assert isinstance(custom_id, str)
        assert isinstance(state, int)
        assert isinstance(packed, bytes)
        held += len(packed)
        if found and held > BYTES:
            break
        found.append(Arrived(custom_id, unpack(KINDS[state], packed)))
    return found


def rows(connection: apsw.Connection, workspace: str, batch_id: str, *, first: int, limit: int) -> Sequence[Final]:
    """Return the requests from a place on, as they stand."""
    stored = _running(connection, workspace, batch_id)
    if stored is None or first >= stored.total:
        return []
    last = min(first + limit, stored.total) - 1
    return sqlite_finals.between(connection, stored, stored.first + first, stored.first + last)


def place(connection: apsw.Connection, workspace: str, batch_id: str, custom_id: str) -> int | None:
    """Return the place of a request; reads the batch's rows, 10 ms for 100,000."""
    stored = _running(connection, workspace, batch_id)
    if stored is None:
        return None
    id_ = connection.execute(
        "select id from requests where id between ? and ? and custom_id = ? limit 1",
        (stored.first, stored.last, custom_id),
    ).get
    return None if id_ is None else int(id_) & SEQ_MASK
