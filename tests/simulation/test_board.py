"""What an operator sees of lanes, and what a pause does, on virtual time."""

from dataclasses import replace

import pytest

from batchyard.domain.errors import NotFound
from batchyard.domain.lane_state import LaneState
from batchyard.domain.outcome import Failed, Held, NotStarted
from batchyard.domain.result import RequestError
from batchyard.domain.routes import Route, Target
from batchyard.ports import Call
from batchyard.testing.time import run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, always, answered
from tests.simulation.test_lanes import Yard, places, quick

BUSY = NotStarted(RequestError("rate_limit_error", "too many"))
CALL = Call(b'{"model": "a"}', "2023-06-01")


def yard(**upstreams: ScriptedUpstream) -> Yard:
    """Model ``a`` leads to the first upstream, and to the second while that is away."""
    names = list(upstreams)
    fallback = tuple(Target(name) for name in names[1:])
    return Yard(places(**upstreams), [Route(("*",), (Target(names[0]),), fallback)])


def lane(here: Yard, name: str) -> LaneState:
    assert here.dispatcher is not None
    [found] = [one for one in here.dispatcher.board.board().lanes if one.lane == name]
    return found


async def pause(here: Yard, upstream: str, model: str | None = None, *, paused: bool = True) -> str:
    assert here.dispatcher is not None
    return await here.dispatcher.board.pause(upstream, model, paused=paused)


def test_a_lane_that_works_shows_what_it_does() -> None:
    async def main() -> None:
        here = yard(one=quick())
        await here.start()
        await here.create(200, models=["a"])
        await here.asleep(20.5)

        seen = lane(here, "one/a")
        assert (seen.upstream, seen.model, seen.state, seen.limit, seen.bounded_by) == ("one", "a", "open", 4, None)
        assert (seen.requests, seen.waiting, seen.pending) == (4, "slots", 200 - 84)
        assert seen.seconds_usual == pytest.approx(1.0, rel=0.15)
        assert seen.answers_per_second == pytest.approx(4.0, rel=0.1)
        assert seen.last_trouble is None
        assert here.dispatcher is not None
        [upstream] = here.dispatcher.board.board().upstreams
        assert (upstream.limit, upstream.share, upstream.taken, upstream.paused) == (4, 4, 4, False)
        await here.kill()

    run_virtual(main(), limit=100)


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        (Held(RequestError("authentication_error", "wrong key")), "held", "wrong key"),
        (Failed(RequestError("api_error", "a prompt")), "held", "failed: api_error"),
    ],
)
def test_a_lane_in_trouble_says_what_it_is_and_since_when(outcome: Held | Failed, state: str, reason: str) -> None:
    async def main() -> None:
        here = yard(one=ScriptedUpstream(always(outcome, seconds=0.5)))
        await here.start()
        await here.create(40, models=["a"])
        await here.asleep(20)

        seen = lane(here, "one/a")
        assert (seen.state, seen.waiting, seen.bounded_by) == (state, state, "outage")
        assert 0 < (seen.opens_in or 0) <= 30
        assert seen.last_trouble is not None
        assert seen.last_trouble.reason == reason
        assert 0 <= (here.clock.now() - seen.last_trouble.at).total_seconds() < 20
        await here.kill()

    run_virtual(main(), limit=100)


def test_a_lane_that_is_refused_says_what_narrows_it() -> None:
    async def main() -> None:
        def step(_number: int, _call: Call) -> tuple[float, object]:
            return (1.0, answered()) if upstream.in_flight <= 2 else (0.01, BUSY)

        upstream = ScriptedUpstream(step)  # type: ignore[arg-type]
        here = Yard([replace(place, limit=20) for place in places(one=upstream)], [Route(("*",), (Target("one"),))])
        await here.start()
        await here.create(400, models=["a"])
        await here.asleep(30)

        seen = lane(here, "one/a")
        assert seen.bounded_by == "refusals"
        assert seen.waiting == "limit"
        assert seen.limit <= 4
        await here.kill()

    run_virtual(main(), limit=100)


def test_a_paused_upstream_is_left_to_those_who_wait_and_its_fallback_works() -> None:
    async def main() -> None:
        one, two = quick(), quick()
        here = yard(one=one, two=two)
        await here.start()
        batch = await here.create(60, models=["a"])
        await here.asleep(2.5)
        assert await pause(here, "one") == "one"
        await here.asleep(0.1)
        before = len(one.calls)
        await here.asleep(3)
        assert (lane(here, "one/a").state, lane(here, "one/a").requests) == ("paused", 0)  # what was in flight ended
        assert len(one.calls) == before
        assert here.dispatcher is not None
        assert type(await here.dispatcher.calls.attempt(CALL)).__name__ == "Answered"
        assert len(one.calls) == before + 1

        assert await here.kinds(batch) == ["succeeded"] * 60
        assert len(two.calls) == 60 - before
        await here.kill()

    run_virtual(main(), limit=200)


def test_a_pause_outlives_a_restart_and_ends_with_a_resume() -> None:
    async def main() -> None:
        one = quick()
        here = yard(one=one)
        await here.start()
        batch = await here.create(40, models=["a", "b"])
        await here.asleep(1.5)
        await pause(here, "one", "a")
        await here.kill()
        await here.start()
        await here.asleep(20)
        assert (await here.kept.get("w", batch.id)).counts.processing > 10
        assert lane(here, "one/a").waiting == "paused"
        assert lane(here, "one/b").pending == 0

        await pause(here, "one", "a", paused=False)
        assert await here.kinds(batch) == ["succeeded"] * 40
        await here.kill()

    run_virtual(main(), limit=200)


def test_another_owner_follows_with_its_heartbeat() -> None:
    async def main() -> None:
        one = quick()
        here = yard(one=one)
        await here.start()
        await here.create(400, models=["a"])
        await here.asleep(1.5)
        await here.kept.pause_lane("one/a", paused=True)  # as the other one does
        await here.asleep(here.pace.lease / 3 + 1.5)
        assert lane(here, "one/a").requests == 0

        await here.kept.pause_lane("one/a", paused=False)
        await here.asleep(here.pace.lease / 3 + 0.5)
        assert lane(here, "one/a").requests == 4
        await here.kill()

    run_virtual(main(), limit=200)


def test_what_is_not_there_cannot_be_paused_but_resumed_where_it_was() -> None:
    async def main() -> None:
        here = yard(one=quick())
        await here.start()
        await here.ended(await here.create(4, models=["a"]))

        for upstream, model in (("two", None), ("one", "b"), ("(no route)", None)):
            with pytest.raises(NotFound):
                await pause(here, upstream, model)
        await here.kept.pause_lane("one/gone", paused=True)
        assert await pause(here, "one", "gone", paused=False) == "one/gone"
        assert await here.kept.paused_lanes() == []
        await here.kill()

    run_virtual(main(), limit=100)


def test_outside_its_hours_an_upstream_is_away_and_the_fallback_works() -> None:
    async def main() -> None:
        day, night = quick(), quick()
        first, second = places(day=day, night=night)
        here = Yard(
            [first, replace(second, is_open=lambda: False)], [Route(("*",), (Target("night"),), (Target("day"),))]
        )
        await here.start()
        batch = await here.create(12, models=["a"])

        assert await here.kinds(batch) == ["succeeded"] * 12
        assert (len(day.calls), len(night.calls)) == (12, 0)
        assert lane(here, "night/a").state == "closed"
        await here.kill()

    run_virtual(main(), limit=100)
