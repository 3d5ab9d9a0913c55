"""The clock of a process."""

import time
from datetime import UTC, datetime


class SteadyClock:
    """Time of day that never jumps: the wall clock as it was at the start, and the seconds since.

    A machine that sleeps goes on counting, where its system has such a clock.
    """

    def __init__(self) -> None:
        self._clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self._epoch = time.time() - self.monotonic()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._epoch + time.clock_gettime(self._clock), UTC)

    def monotonic(self) -> float:
        return time.clock_gettime(self._clock)
