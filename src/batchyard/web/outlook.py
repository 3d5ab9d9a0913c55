"""One look at all that is open, for the forecasts of many calls: it grows with what waits, whoever's that is.

A look is used again for some times what it took; where little waits, each call has its own.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from batchyard.domain.forecast import Open
from batchyard.ports import Clock, Ready, Work

TIMES = 4.0
"""So many times what a look took it is used again: looks are a fifth of all that is done at most."""
_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Seen:
    """What is open: by batch, and request by model of each; ``since``: when the oldest was created, None for none."""

    everybody: Sequence[Open]
    of_batch: Mapping[str, Sequence[Ready]]
    since: datetime | None


class Outlook:
    """Looks, for one caller at a time; the others have what it saw."""

    def __init__(self, work: Work, clock: Clock) -> None:
        self._work, self._clock = work, clock
        self._turn = asyncio.Lock()
        self._seen: Seen | None = None
        self._good_until = float("-inf")

    async def look(self) -> Seen:
        async with self._turn:
            began = self._clock.monotonic()
            if self._seen is None or began >= self._good_until:
                self._seen = await self._look()
                now = self._clock.monotonic()
                self._good_until = now + TIMES * (now - began)
            return self._seen

    async def _look(self) -> Seen:
        ready = await self._work.backlog(self._clock.now())
        of_batch: dict[str, list[Ready]] = {}
        for start in range(0, len(ready), _AT_ONCE):
            for one in ready[start : start + _AT_ONCE]:
                of_batch.setdefault(one.batch, []).append(one)
            await asyncio.sleep(0)
        everybody = [Open(name, own[0].workspace, sum(one.pending for one in own)) for name, own in of_batch.items()]
        return Seen(everybody, of_batch, min((own[0].created_at for own in of_batch.values()), default=None))
