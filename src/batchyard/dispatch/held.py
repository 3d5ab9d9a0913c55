"""Bytes of params in memory: slots are counted for small requests, and the largest are a thousand times as large."""

import asyncio
from collections import deque
from contextlib import suppress

MOST_HELD = 128 * 1024 * 1024
"""Bytes of large params that attempts hold at once: twelve documents of 10 MB, four requests of the largest kind."""
LARGE_BYTES = 256 * 1024
"""Smaller ones are bounded by the slots alone: nobody waits for them, and they wait for nobody."""


class Held:
    """What attempts hold together. Who does not fit waits in its slot, first come first served; alone, all fit."""

    def __init__(self, most: int = MOST_HELD) -> None:
        self._most = most
        self.bytes = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Wait until so many more bytes fit, and count them. No deadline: those who hold some have theirs."""
        if size < LARGE_BYTES:
            return
        if not self._waiting and self._fits(size):
            self.bytes += size
            return
        turn = asyncio.get_running_loop().create_future()
        waits = (size, turn)
        self._waiting.append(waits)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(size)  # it was counted as it was cut
            with suppress(ValueError):
                self._waiting.remove(waits)
            self._go_on()
            raise

    def give(self, size: int) -> None:
        """Uncount bytes that were counted, as they are let go."""
        if size >= LARGE_BYTES:
            self.bytes -= size
            self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self.bytes += size
                turn.set_result(None)

    def _fits(self, size: int) -> bool:
        return self.bytes == 0 or self.bytes + size <= self._most
