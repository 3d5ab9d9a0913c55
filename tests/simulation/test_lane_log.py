"""The history of lanes on virtual time: what a minute comes to, and that a store in trouble ends nothing."""

import asyncio
from collections.abc import Sequence

import pytest

from batchyard.dispatch.lane_log import LaneLog
from batchyard.domain.errors import StoreUnavailable
from batchyard.domain.events import BugFound, StoreFailed
from batchyard.domain.lane_history import MOST_LANES, LaneMinute, averaged
from batchyard.ports import LaneHistory
from batchyard.store.memory_lanes import MemoryLaneHistory
from batchyard.testing.time import run_virtual
from tests.simulation.test_board import yard
from tests.simulation.test_lanes import quick
from tests.web.lanes import a_lane


def test_a_lane_that_works_has_a_row_for_each_minute_and_an_idle_one_has_none() -> None:
    async def main() -> None:
        here, history = yard(one=quick()), MemoryLaneHistory()
        await here.start()
        assert here.dispatcher is not None
        log = LaneLog(here.dispatcher.board, history, here.clock, here.events.append, owner="us")
        running = asyncio.create_task(log.run())
        first = int(here.clock.now().timestamp()) // 60
        await here.create(720, models=["a"])  # four at a time, a second each: three minutes
        await here.asleep(600)

        assert await history.lanes(0) == ["one/a"]
        minutes = await history.minutes("one/a", 0)
        assert [one.minute for one in minutes] == list(range(first, first + len(minutes)))
        assert 3 <= len(minutes) <= 4
        assert [(one.limit, one.busy) for one in minutes[1:-1]] == [(4.0, 4.0)] * (len(minutes) - 2)
        assert minutes[0].pending > minutes[1].pending > 0
        assert minutes[1].usual == pytest.approx(1.0, rel=0.15)
        running.cancel()
        await here.kill()

    run_virtual(main(), limit=700)


class FailingHistory(MemoryLaneHistory):
    """Cannot be written for a while."""

    def __init__(self, fault: Exception) -> None:
        super().__init__()
        self.fault: Exception | None = fault

    async def note(self, owner: str, minutes: Sequence[LaneMinute]) -> None:
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        await super().note(owner, minutes)


@pytest.mark.parametrize(("fault", "told"), [(StoreUnavailable("full"), StoreFailed), (ValueError("a bug"), BugFound)])
def test_a_minute_that_cannot_be_kept_is_a_gap_and_no_more(fault: Exception, told: type) -> None:
    async def main() -> None:
        here = yard(one=quick())
        history: LaneHistory = FailingHistory(fault)
        await here.start()
        assert here.dispatcher is not None
        log = LaneLog(here.dispatcher.board, history, here.clock, here.events.append, owner="us")
        running = asyncio.create_task(log.run())
        first = int(here.clock.now().timestamp()) // 60
        await here.create(1200, models=["a"])
        await here.asleep(250)

        assert [type(event) for event in here.events if isinstance(event, told)] == [told]
        minutes = [one.minute for one in await history.minutes("one/a", 0)]
        assert minutes == list(range(first + 1, first + 1 + len(minutes)))
        assert len(minutes) >= 2
        running.cancel()
        await here.kill()

    run_virtual(main(), limit=400)


def test_a_minute_is_the_average_of_its_looks() -> None:
    busy = a_lane("local", "m", requests=30, calls=1, committing=1, pending=10, limit=32)
    slower = a_lane("local", "m", requests=8, committing=0, pending=0, limit=16, seconds_usual=9.0)
    idle = a_lane("local", "m", requests=0, committing=0, pending=0, limit=64)
    quiet = a_lane("local", "quiet", requests=0, committing=0)

    assert averaged(7, [[busy, quiet], [slower], [idle], []]) == [
        LaneMinute(7, "local/m", limit=24.0, busy=10.0, pending=2.5, usual=9.0, slow=4.9)
    ]
    assert averaged(7, [[quiet], []]) == []


def test_of_many_lanes_the_busiest_are_kept() -> None:
    lanes = [a_lane("local", f"m{number}", requests=number, committing=0) for number in range(1, 100)]

    found = averaged(7, [lanes])

    assert len(found) == MOST_LANES
    assert [one.busy for one in found[:2]] == [99.0, 98.0]
