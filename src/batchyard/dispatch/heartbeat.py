"""An owner's heartbeat: it says that it lives, learns how many do, and at its end says that it goes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from batchyard.domain.errors import StoreDamaged, StoreUnavailable
from batchyard.domain.events import Emit, StoreFailed
from batchyard.ports import Clock, Work

RETRY_SECONDS = 1.0
"""Seconds between tries of a heartbeat that the store could not take."""
LEAVE_SECONDS = 2.0
"""How long a stop waits for the store to take our leave."""


class Heartbeat:
    """Of one owner. After each beat ``lives`` is told until when our lease lasts (monotonic), and how many live."""

    def __init__(
        self,
        work: Work,
        clock: Clock,
        emit: Emit,
        *,
        owner: str,
        lease: float,
        lives: Callable[[float, int], Awaitable[None]],
    ) -> None:
        self._work, self._clock, self._emit = work, clock, emit
        self._owner, self._lease, self._lives = owner, lease, lives
        self._wanted = asyncio.Event()
        self._has_left = False

    async def run(self) -> None:
        """Beat three times in each lease, for ever."""
        while True:
            pause = self._lease / 3
            try:
                await self._beat()
            except StoreUnavailable as error:  # we stop sending by ourselves when the lease time is over
                self._emit(StoreFailed("heartbeat", str(error)))
                pause = min(pause, RETRY_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), pause)
            self._wanted.clear()

    def beat_soon(self) -> None:
        """Beat now: an owner came or left."""
        self._wanted.set()

    async def leave(self) -> None:
        """Let the others have our share of the limits, and what a drain that was cut short left us, at once. Where the
        store fails they have it when our lease is over. Nothing may be sent, or leased, from here on."""
        if self._has_left:
            return
        self._has_left = True
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._work.leave(self._owner, self._clock.now())
        except (StoreUnavailable, StoreDamaged, TimeoutError) as error:
            self._emit(StoreFailed("leave", str(error) or "no answer in time"))

    async def _beat(self) -> None:
        sent = self._clock.monotonic()
        owners = await self._work.beat(self._owner, self._clock.now())
        await self._lives(sent + self._lease, owners)
