"""What lanes did, in the SQLite store: a few rows a minute, and as many deleted behind them."""

from collections.abc import Sequence

import apsw

from batchyard.domain.lane_history import KEPT_MINUTES, LaneMinute
from batchyard.store.reader import Readers
from batchyard.store.writer import Writer

_FORGET = "delete from lane_minutes where minute < ?"
_LANES = "select distinct lane from lane_minutes where minute >= ? order by lane"
_MINUTES = """
select minute, lane, sum(slots), sum(busy), max(pending), max(usual), max(slow)
from lane_minutes where minute >= ? and lane = ? group by minute order by minute
"""


class SqliteLaneHistory:
    """The ``LaneHistory`` of a SQLite store."""

    def __init__(self, readers: Readers, writer: Writer) -> None:
        self._readers, self._writer = readers, writer

    async def note(self, owner: str, minutes: Sequence[LaneMinute]) -> None:
        if not minutes:
            return
        rows = [(one.minute, one.lane, owner, one.limit, one.busy, one.pending, one.usual, one.slow) for one in minutes]
        old = max(one.minute for one in minutes) - KEPT_MINUTES

        def write(connection: apsw.Connection) -> None:
            connection.executemany("insert or replace into lane_minutes values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            connection.execute(_FORGET, (old,))

        await self._writer.run(write)

    async def lanes(self, first: int) -> Sequence[str]:
        return await self._readers.run(lambda c: [lane for (lane,) in c.execute(_LANES, (first,))])

    async def minutes(self, lane: str, first: int) -> Sequence[LaneMinute]:
        return await self._readers.run(lambda c: [LaneMinute(*row) for row in c.execute(_MINUTES, (first, lane))])
