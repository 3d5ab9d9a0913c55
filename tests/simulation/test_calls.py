"""Calls that somebody waits for, beside a batch of thousands, on virtual time."""

import asyncio
import random
from contextlib import suppress

import msgspec
import pytest

from batchyard.dispatch.interactive import LONGEST_WAIT
from batchyard.dispatch.routed import RoutedCalls
from batchyard.domain.call_events import CallFinished
from batchyard.domain.events import LaneHeld
from batchyard.domain.outcome import Answered, Failed, Held, NotStarted, Outcome
from batchyard.domain.result import RequestError
from batchyard.ports import Call, Pick, Stream
from batchyard.testing.stores import FailingStore, Fault, SlowStore
from batchyard.testing.time import run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, Step, always, answered
from tests.simulation.world import World, world

ASKED = Call(b'{"asked": true}', "2023-06-01", batched=False)
BROKEN = Failed(RequestError("api_error", "broken"))


def calls(here: World) -> RoutedCalls:
    assert here.dispatcher is not None
    return here.dispatcher.calls


def script(*, batched: Step, asked: Step) -> ScriptedUpstream:
    return ScriptedUpstream(lambda _number, call: batched if call.batched else asked)


async def read(stream: Stream | Outcome) -> bytes:
    """Read a stream to its end."""
    assert not isinstance(stream, Outcome)
    told = b""
    while part := await stream.read():
        assert isinstance(part, bytes)
        told += part
    return told


def test_a_call_waits_for_one_attempt_to_end_though_thousands_of_requests_are_pending() -> None:
    async def main() -> None:
        upstream = script(batched=(2.0, answered()), asked=(0.5, answered("asked")))
        async with world(upstream, limit=4) as here:
            batch = await here.create(5000)
            await asyncio.sleep(30.3)
            for _ in range(20):
                began = here.clock.monotonic()
                assert await calls(here).attempt(ASKED) == answered("asked")
                assert here.clock.monotonic() - began <= 2.0 + 0.5 + 0.01

            assert upstream.most_in_flight == 4
            assert set(await here.kinds(batch)) == {"succeeded"}
            assert upstream.repeated == {ASKED.params: 19}

    run_virtual(main(), limit=86400)


def test_calls_are_served_in_turn_and_before_any_lease() -> None:
    async def main() -> None:
        upstream = script(batched=(1.0, answered()), asked=(1.0, answered()))
        async with world(upstream, limit=2) as here:
            await here.create(1000)
            await asyncio.sleep(5.5)
            asked = [Call(b'{"asked": %d}' % number, "2023-06-01", batched=False) for number in range(10)]
            before = len(upstream.calls)
            await asyncio.gather(*(calls(here).attempt(call) for call in asked))

            assert [seen.call for seen in upstream.calls[before : before + 10]] == asked
            assert upstream.most_in_flight == 2

    run_virtual(main(), limit=600)


def test_a_call_gets_the_slot_of_an_attempt_before_its_commit() -> None:
    async def main() -> None:
        upstream = script(batched=(2.0, answered()), asked=(0.5, answered()))
        here = World(upstream, limit=1)
        here.store = SlowStore(here.kept, lambda verb: 10.0 if verb == "turn" else 0.0)
        await here.start()
        await here.create(3)
        while not upstream.calls:
            await asyncio.sleep(0.1)
        began = here.clock.monotonic()

        await calls(here).attempt(ASKED)

        assert here.clock.monotonic() - began <= 2.5
        await here.kill()

    run_virtual(main(), limit=600)


def test_a_call_does_not_wait_for_slots_that_no_batch_wants() -> None:
    async def main() -> None:
        here = World(script(batched=(1.0, answered()), asked=(0.5, answered())), limit=1)
        here.store = SlowStore(here.kept, lambda verb: 0.8 if verb == "backlog" else 0.0)
        await here.start()
        for _ in range(50):
            began = here.clock.monotonic()
            await calls(here).attempt(ASKED)
            assert here.clock.monotonic() - began <= 0.8 + 0.5 + 0.01
            await asyncio.sleep(0.13)
        await here.kill()

    run_virtual(main(), limit=600)


