"""The requests of a batch that runs, as people look at them: as results come, by place, by custom_id.

A batch that has ended shows nothing here, in the same snapshot: its rows are being deleted, its files tell it all.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from batchyard.domain.result import unpack
from batchyard.ports import Arrived, Final
from batchyard.store import postgres_batches, postgres_finals
from batchyard.store.postgres_rows import StoredBatch
from batchyard.store.rows import KINDS, SEQ_MASK, STATES

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

BYTES = 1024 * 1024
"""Results that are read at once, unless a single one is larger."""
_ARRIVALS = """
select q.custom_id, s.state, r.packed from (
    select request, state, arrival, sum(octet_length(packed)) over (order by arrival) - octet_length(packed) as before
    from (select * from results where request >> 24 = $1 and arrival > $2 order by arrival limit $3) came
) s join results r on r.request = s.request join requests q on q.id = s.request
where s.before < $4 order by s.arrival
"""
_ERRORS = """
select q.custom_id, s.state, r.packed from (
    select request, state, sum(octet_length(packed)) over (order by request) - octet_length(packed) as before
    from (select * from results where request between $1 and $2 and state = $3 order by request limit $4) came
) s join results r on r.request = s.request join requests q on q.id = s.request
where s.before < $5 order by s.request
"""


async def _running(db: "PoolConnectionProxy", workspace: str, batch_id: str) -> StoredBatch | None:
    stored = await postgres_batches.find(db, workspace, batch_id)
    return stored if stored.ended_at is None else None


async def arrivals(
    db: "PoolConnectionProxy", workspace: str, batch_id: str, *, after: int, limit: int
) -> Sequence[Arrived]:
    """Return the next results in the order of their arrival; index results_in_order."""
    stored = await _running(db, workspace, batch_id)
    if stored is None:
        return []
    rows = await db.fetch(_ARRIVALS, stored.num, after, limit, BYTES)
    return [Arrived(row["custom_id"], unpack(KINDS[row["state"]], row["packed"])) for row in rows]


async def errors(db: "PoolConnectionProxy", workspace: str, batch_id: str, *, limit: int) -> Sequence[Arrived]:
    """Return the first requests that errored; reads the batch's results up to them."""
    stored = await _running(db, workspace, batch_id)
    if stored is None:
        return []
    rows = await db.fetch(_ERRORS, stored.first, stored.last, STATES["errored"], limit, BYTES)
    return [Arrived(row["custom_id"], unpack(KINDS[row["state"]], row["packed"])) for row in rows]


async def rows(db: "PoolConnectionProxy", workspace: str, batch_id: str, *, first: int, limit: int) -> Sequence[Final]:
    """Return the requests from a place on, as they stand."""
    stored = await _running(db, workspace, batch_id)
    if stored is None or first >= stored.total:
        return []
    return await postgres_finals.part(db, stored, stored.first + first, limit)


async def place(db: "PoolConnectionProxy", workspace: str, batch_id: str, custom_id: str) -> int | None:
    """Return the place of a request; reads the batch's rows."""
    stored = await _running(db, workspace, batch_id)
    if stored is None or "\0" in custom_id:  # which PostgreSQL would not take
        return None
    id_ = await db.fetchval(
        "select id from requests where id between $1 and $2 and custom_id = $3 limit 1",
        stored.first,
        stored.last,
        custom_id,
    )
    return None if id_ is None else int(id_) & SEQ_MASK
