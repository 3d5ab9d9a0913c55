"""Virtual time: an event loop whose clock jumps to the next deadline when nothing else is left to do.

A week passes in a moment, and a simulation that would wait for ever fails at once, at its limit.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

MOST_ROUNDS = 100_000
"""Rounds of the loop in one moment of virtual time: more than any simulation needs."""
START = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualTimeExceeded(Exception):
    """The simulation did not end within its virtual time: something hangs."""


class _Selector(selectors.SelectSelector):
    """Advances the loop's clock by as long as the loop would have slept."""

    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.loop.count_round()
        ready = super().select(0)
        if not ready and timeout is None:
            raise VirtualTimeExceeded("every task waits for something that will never happen")
        if not ready and timeout:
            self.loop.advance(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that starts at 0 and ends at ``limit`` virtual seconds."""

    def __init__(self, limit: float) -> None:
        selector = _Selector()
        super().__init__(selector)
        selector.loop = self
        self._virtual_now = 0.0
        self._virtual_limit = limit
        self._rounds = 0

    def time(self) -> float:
        return self._virtual_now

    def advance_without_limit(self) -> None:
        """From now on time is only passed to clean up: tasks left over must be able to end."""
        self._virtual_limit = float("inf")
        self._rounds = 0

    def count_round(self) -> None:
        """One round of the loop. Very many in one moment are a task that spins, which would hang for ever."""
        self._rounds += 1
        if self._rounds > MOST_ROUNDS:
            self._rounds = 0
            raise VirtualTimeExceeded(f"{MOST_ROUNDS} rounds without a moment passing: something spins")

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        self._virtual_now += seconds
        self._rounds = 0
        if self._virtual_now > self._virtual_limit:
            raise VirtualTimeExceeded(f"not done after {self._virtual_limit} virtual seconds")


class VirtualClock:
    """The ``Clock`` of a virtual loop. ``now`` begins at ``START`` plus what is given."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start: datetime = START) -> None:
        self._loop, self._start = loop, start

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        return self._loop.time()


def run_virtual(main: Coroutine[Any, Any, T], *, limit: float = 7 * 86400.0) -> T:
    """Run the coroutine on virtual time; raise ``VirtualTimeExceeded`` rather than hang."""
    loop = VirtualTimeLoop(limit)
    try:
        return loop.run_until_complete(main)
    finally:
        loop.advance_without_limit()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()
