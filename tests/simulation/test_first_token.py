"""Batches beside callers who wait for their first token: they keep within the operator's target, at a known price."""

import asyncio
import random
import zlib
from collections.abc import Callable

import pytest

from batchyard.dispatch.lanes import Place
from batchyard.domain.outcome import Answered, Outcome
from batchyard.domain.routes import Route, Target
from batchyard.ports import Call, Stream
from batchyard.testing.engines import Engine, Job, SharedEngine
from batchyard.testing.time import run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, always, answered
from tests.simulation.test_lanes import Yard

TARGET = 0.5
CALLERS = 40


def asked(number: int) -> Call:
    return Call(b'{"model": "m", "caller": %d}' % number, "2023-06-01", batched=False)


def queueing(seed: int) -> Engine:
    """Twenty calls at once, the rest in line; half a second each, and a tenth of it to the first token."""
    return Engine(20, lambda call: _job(call, seed, 0.5, 0.05))


def decoding(seed: int) -> Engine:
    """A GPU that works on all at once, each the slower for it; alone a first token takes 0.1 s and an answer 2 s."""
    return SharedEngine(lambda call: _job(call, seed, 2.0, 0.1), lambda calls: 1.0 / (1.0 + calls / 16))


def _job(call: Call, seed: int, seconds: float, first: float) -> Job:
    dice = random.Random(zlib.crc32(call.params) ^ seed)
    return Job(seconds * dice.uniform(0.5, 1.5), first=first * dice.uniform(0.5, 1.5))


def yard(engine: Engine, first_token: float | None, limit: int = 256) -> Yard:
    return Yard([Place("one", engine, limit, first_token=first_token)], [Route(("*",), (Target("one"),))])


def measured(engine: Callable[[int], Engine], seed: int, first_token: float | None) -> tuple[float, float]:
    """Return what nine in ten callers, one a second, waited for a first token, and answers a second of all.

    A batch is there from the start, callers come after ten seconds.
    """

    async def main() -> tuple[float, float]:
        server = engine(seed)
        here = yard(server, first_token)
        await here.start()
        await here.create(3_000, models=["m"])
        await here.asleep(10.0)
        assert here.dispatcher is not None
        calls, began = here.dispatcher.calls, asyncio.get_running_loop().time()
        callers = []
        for number in range(CALLERS):
            callers.append(asyncio.create_task(calls.attempt(asked(number))))
            await here.asleep(1.0)
        rate = server.books.rate(began, began + CALLERS)
        assert not here.is_idle
        assert all(isinstance(one, Answered) for one in await asyncio.gather(*callers))
        took = sorted(seconds for call, _, seconds in server.books.began if b"caller" in call.params)
        assert len(took) == CALLERS
        await here.kill()
        return took[CALLERS * 9 // 10 - 1], rate

    return run_virtual(main(), limit=400)


@pytest.mark.parametrize(("engine", "kept", "seed"), [(queueing, 0.97, 1), (decoding, 0.75, 0), (decoding, 0.75, 1)])
def test_callers_have_their_first_token_near_the_target(
    engine: Callable[[int], Engine], kept: float, seed: int
) -> None:
    late, full = measured(engine, seed, None)
    soon, rate = measured(engine, seed, TARGET)

    assert late >= 2.0 * TARGET
    assert soon <= 1.25 * TARGET
    assert rate >= kept * full


def test_a_target_that_is_met_leaves_the_lane_as_it_was() -> None:
    async def main() -> None:
        engine = Engine(1000, lambda _call: Job(1.0, first=0.2))
        here = yard(engine, TARGET, 100)
        await here.start()
        await here.create(2_000, models=["m"])
        await here.asleep(10.0)

        assert engine.in_flight == 100
        await here.kill()

    run_virtual(main(), limit=100)


def test_others_of_the_same_server_push_batches_back_and_leave_it_to_them_again() -> None:
    async def main() -> None:
        engine = queueing(1)
        here = yard(engine, TARGET)
        await here.start()
        await here.create(4_000, models=["m"])
        await here.asleep(20.0)
        assert here.dispatcher is not None
        assert here.dispatcher.in_flight >= 20

        async def one_other(number: int) -> None:
            for turn in range(60):
                await engine.attempt(asked(1000 * number + turn))

        others = asyncio.gather(*(one_other(number) for number in range(40)))
        await here.asleep(30.0)
        assert here.dispatcher.in_flight <= 4
        [lane] = [one for one in here.dispatcher.board.board().lanes if one.model == "m"]
        assert (lane.waiting, lane.bounded_by) == ("first_token", "first_token")
        assert (lane.seconds_first or 0.0) > TARGET
        await others
        await here.asleep(60.0)
        assert here.dispatcher.in_flight >= 20
        await here.kill()

    run_virtual(main(), limit=400)


def test_what_callers_wait_for_counts_where_they_are_heard_and_the_batch_is_let_be() -> None:
    async def main() -> None:
        long, short = Job(2.0, first=1.5), Job(1.0, first=0.1)  # the batch's prompts are long, on an idle server too
        engine = Engine(1000, lambda call: short if b"caller" in call.params else long)
        here = yard(engine, TARGET, 64)
        await here.start()
        await here.create(3_000, models=["m"])
        await here.asleep(40.0)
        assert here.dispatcher is not None
        assert here.dispatcher.in_flight == 1
        for number in range(80):
            await here.dispatcher.calls.attempt(asked(number))

        assert here.dispatcher.in_flight >= 12
        await here.kill()

    run_virtual(main(), limit=400)


class Telling(ScriptedUpstream):
    """Its streams begin at once with a ping, tell their first word after two seconds and end after four."""

    async def stream(self, call: Call) -> Stream | Outcome:
        return Spoken()


class Spoken:
    """Implements ``Stream``."""

    def __init__(self) -> None:
        self.parts = [b"event: ping\n\n", b"event: content_block_delta\n\n", b"event: content_block_delta\n\n", b""]

    async def read(self) -> bytes | Outcome:
        await asyncio.sleep(2.0 if len(self.parts) in (2, 3) else 0.0)
        return self.parts.pop(0)

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("streamed", [True, False])
def test_callers_are_heard_as_they_stream_or_with_the_whole_answer(streamed: bool) -> None:
    async def main() -> None:
        here = Yard(
            [Place("one", Telling(always(answered(), seconds=2.0)), 64, first_token=1.0)],
            [Route(("*",), (Target("one"),))],
        )
        await here.start()
        assert here.dispatcher is not None
        for number in range(20):
            call = here.dispatcher.calls.stream if streamed else here.dispatcher.calls.attempt
            answer = await call(asked(number))
            while streamed:
                assert not isinstance(answer, Outcome)
                if not await answer.read():
                    break

        [lane] = [one for one in here.dispatcher.board.board().lanes if one.model == "m"]
        assert lane.seconds_first == pytest.approx(2.0)
        await here.kill()

    run_virtual(main(), limit=400)
