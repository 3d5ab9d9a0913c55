"""Whether answers may be paid for: there is room to store them, and to end their batches.

The look is cheap and made at most once a second, whoever asks: so a lease stops within a second of a disk that fills
up, and goes on within two of one that was freed.
"""

from batchyard.domain.events import DiskFreed, DiskShort, Emit
from batchyard.ports import Clock, Space

LOOK_SECONDS = 1.0
MEBIBYTE = 1024 * 1024


class Room:
    """Remembers the last look, and says when it turned."""

    def __init__(self, space: Space, clock: Clock, emit: Emit) -> None:
        self._space, self._clock, self._emit = space, clock, emit
        self._look_at = float("-inf")
        self._missing = 0

    def is_there(self) -> bool:
        """Whether a call may be made whose answer must be stored."""
        self._look()
        return not self._missing

    def reason(self) -> str:
        """Why no batch can be taken now, or ""."""
        self._look()
        return "its disk is nearly full" if self._missing else ""

    def _look(self) -> None:
        now = self._clock.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        was_missing, self._missing = self._missing, max(0, -self._space.spare())
        if self._missing and not was_missing:
            self._emit(DiskShort(-(-self._missing // MEBIBYTE)))
        elif was_missing and not self._missing:
            self._emit(DiskFreed())
