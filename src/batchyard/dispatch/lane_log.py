"""Looks at the lanes every few seconds and keeps a row for each minute and lane that had something to do.

A minute is kept when it is over: who dies in it leaves a gap of a minute in a chart, and nothing else.
"""

import asyncio
from collections.abc import Sequence

from batchyard.domain.errors import StoreUnavailable
from batchyard.domain.events import BugFound, Emit, StoreFailed
from batchyard.domain.lane_history import averaged
from batchyard.domain.lane_state import LaneState
from batchyard.ports import Clock, LaneDesk, LaneHistory

LOOK_SECONDS = 5.0


class LaneLog:
    """Writes for one process, under its owner's name."""

    def __init__(self, desk: LaneDesk, history: LaneHistory, clock: Clock, emit: Emit, *, owner: str) -> None:
        self._desk, self._history, self._clock, self._emit = desk, history, clock, emit
        self._owner = owner
        self._minute = 0
        self._looks: list[Sequence[LaneState]] = []

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self._look()
            except StoreUnavailable as error:  # this minute is missing in the charts, and nobody waits for it
                self._emit(StoreFailed("lane history", str(error)))
            except Exception as bug:  # noqa: BLE001 the charts may lack a part, the next minute is looked at all the same
                self._emit(BugFound("lane history", bug))
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        minute, lanes = int(self._clock.now().timestamp()) // 60, self._desk.board().lanes
        over, looks = self._minute, self._looks
        if minute != over:
            self._minute, self._looks = minute, []
        self._looks.append(lanes)
        if minute != over and (found := averaged(over, looks)):
            await self._history.note(self._owner, found)
