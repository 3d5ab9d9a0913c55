"""Room on the disk: what is held back, who is refused, and when it is said."""

import os
from datetime import datetime
from pathlib import Path

import pytest

from batchyard.blobs.space import FolderSpace
from batchyard.dispatch.room import LOOK_SECONDS, Room
from batchyard.domain.errors import Overloaded
from batchyard.domain.events import DiskFreed, DiskShort, Event
from batchyard.web.room import Promises

MEBIBYTE = 1024 * 1024


class SetSpace:
    """A ``Space`` that a test sets."""

    def __init__(self, spare: int) -> None:
        self.bytes = spare
        self.looks = 0

    def spare(self) -> int:
        self.looks += 1
        return self.bytes


class SetClock:
    """A ``Clock`` whose seconds a test sets."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        raise AssertionError("the time of day has nothing to do with room")


def test_a_folder_has_what_is_free_less_the_reserve_and_what_is_owed(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    free = disk.f_bavail * disk.f_frsize

    spare = FolderSpace(tmp_path, 5 * MEBIBYTE, lambda: 7 * MEBIBYTE).spare()

    assert spare == pytest.approx(free - 12 * MEBIBYTE, abs=64 * MEBIBYTE)  # others write to this disk too


def test_the_reserve_is_at_most_a_tenth_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = os.statvfs_result((4096, 4096, 1000, 500, 500, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: small)

    assert FolderSpace(tmp_path, 2**40, lambda: 0).spare() == 400 * 4096
    assert FolderSpace(tmp_path, 4096, lambda: 4096).spare() == 498 * 4096


def test_a_folder_that_cannot_be_asked_keeps_nobody_waiting(tmp_path: Path) -> None:
    assert FolderSpace(tmp_path / "gone", MEBIBYTE, lambda: 0).spare() >= 0


def test_a_short_disk_is_said_once_and_so_is_its_end() -> None:
    space, clock, events = SetSpace(10), SetClock(), list[Event]()
    room = Room(space, clock, events.append)

    assert room.is_there()
    assert room.reason() == ""
    space.bytes = -3 * MEBIBYTE
    assert room.is_there(), "a look is remembered for a second"
    for _ in range(3):
        clock.seconds += LOOK_SECONDS
        assert not room.is_there()
    assert room.reason() == "its disk is nearly full"
    space.bytes = 0
    clock.seconds += LOOK_SECONDS
    assert room.is_there()

    assert events == [DiskShort(3), DiskFreed()]
    assert space.looks == 5


def test_creates_do_not_count_on_the_same_room() -> None:
    promises = Promises(SetSpace(100))

    with promises.body("w1", 60) as first:
        with pytest.raises(Overloaded), promises.body("w2", 60):
            pass
        with promises.body("w2", 40):
            pass
        first.writes(60)
        with promises.body("w2", 60):
            pass
    with promises.body("w1", 100):
        pass


def test_creates_that_one_workspace_holds_open_leave_room_to_others() -> None:
    promises = Promises(SetSpace(100))

    with promises.body("w1", 40), promises.body("w1", 40):
        with pytest.raises(Overloaded), promises.body("w1", 1):
            pass
        with promises.body("w2", 20):
            pass
    with promises.body("w1", 100):
        pass


def test_what_was_not_announced_is_asked_for_as_it_comes() -> None:
    space = SetSpace(100)
    promises = Promises(space)

    with promises.body("w1", 0) as unknown:
        for _ in range(2):
            unknown.writes(50)
            space.bytes -= 50
        with pytest.raises(Overloaded):
            unknown.writes(1)
    with promises.body("w1", 0) as unknown, pytest.raises(Overloaded):
        unknown.grow(1)