def test_a_call_gets_the_slot_of_a_request_that_somebody_else_leased() -> None:
    async def main() -> None:
        here = World(script(batched=(1.0, answered()), asked=(0.5, answered())), limit=1)
        here.store = SlowStore(here.kept, lambda verb: 3.0 if verb == "turn" else 0.0)
        await here.start()
        batch = await here.create(1)
        await asyncio.sleep(0.1)  # a turn is under way
        await here.kept.turn("another", [], [Pick(batch.id, "", 1)], here.clock.now())

        assert isinstance(await calls(here).attempt(ASKED), Answered)
        assert here.clock.monotonic() <= 3.0 + 0.5 + 0.2
        await here.kill()

    run_virtual(main(), limit=600)


def test_a_call_that_is_cancelled_as_it_gets_its_slot_leaves_it() -> None:
    async def main() -> None:
        async with world(ScriptedUpstream(always(answered(), seconds=5.0)), limit=1) as here:
            stream = await calls(here).stream(ASKED)
            waiting = asyncio.create_task(calls(here).attempt(ASKED))
            await asyncio.sleep(1)
            assert not isinstance(stream, Outcome)

            await stream.close()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

            assert calls(here).running == 0
            assert await here.kinds(await here.create(1)) == ["succeeded"]

    run_virtual(main(), limit=600)


@pytest.mark.parametrize("seed", range(8))
def test_both_kinds_together_never_pass_the_limit(seed: int) -> None:
    chance = random.Random(seed)

    async def caller(here: World) -> None:
        await asyncio.sleep(chance.random() * 20)
        leaves_after = chance.choice([None, None, chance.random() * 3])
        with suppress(TimeoutError):
            async with asyncio.timeout(leaves_after):
                if chance.random() < 0.5:
                    assert isinstance(await calls(here).attempt(ASKED), Answered | NotStarted)
                    return
                stream = await calls(here).stream(ASKED)
                try:
                    assert isinstance(stream, NotStarted) or b"message_stop" in await read(stream)
                finally:
                    if not isinstance(stream, Outcome):
                        await stream.close()

    async def main() -> None:
        upstream = ScriptedUpstream(lambda _number, _call: (chance.random() * 2, answered()))
        here = World(upstream, limit=5, seed=seed)
        here.store = SlowStore(here.kept, lambda _verb: chance.random() * 0.3)
        await here.start()
        batch = await here.create(200)
        await asyncio.gather(*(caller(here) for _ in range(100)))

        assert await here.kinds(batch) == ["succeeded"] * 200
        assert upstream.most_in_flight == 5
        assert calls(here).running == upstream.in_flight == 0
        await here.kill()

    run_virtual(main(), limit=3600)


def test_a_stream_holds_its_slot_to_its_end() -> None:
    async def main() -> None:
        upstream = script(batched=(1.0, answered()), asked=(10.0, answered("asked")))
        async with world(upstream, limit=1) as here:
            stream = await calls(here).stream(msgspec.structs.replace(ASKED, traceparent="00-1-2-01"))
            batch = await here.create(1)
            await asyncio.sleep(4)
            assert len(upstream.calls) == 1

            assert b"asked" in await read(stream)

            assert await here.kinds(batch) == ["succeeded"]
            assert upstream.most_in_flight == 1
            [finished] = [event for event in here.events if isinstance(event, CallFinished)]
            assert (finished.outcome, finished.streamed) == ("answered", True)
            assert (finished.upstream, finished.traceparent) == ("upstream", "00-1-2-01")

    run_virtual(main(), limit=600)


