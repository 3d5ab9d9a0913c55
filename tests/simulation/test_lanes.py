"""Several upstreams and models on virtual time: each lane on its own, none idle while there is work for it."""

import asyncio
import random

import pytest

from batchyard.dispatch.lanes import Lanes, Place
from batchyard.domain.events import LaneHeld
from batchyard.domain.outcome import Answered, Failed, Held, NotStarted
from batchyard.domain.result import RequestError
from batchyard.domain.routes import Names, Route, Target
from batchyard.ports import Call
from batchyard.testing.time import run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, Step, always, answered
from tests.simulation.world import World

BROKEN = Failed(RequestError("api_error", "down"))
DENIED = Held(RequestError("authentication_error", "wrong key"))


def quick() -> ScriptedUpstream:
    return ScriptedUpstream(always(answered(), seconds=1.0))


def places(**upstreams: ScriptedUpstream) -> list[Place]:
    return [Place(name, upstream, 4) for name, upstream in upstreams.items()]


class Yard(World):
    """A world with several upstreams."""

    def __init__(self, places: list[Place], routes: list[Route]) -> None:
        super().__init__(quick())
        self.places, self.routes = places, routes

    def lanes(self) -> Lanes:
        return Lanes(self.places, self.routes, self.clock, self.events.append)


def test_each_model_runs_where_its_route_leads_and_both_are_full() -> None:
    async def main() -> None:
        one, two = quick(), quick()
        here = Yard(places(one=one, two=two), [Route(("a",), (Target("one"),)), Route(("b",), (Target("two"),))])
        await here.start()
        batch = await here.create(80, models=["a"] * 40 + ["b"] * 40)
        began = here.clock.monotonic()
        await here.ended(batch)

        assert here.clock.monotonic() - began < 12  # ten rounds of four: one lane did not wait behind the other
        assert len(one.calls) == len(two.calls) == 40
        assert one.most_in_flight == two.most_in_flight == 4
        assert await here.kinds(batch) == ["succeeded"] * 80
        await here.kill()

    run_virtual(main(), limit=100)


def test_models_of_one_upstream_share_its_slots() -> None:
    async def main() -> None:
        one = quick()
        here = Yard(places(one=one), [Route(("*",), (Target("one"),))])
        await here.start()
        batch = await here.create(40, models=["a", "b", "c"])
        await here.ended(batch)

        assert one.most_in_flight == 4
        assert await here.kinds(batch) == ["succeeded"] * 40
        await here.kill()

    run_virtual(main(), limit=100)


def test_weights_share_the_work_of_a_route_while_slots_are_free() -> None:
    async def main() -> None:
        one, two = quick(), quick()
        route = Route(("*",), (Target("one", 3.0), Target("two", 1.0)))
        here = Yard([Place("one", one, 300), Place("two", two, 300)], [route])
        await here.start()
        batch = await here.create(200)
        await here.ended(batch)

        assert len(one.calls) == 150
        assert len(two.calls) == 50
        await here.kill()

    run_virtual(main(), limit=100)


def test_a_target_that_is_full_leaves_the_rest_to_the_others() -> None:
    async def main() -> None:
        slow, fast = ScriptedUpstream(always(answered(), seconds=50.0)), quick()
        here = Yard(places(slow=slow, fast=fast), [Route(("*",), (Target("slow"), Target("fast")))])
        await here.start()
        batch = await here.create(100)
        await here.ended(batch)

        assert len(slow.calls) == 4
        assert len(fast.calls) == 96
        await here.kill()

    run_virtual(main(), limit=100)


def test_the_fallback_works_only_while_every_target_is_held() -> None:
    async def main() -> None:
        broken = ScriptedUpstream(lambda number, _call: (1.0, DENIED if number < 2 else answered()))
        spare = quick()
        route = Route(("*",), (Target("broken"),), (Target("spare"),))
        here = Yard(places(broken=broken, spare=spare), [route])
        await here.start()
        batch = await here.create(60)
        await here.ended(batch)

        assert await here.kinds(batch) == ["succeeded"] * 60
        assert 0 < len(spare.calls) < 40
        assert max(seen.started_at for seen in spare.calls) < 5  # not after the other was well again
        assert len(broken.calls) > 20
        assert {event.lane for event in here.events if isinstance(event, LaneHeld)} == {"broken"}
        await here.kill()

    run_virtual(main(), limit=300)


def test_a_held_lane_does_not_hold_its_neighbour() -> None:
    async def main() -> None:
        broken, good = ScriptedUpstream(always(DENIED, seconds=0.1)), quick()
        routes = [Route(("a",), (Target("broken"),)), Route(("b",), (Target("good"),))]
        here = Yard(places(broken=broken, good=good), routes)
        await here.start()
        batch = await here.create(80, models=["a", "b"])
        await asyncio.sleep(15)

        assert (await here.kept.get("w", batch.id)).counts.succeeded == 40
        assert good.most_in_flight == 4
        await here.kill()

    run_virtual(main(), limit=100)


