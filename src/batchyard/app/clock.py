"""The clock of a process: the time of day without the jumps of the wall clock.

first start of a boot     the wall clock is believed, and noted in the data folder
while it runs             the machine's running time is added; the wall clock is only compared
restart in the same boot  the note is believed, not the wall clock
restart on another boot   the wall clock is believed again, but not that it is earlier than what was noted last, and
                          deadlines are held for ten minutes
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from batchyard.domain.errors import StoreUnavailable
from batchyard.domain.events import ClockJumped, Emit

NAME = "clock.json"
HOLD_SECONDS = 600.0
"""How long nothing expires or goes after a restart on another boot: time to see the alarm and to set the clock."""
NOTE_SECONDS = 60.0
"""How often the time of day is noted. A machine may boot with a clock of years ago: what waits would wait for years."""
JUMP_SECONDS = 5.0
"""A wall clock that is further off than it was is told of; less is what time servers do to it all day."""

FOLLOW_SECONDS = 60.0
LARGEST_STEP = 0.05
"""Seconds that a clock is set by each minute: ten times what a bad one drifts, and nothing that a deadline notices."""


class Machine:
    """The clocks of this machine. ``boot`` names its boot, "" where the system does not tell."""

    def __init__(self) -> None:
        number = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # counts while the machine sleeps
        self.running: Callable[[], float] = partial(time.clock_gettime, number)  # it is asked several times a call
        self.boot = ""
        with suppress(OSError):
            self.boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()

    def wall(self) -> float:
        return time.time()


class SteadyClock:
    """Time of day that never jumps: ``epoch`` is when the machine's running time was 0; without one the wall clock
    says it now."""

    def __init__(self, machine: Machine | None = None, epoch: float | None = None) -> None:
        self._machine = machine or Machine()
        self.monotonic = self._machine.running
        self._epoch = self._machine.wall() - self._machine.running() if epoch is None else epoch

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._epoch + self.monotonic(), UTC)


class _Note(msgspec.Struct, frozen=True):
    """What a data folder knows of time: the boot, its epoch, and its running time when that was noted."""

    boot: str
    epoch: float
    running: float


class FolderClock(SteadyClock):
    """The clock of a server. ``is_new``: nothing in the folder has a deadline yet."""

    def __init__(self, folder: Path, *, is_new: bool, machine: Machine | None = None) -> None:
        self._machine = machine or Machine()
        self._path = folder / NAME
        note = _read(self._path)
        wall, running = self._machine.wall(), self._machine.running()
        same = note is not None and note.boot == self._machine.boot != "" and note.running <= running
        latest = note.epoch + note.running if note else 0.0
        super().__init__(self._machine, note.epoch if note and same else max(wall, latest) - running)
        self._note_at = running + NOTE_SECONDS if same else float("-inf")
        self._hold_until = self.monotonic() + (0.0 if same or is_new else HOLD_SECONDS)
        self._apart = 0.0

    def holds(self) -> bool:
        """Whether deadlines and retention wait: the wall clock that was believed may still prove wrong."""
        return self.monotonic() < self._hold_until

    def look(self, emit: Emit) -> None:
        """Tell of a wall clock that jumped, and note the time of day once it stands. Called again and again."""
        apart = self._machine.wall() - self._machine.running() - self._epoch
        if abs(apart - self._apart) >= JUMP_SECONDS:
            self._apart = apart
            emit(ClockJumped(round(apart, 1)))
        # Not noted while it is held: whoever sets the clock and starts again is believed anew.
        now = self.monotonic()
        if now >= self._note_at and not self.holds():
            with suppress(OSError):  # a disk in trouble; the next look tries again
                _write(self._path, _Note(self._machine.boot, self._epoch, now))
                self._note_at = now + NOTE_SECONDS

    @property
    def is_noted(self) -> bool:
        """Whether a restart in this boot would go on with this time of day."""
        return self._note_at > float("-inf")


class DatabaseClock(SteadyClock):
    """The clock of a process of several: the database's time, so that all of them tell the same.

    It is asked again every minute. What this machine's clock has drifted since is made up for little by little: time
    neither jumps nor goes back.
    """

    def __init__(self, ask: Callable[[], Awaitable[datetime]]) -> None:
        super().__init__()
        self._ask = ask
        self._apart = 0.0

    async def set(self) -> None:
        """Take the database's time. Once, before anybody asks for the time."""
        self._epoch += await self._behind()

    async def follow(self) -> None:
        """Stay with the database's time. For ever."""
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            with suppress(StoreUnavailable):
                self._apart = await self._behind()
                self._epoch += max(-LARGEST_STEP, min(LARGEST_STEP, self._apart))

    async def _behind(self) -> float:
        """Return how many seconds we are behind: the answer is from the middle of the time it took."""
        asked = self.now()
        told = await self._ask()
        return (told - asked - (self.now() - asked) / 2).total_seconds()

    def holds(self) -> bool:
        """The database's clock is believed."""
        return False

    def look(self, emit: Emit) -> None:
        """Tell of a database whose clock jumped."""
        if abs(self._apart) >= JUMP_SECONDS:
            emit(ClockJumped(round(self._apart, 1)))
            self._apart = 0.0


def _read(path: Path) -> _Note | None:
    """Return the note; a damaged one is none, which holds deadlines and loses nothing."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Note)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _write(path: Path, note: _Note) -> None:
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(msgspec.json.encode(note) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
