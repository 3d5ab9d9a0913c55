"""The requests of a batch as its sealer reads them: in order, in slices, each a snapshot of its own.

Nothing of a ripe batch changes until its seal, so the slices fit together.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from batchyard.domain.outcome import Trace
from batchyard.domain.request import ParamsAt
from batchyard.domain.result import Result, unpack
from batchyard.ports import Final
from batchyard.store.postgres_rows import StoredBatch, a_trace, batches
from batchyard.store.rows import KINDS, SEQ_MASK, open_kind

if TYPE_CHECKING:
    from asyncpg import Record
    from asyncpg.pool import PoolConnectionProxy

ROWS = 1000
"""Requests in a slice: small beside a batch of 100,000, large beside the cost of a slice."""
BYTES = 4 * 1024 * 1024
"""Results in a slice, unless a single one is larger."""

_ROWS = """
select r.id, r.custom_id, coalesce(s.attempt, l.attempt, r.attempt) as attempt, r.paid, r.deaths, s.state, s.arrival,
    octet_length(s.packed) as size, s.outcome, s.started_at, s.ended_at, s.reason, r."offset", r.length, r.crc
from requests r left join results s on s.request = r.id left join leases l on l.request = r.id
where r.id between $1 and $2 order by r.id limit $3
"""
_PACKED = "select request, packed from results where request between $1 and $2"
_TRACES = """
select request, outcome, started_at, ended_at, reason from attempts where request between $1 and $2
order by request, attempt
"""


async def running(db: "PoolConnectionProxy", batch_id: str) -> StoredBatch | None:
    """Return the batch if it has not ended."""
    rows = await batches(db, "b.id = $1 and b.ended_at is null", batch_id)
    return rows[0] if rows else None


async def part(db: "PoolConnectionProxy", stored: StoredBatch, first: int, limit: int = ROWS) -> Sequence[Final]:
    """Return the next requests from the id ``first`` on; none at the end."""
    rows = _few_enough(await db.fetch(_ROWS, first, stored.last, limit))
    if not rows:
        return []
    last = rows[-1]["id"]
    packed = {row["request"]: row["packed"] for row in await db.fetch(_PACKED, first, last)}
    traces: dict[int, list[Trace]] = {}
    for request, *trace in await db.fetch(_TRACES, first, last):
        traces.setdefault(request, []).append(a_trace(*trace))
    return [
        Final(
            seq=row["id"] & SEQ_MASK,
            custom_id=row["custom_id"],
            result=_result(stored, row, packed),
            arrival=row["arrival"] or 0,
            traces=(*traces.get(row["id"], ()), *_last_trace(row)),
            attempts=row["attempt"],
            paid=row["paid"],
            deaths=row["deaths"],
            params=ParamsAt(stored.body, row["offset"], row["length"], row["crc"]),
        )
        for row in rows
    ]


def _few_enough(rows: "Sequence[Record]") -> "Sequence[Record]":
    total = 0
    for number, row in enumerate(rows):
        total += row["size"] or 0
        if total > BYTES:
            return rows[: max(1, number)]
    return rows


def _result(stored: StoredBatch, row: "Record", packed: dict[int, bytes]) -> Result:
    if row["state"] is None:
        return unpack(open_kind(stored.closing), b"")
    return unpack(KINDS[row["state"]], packed[row["id"]])


def _last_trace(row: "Record") -> Sequence[Trace]:
    if row["state"] is None:
        return ()
    return (a_trace(row["outcome"], row["started_at"], row["ended_at"], row["reason"]),)
