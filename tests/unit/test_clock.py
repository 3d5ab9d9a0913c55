"""The clock of a server: what jumps of the wall clock do to it, while it runs and over restarts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from batchyard.app.clock import HOLD_SECONDS, NAME, NOTE_SECONDS, FolderClock, Machine, SteadyClock
from batchyard.domain.events import ClockJumped, Event

HOUR, DAY = 3600.0, 86_400.0
JUMPS = [HOUR, DAY, 30 * DAY, -HOUR, -DAY, -30 * DAY]


class SetMachine(Machine):
    """A machine whose clocks a test sets."""

    def __init__(self) -> None:
        self.boot = "first"
        self.seconds = 50.0
        self.time = 1_800_000_000.0

    def wall(self) -> float:
        return self.time

    def running(self) -> float:
        return self.seconds

    def live(self, seconds: float) -> None:
        self.seconds += seconds
        self.time += seconds

    def reboot(self, boot: str) -> None:
        self.boot = boot
        self.seconds = 3.0


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def began(folder: Path, machine: Machine, *, is_new: bool = False) -> FolderClock:
    """Return the clock of a server that was just started."""
    clock = FolderClock(folder, is_new=is_new, machine=machine)
    clock.look(lambda _: None)
    return clock


def test_the_clock_of_this_machine_goes_with_it() -> None:
    clock = SteadyClock()

    assert abs((clock.now() - datetime.now(UTC)).total_seconds()) < 60
    assert clock.monotonic() <= clock.monotonic()


@pytest.mark.parametrize("jump", JUMPS)
def test_a_jump_while_it_runs_moves_nothing_and_is_told_once(tmp_path: Path, jump: float) -> None:
    machine, events = SetMachine(), list[Event]()
    clock = began(tmp_path, machine, is_new=True)

    machine.live(10)
    machine.time += jump
    for _ in range(3):
        clock.look(events.append)

    assert clock.now() == at(1_800_000_010.0)
    assert not clock.holds()
    assert events == [ClockJumped(jump)]


@pytest.mark.parametrize("jump", JUMPS)
def test_a_jump_over_a_restart_within_one_boot_moves_nothing(tmp_path: Path, jump: float) -> None:
    machine, events = SetMachine(), list[Event]()
    began(tmp_path, machine, is_new=True)

    machine.live(10)
    machine.time += jump
    clock = FolderClock(tmp_path, is_new=False, machine=machine)
    clock.look(events.append)

    assert clock.now() == at(1_800_000_010.0)
    assert not clock.holds()
    assert events == [ClockJumped(jump)]


def test_another_boot_believes_the_wall_clock_and_holds_deadlines_for_ten_minutes(tmp_path: Path) -> None:
    machine = SetMachine()
    began(tmp_path, machine, is_new=True)
    machine.reboot("second")
    machine.time += 5 * DAY

    clock = began(tmp_path, machine)

    assert clock.now() == at(machine.time)
    assert clock.holds()
    machine.live(HOLD_SECONDS - 0.1)
    assert clock.holds()
    machine.live(0.1)
    assert not clock.holds()


def test_another_boot_with_an_old_clock_goes_on_where_it_was(tmp_path: Path) -> None:
    machine, events = SetMachine(), list[Event]()
    clock = began(tmp_path, machine, is_new=True)
    machine.live(3 * DAY)
    clock.look(lambda _: None)
    machine.live(NOTE_SECONDS / 2)
    before = clock.now()
    machine.reboot("second")
    machine.time = 0.0

    clock = FolderClock(tmp_path, is_new=False, machine=machine)
    clock.look(events.append)

    assert timedelta() <= before - clock.now() <= timedelta(seconds=NOTE_SECONDS)
    assert clock.holds()
    assert [type(event) for event in events] == [ClockJumped]


def test_a_clock_that_is_set_while_deadlines_are_held_is_believed_after_a_restart(tmp_path: Path) -> None:
    machine = SetMachine()
    began(tmp_path, machine, is_new=True)
    machine.reboot("second")
    machine.time += 30 * DAY
    began(tmp_path, machine)
    machine.live(HOLD_SECONDS / 2)
    machine.time -= 30 * DAY

    clock = began(tmp_path, machine)

    assert clock.now() == at(machine.time)
    assert clock.holds()


def test_after_the_hold_a_restart_believes_what_was_noted(tmp_path: Path) -> None:
    machine = SetMachine()
    machine.reboot("second")
    clock = began(tmp_path, machine)
    machine.live(HOLD_SECONDS)
    clock.look(lambda _: None)
    right = machine.time
    machine.time += DAY

    clock = began(tmp_path, machine)

    assert clock.now() == at(right)
    assert not clock.holds()


def test_a_damaged_note_and_a_system_without_boots_hold_deadlines(tmp_path: Path) -> None:
    machine = SetMachine()
    began(tmp_path, machine, is_new=True)
    (tmp_path / NAME).write_bytes(b'{"boot": 7')
    assert began(tmp_path, machine).holds()

    machine.boot = ""
    began(tmp_path, machine, is_new=True)
    assert began(tmp_path, machine).holds()


def test_a_machine_that_went_back_in_time_counts_as_another(tmp_path: Path) -> None:
    machine = SetMachine()
    began(tmp_path, machine, is_new=True)
    machine.seconds -= 10.0

    assert began(tmp_path, machine).holds()
