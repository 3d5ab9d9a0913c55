"""A server that queues and tells of it: batches keep its line short, for those who call it beside them."""

import asyncio
import random

import pytest

from batchyard.dispatch.lanes import Place
from batchyard.domain.engine_line import EngineLoad
from batchyard.domain.events import BugFound
from batchyard.domain.outcome import Answered
from batchyard.domain.routes import Route, Target
from batchyard.ports import Call, EngineGauge
from batchyard.testing.engines import Engine, Job
from batchyard.testing.time import run_virtual
from tests.simulation.test_lanes import Yard

ASKED = Call(b'{"model": "m"}', "2023-06-01", batched=False)


class Gauge:
    """What the engine would tell; None while it is out of order."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.looks, self.is_broken = engine, 0, False

    async def load(self) -> EngineLoad | None:
        self.looks += 1
        await asyncio.sleep(0.02)
        if self.is_broken:
            raise RuntimeError("a bug of the gauge")
        return EngineLoad(self.engine.waiting, self.engine.running)

    async def close(self) -> None:
        pass


def yard(engine: Engine, gauge: EngineGauge | None) -> Yard:
    return Yard([Place("one", engine, 256, gauge=gauge, line=2)], [Route(("*",), (Target("one"),))])


def uneven(seed: int) -> Engine:
    dice = random.Random(seed)
    return Engine(20, lambda _call: Job(dice.uniform(0.25, 0.75)))


@pytest.mark.parametrize("seed", range(2))
def test_callers_wait_for_a_handful_of_calls_and_the_engine_is_never_idle(seed: int) -> None:
    async def main() -> None:
        engine = uneven(seed)
        here = yard(engine, Gauge(engine))
        await here.start()
        await here.create(3_000, models=["m"])
        await here.asleep(4.0)
        waits = []
        assert here.dispatcher is not None
        for _ in range(40):
            await here.asleep(1.0)
            began = len(engine.books.waited)
            assert isinstance(await here.dispatcher.calls.attempt(ASKED), Answered)
            waits += [seconds for call, _, seconds in engine.books.waited[began:] if call is ASKED]

        assert len(waits) == 40
        assert sum(waits) / len(waits) <= 0.15  # behind all 256 it would be 5.9 s
        assert engine.books.rate(5, 40) >= 0.95 * 20 / 0.5
        await here.asleep(0.1)
        [upstream] = here.dispatcher.board.board().upstreams
        assert upstream.running == 20
        assert 22 <= (upstream.room or 0) <= 25
        [lane] = [one for one in here.dispatcher.board.board().lanes if one.model == "m"]
        assert lane.waiting == "line"
        await here.kill()

    run_virtual(main(), limit=200)


def test_callers_who_come_by_another_way_have_it_to_themselves() -> None:
    async def main() -> None:
        engine = uneven(1)
        here = yard(engine, Gauge(engine))
        await here.start()
        await here.create(2_500, models=["m"])
        await here.asleep(5.0)
        begin = len(engine.books.waited)

        async def one_caller() -> None:
            for _ in range(30):
                await engine.attempt(ASKED)

        callers = asyncio.gather(*(one_caller() for _ in range(15)))
        await here.asleep(8.0)
        assert here.dispatcher is not None
        assert here.dispatcher.in_flight <= 9
        await callers
        theirs = [seconds for call, _, seconds in engine.books.waited[begin:] if call is ASKED]
        assert sum(theirs) / len(theirs) <= 0.2

        await here.asleep(15.0)
        assert here.dispatcher.in_flight >= 20
        await here.kill()

    run_virtual(main(), limit=200)


def test_a_gauge_that_breaks_stops_nothing_and_is_asked_seldom() -> None:
    async def main() -> None:
        engine = Engine(1000, lambda _call: Job(1.0))
        gauge = Gauge(engine)
        gauge.is_broken = True
        here = yard(engine, gauge)
        await here.start()
        await here.create(18_000, models=["m"])
        await here.asleep(65.0)

        assert engine.in_flight == 256
        assert gauge.looks == 3
        assert len([event for event in here.events if isinstance(event, BugFound)]) == 3
        await here.kill()

    run_virtual(main(), limit=200)


def test_a_server_without_work_of_ours_is_not_looked_into() -> None:
    async def main() -> None:
        engine = Engine(20, lambda _call: Job(0.5))
        gauge = Gauge(engine)
        here = yard(engine, gauge)
        await here.start()
        await here.asleep(60.0)
        assert gauge.looks == 0

        await here.ended(await here.create(100, models=["m"]))
        looks = gauge.looks
        assert looks >= 1
        await here.asleep(60.0)
        assert gauge.looks <= looks + 1
        await here.kill()

    run_virtual(main(), limit=200)
