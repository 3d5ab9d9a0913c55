"""What lanes did, in the PostgreSQL store: each process writes what it saw, readers add it up."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from batchyard.domain.lane_history import KEPT_MINUTES, LaneMinute
from batchyard.store.postgres_connections import Connections
from batchyard.store.postgres_rows import plain

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

_NOTE = """
insert into lane_minutes values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (minute, lane, owner) do update set slots = excluded.slots, busy = excluded.busy,
    pending = excluded.pending, usual = excluded.usual, slow = excluded.slow
"""
_FORGET = "delete from lane_minutes where minute < $1"
_LANES = "select distinct lane from lane_minutes where minute >= $1 order by lane"
_MINUTES = """
select minute, lane, sum(slots), sum(busy), max(pending), max(usual), max(slow)
from lane_minutes where minute >= $1 and lane = $2 group by minute, lane order by minute
"""


class PostgresLaneHistory:
    """The ``LaneHistory`` of a PostgreSQL store."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def note(self, owner: str, minutes: Sequence[LaneMinute]) -> None:
        if not minutes:
            return
        ordered = sorted(minutes, key=lambda one: (one.minute, one.lane))
        rows = [
            (one.minute, plain(one.lane), owner, one.limit, one.busy, one.pending, one.usual, one.slow)
            for one in ordered
        ]

        async def write(db: "PoolConnectionProxy") -> None:
            await db.executemany(_NOTE, rows)
            await db.execute(_FORGET, ordered[-1].minute - KEPT_MINUTES)

        await self._connections.write(write)

    async def lanes(self, first: int) -> Sequence[str]:
        return [row["lane"] for row in await self._connections.read(lambda db: db.fetch(_LANES, first))]

    async def minutes(self, lane: str, first: int) -> Sequence[LaneMinute]:
        rows = await self._connections.read(lambda db: db.fetch(_MINUTES, first, plain(lane)))
        return [LaneMinute(*row) for row in rows]
