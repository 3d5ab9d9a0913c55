"""Leases that a lost answer may have left: their owner lives, so nobody reclaims them, and does not know of them.

A turn whose commit got no answer may have taken effect. Its owner asks the store what it holds, and gives back what it
did not know of: that was never sent, so it costs nothing.
"""

from collections.abc import Callable

from batchyard.domain.errors import StoreUnavailable
from batchyard.domain.retry import unsent
from batchyard.ports import Clock, Work


class Doubt:
    """Of one owner. ``knows`` says whether a request is in flight here, or its settlement waits for its commit."""

    def __init__(self, work: Work, clock: Clock, owner: str, knows: Callable[[tuple[str, int]], bool]) -> None:
        self._work, self._clock, self._owner, self._knows = work, clock, owner, knows
        self.is_there = False

    async def clear(self) -> None:
        """Give back what nobody here knows of. Called between turns; where the store fails, the doubt stays."""
        if not self.is_there:
            return
        try:
            held = await self._work.held(self._owner)
            now = self._clock.now()
            lost = [unsent(lease, now) for lease in held if not self._knows(lease.key)]
            if lost:
                await self._work.turn(self._owner, lost, [], now)
        except StoreUnavailable:
            return
        self.is_there = False