def test_a_caller_who_goes_away_frees_the_slot_at_once() -> None:
    async def main() -> None:
        upstream = script(batched=(1.0, answered()), asked=(1000.0, answered()))
        async with world(upstream, limit=2) as here:
            stream = await calls(here).stream(ASKED)
            assert not isinstance(stream, Outcome)
            whole = asyncio.create_task(calls(here).attempt(ASKED))
            waiting = asyncio.create_task(calls(here).attempt(ASKED))
            await asyncio.sleep(5)
            batch = await here.create(4)

            for task in (waiting, whole):
                task.cancel()
            await stream.close()
            await stream.close()

            assert await here.kinds(batch) == ["succeeded"] * 4
            assert [seen.cut for seen in upstream.calls[:2]] == [True, True]
            assert here.clock.monotonic() < 520

    run_virtual(main(), limit=600)


def test_a_held_lane_answers_at_once() -> None:
    async def main() -> None:
        held = Held(RequestError("authentication_error", "wrong key"), 20.0)
        upstream = script(batched=(1.0, held), asked=(1.0, answered()))
        async with world(upstream, limit=1) as here:
            await here.create(5)
            await asyncio.sleep(0.5)
            waiting = asyncio.create_task(calls(here).attempt(ASKED))
            await asyncio.sleep(1.0)

            assert waiting.done()
            began = here.clock.monotonic()
            for refused in (waiting.result(), await calls(here).attempt(ASKED), await calls(here).stream(ASKED)):
                assert isinstance(refused, NotStarted)
                assert refused.error.type == "overloaded_error"
                assert "wrong key" not in refused.error.message
                assert 19.0 <= (refused.retry_after or 0.0) <= 20.0
            assert here.clock.monotonic() == began

    run_virtual(main(), limit=600)


def test_the_lane_learns_from_calls_too() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(BROKEN, seconds=0.1))
        async with world(upstream, limit=4) as here:
            outcomes = [await calls(here).attempt(ASKED) for _ in range(11)]

            assert outcomes[:10] == [BROKEN] * 10
            assert isinstance(outcomes[10], NotStarted)
            assert sum(isinstance(event, LaneHeld) for event in here.events) == 1
            upstream.script = always(answered(), seconds=0.1)
            await asyncio.sleep(2)
            assert await calls(here).attempt(ASKED) == answered()

    run_virtual(main(), limit=600)


def test_nobody_waits_longer_than_a_minute() -> None:
    async def main() -> None:
        async with world(ScriptedUpstream(always(answered(), seconds=500.0)), limit=1) as here:
            batch = await here.create(1)
            await asyncio.sleep(1)
            began = here.clock.monotonic()

            refused = await calls(here).attempt(ASKED)

            assert isinstance(refused, NotStarted)
            assert here.clock.monotonic() - began == pytest.approx(LONGEST_WAIT)
            assert await here.kinds(batch) == ["succeeded"]

    run_virtual(main(), limit=600)


def test_a_drain_refuses_new_calls_and_those_that_wait_and_lets_others_finish() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=8.0))
        here = World(upstream, limit=1)
        await here.start()
        stream = await calls(here).stream(ASKED)
        waiting = asyncio.create_task(calls(here).attempt(ASKED))
        await asyncio.sleep(0)
        reading = asyncio.create_task(read(stream))

        await here.drain()

        assert reading.done() or upstream.in_flight == 0
        assert b"message_stop" in await reading
        assert isinstance(waiting.result(), NotStarted)
        assert isinstance(await calls(here).attempt(ASKED), NotStarted)
        assert len(upstream.calls) == 1

    run_virtual(main(), limit=600)


def test_calls_go_on_while_the_store_cannot_commit() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=0.5))
        here = World(upstream, limit=2)
        down: set[str] = set()
        here.store = FailingStore(here.kept, lambda verb, _number: Fault.BEFORE if verb in down else None)
        await here.start()
        batch = await here.create(10)
        await asyncio.sleep(0.75)
        down.add("turn")
        await asyncio.sleep(5)

        began = here.clock.monotonic()
        assert await asyncio.gather(*(calls(here).attempt(ASKED) for _ in range(2))) == [answered()] * 2
        assert here.clock.monotonic() - began == pytest.approx(0.5)  # every slot is theirs meanwhile

        down.clear()
        assert await here.kinds(batch) == ["succeeded"] * 10
        await here.kill()

    run_virtual(main(), limit=600)