def test_an_outage_of_hours_costs_each_request_one_attempt_at_most() -> None:
    async def main() -> None:
        down = ScriptedUpstream(lambda _n, call: (0.2, answered() if here.clock.monotonic() > 20_000 else BROKEN))
        here = Yard([Place("one", down, 16)], [Route(("*",), (Target("one"),))])
        await here.start()
        batch = await here.create(200, models=["m"])
        await here.ended(batch)

        canaries = [seen for seen in down.calls if b'"ping"' in seen.call.params]
        first_failures = len(down.calls) - len(canaries) - 200
        assert await here.kinds(batch) == ["succeeded"] * 200
        assert first_failures <= 2 * 16
        assert 20_000 / 30 * 0.9 < len(canaries) < 20_000 / 30 * 1.1 + 20
        assert {seen.call.params for seen in canaries} == {canaries[0].call.params}
        await here.kill()

    run_virtual(main(), limit=40_000)


def test_a_lane_that_nobody_wants_is_left_alone() -> None:
    async def main() -> None:
        down = ScriptedUpstream(always(DENIED, seconds=0.1))
        here = Yard(places(one=down), [Route(("*",), (Target("one"),))])
        await here.start()
        batch = await here.create(4, models=["m"])
        await asyncio.sleep(5)
        await here.kept.cancel("w", batch.id, here.clock.now())
        here.wake()
        await asyncio.sleep(100)
        calls = len(down.calls)
        await asyncio.sleep(10_000)

        assert len(down.calls) == calls
        await here.kill()

    run_virtual(main(), limit=20_000)


def test_a_call_that_waits_has_the_lane_looked_at() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(lambda number, _call: (0.1, DENIED if number < 2 else answered()))
        here = Yard([Place("one", upstream, 2)], [Route(("*",), (Target("one"),))])
        await here.start()
        assert here.dispatcher is not None
        call = Call(b'{"model": "m"}', "2023-06-01", batched=False)
        assert isinstance(await here.dispatcher.calls.attempt(call), Held)
        await asyncio.sleep(1.5)
        began = here.clock.monotonic()

        first, second = await asyncio.gather(*(here.dispatcher.calls.attempt(call) for _ in range(2)))

        assert isinstance(first, NotStarted)
        assert isinstance(second, NotStarted)  # the canary was refused as well
        assert here.clock.monotonic() - began < 0.3  # at once, not at the next look at the backlog
        await asyncio.sleep(3)
        assert isinstance(await here.dispatcher.calls.attempt(call), Answered)
        await here.kill()

    run_virtual(main(), limit=100)


def test_a_model_without_a_route_is_an_errored_line_that_names_it() -> None:
    async def main() -> None:
        one = quick()
        here = Yard(places(one=one), [Route(("a",), (Target("one"),))])
        await here.start()
        batch = await here.create(4, models=["a", "nobody's"])
        await here.ended(batch)

        assert await here.kinds(batch) == ["succeeded", "errored", "succeeded", "errored"]
        assert len(one.calls) == 2
        await here.kill()

    run_virtual(main(), limit=100)


def test_an_upstream_is_asked_for_its_own_name_of_the_model() -> None:
    async def main() -> None:
        one = quick()
        place = Place("one", one, 4, Names(instead={"claude-*": "qwen3"}))
        here = Yard([place], [Route(("*",), (Target("one"),))])
        await here.start()
        batch = await here.create(2, models=["claude-x", "other"])
        await here.ended(batch)

        sent = sorted(seen.call.params for seen in one.calls)
        assert sum(b"model" in params for params in sent) == 1
        assert sum(params.endswith(b',"model":"qwen3"}') for params in sent) == 1
        await here.kill()

    run_virtual(main(), limit=100)


@pytest.mark.parametrize("seed", range(4))
def test_slots_are_kept_however_lanes_fail(seed: int) -> None:
    async def main() -> None:
        dice = random.Random(seed)

        def some(_number: int, _call: Call) -> Step:
            return dice.choice((0.1, 1.0, 7.0)), DENIED if dice.random() < 0.02 else answered()

        upstreams = {name: ScriptedUpstream(some) for name in ("one", "two", "three")}
        routes = [
            Route(("a",), (Target("one"), Target("two", 2.0)), (Target("three"),)),
            Route(("b",), (Target("two"),), (Target("one"), Target("three"))),
        ]
        here = Yard(places(**upstreams), routes)
        await here.start()
        batches = [await here.create(60, models=["a", "b", "b"], workspace=name) for name in ("w", "v")]
        for batch in batches:
            await here.ended(batch)

        assert all(upstream.most_in_flight <= 4 for upstream in upstreams.values())
        assert here.dispatcher is not None
        assert here.dispatcher.in_flight == here.dispatcher.calls.running == 0
        await here.kill()

    run_virtual(main(), limit=20_000)


def test_batches_wait_for_the_hours_of_an_upstream_and_calls_do_not() -> None:
    async def main() -> None:
        one = quick()
        here = Yard([], [Route(("*",), (Target("one"),))])
        here.places = [Place("one", one, 4, is_open=lambda: here.clock.monotonic() > 3600)]
        await here.start()
        batch = await here.create(8, models=["m"])
        await asyncio.sleep(3000)
        assert here.dispatcher is not None
        asked = await here.dispatcher.calls.attempt(Call(b'{"model": "m"}', "2023-06-01", batched=False))
        assert isinstance(asked, Answered)
        assert len(one.calls) == 1

        await here.ended(batch)
        assert 3600 < here.clock.monotonic() < 3605
        await here.kill()

    run_virtual(main(), limit=5000)
