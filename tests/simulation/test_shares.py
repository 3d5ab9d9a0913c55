"""Shares of the slots, in virtual time: between workspaces, between the batches of one, by weight, by slot-seconds."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from batchyard.dispatch.dispatcher import Pace
from batchyard.dispatch.in_sight import MOST_IN_SIGHT
from batchyard.domain.batch import Batch
from batchyard.testing.stores import SlowStore
from batchyard.testing.time import run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, Step, answered
from tests.simulation.world import World, world

SLOT_SECONDS = 1.0
SEAL_SECONDS = 0.3
"""What ``World.ended`` may notice late, a quarter of a second, and some turns."""


def numbered(seconds: Callable[[int], float]) -> ScriptedUpstream:
    """An upstream whose calls take as long as their number says."""

    def script(number: int, _call: object) -> Step:
        return seconds(number), answered()

    return ScriptedUpstream(script)


def small_behind_large(slots: int, large: int, workspace: str, *, seconds: Callable[[int], float]) -> float:
    """Return how long ten requests take behind so many that run already, in seconds; 0: alone."""
    took = 0.0

    async def main() -> None:
        nonlocal took
        async with world(numbered(seconds), limit=slots) as here:
            if large:
                await here.create(large, workspace="large")
            await asyncio.sleep(20.6)  # in the middle of calls
            small = await here.create(10, workspace=workspace)
            began = here.clock.monotonic()
            await here.ended(small)
            took = here.clock.monotonic() - began

    run_virtual(main(), limit=3600)
    return took


@pytest.mark.parametrize("slots", [1, 4, 16, 64])
@pytest.mark.parametrize("workspace", ["large", "small"])
def test_ten_requests_behind_many_take_twice_their_time_alone_and_a_slots(slots: int, workspace: str) -> None:
    alone = small_behind_large(slots, 0, workspace, seconds=lambda _: SLOT_SECONDS)
    behind = small_behind_large(slots, 5_000, workspace, seconds=lambda _: SLOT_SECONDS)

    assert behind <= 2 * alone + SLOT_SECONDS + SEAL_SECONDS


def test_ten_requests_behind_a_hundred_thousand_take_no_longer() -> None:
    alone = small_behind_large(8, 0, "small", seconds=lambda _: SLOT_SECONDS)
    behind = small_behind_large(8, 100_000, "small", seconds=lambda _: SLOT_SECONDS)

    assert behind <= 2 * alone + SLOT_SECONDS + SEAL_SECONDS


@pytest.mark.parametrize("salt", range(3))
def test_calls_of_many_lengths_change_nothing_of_that(salt: int) -> None:
    def seconds(number: int) -> float:
        return 0.5 + (number * 7919 + salt) % 11 / 10

    alone = small_behind_large(8, 0, "small", seconds=seconds)
    behind = small_behind_large(8, 5_000, "small", seconds=seconds)

    assert behind <= 2 * alone + 1.5 + SEAL_SECONDS


def slot_seconds(here: World, batches: Sequence[Batch], until: float) -> dict[str, float]:
    """Return what each workspace used of the upstream, up to then; requests are known by their params' length."""
    used = {batch.workspace: 0.0 for batch in batches}
    assert isinstance(here.upstream, ScriptedUpstream)
    for seen in here.upstream.calls:
        workspace = seen.call.params.rpartition(b" ")[2].decode()
        used[workspace] += min(seen.ended_at or until, until) - seen.started_at
    return used


def shares(
    weights: dict[str, float], seconds: dict[str, float], *, slots: int, requests: int = 3_000, duration: float = 600.0
) -> list[float]:
    """Return the slot-seconds of each workspace, divided by its weight, when all have work all the time."""
    used: dict[str, float] = {}

    def script(_number: int, call: object) -> Step:
        return seconds[call.params.rpartition(b" ")[2].decode()], answered()  # type: ignore[attr-defined]

    async def main() -> None:
        async with world(ScriptedUpstream(script), limit=slots) as here:
            here.weights = weights
            batches = [await here.create(requests, workspace=name, mark=name) for name in weights]
            await asyncio.sleep(duration)
            used.update(slot_seconds(here, batches, here.clock.monotonic()))

    run_virtual(main(), limit=3600)
    assert sum(used.values()) >= 0.95 * slots * duration
    return [used[name] / weight for name, weight in weights.items()]


def jain(values: Sequence[float]) -> float:
    return sum(values) ** 2 / (len(values) * sum(value**2 for value in values))


@pytest.mark.parametrize("slots", [5, 32])
def test_twenty_equal_workspaces_share_slot_seconds(slots: int) -> None:
    names = [f"w{number}" for number in range(20)]
    # Shorter than what a lane puts to trial with fewer calls: that is the limiter's business, not how slots are shared.
    seconds = {name: 0.5 + number % 4 / 2 for number, name in enumerate(names)}

    got = shares(dict.fromkeys(names, 1.0), seconds, slots=slots, requests=1_500, duration=150.0)

    assert jain(got) >= 0.98


def test_weights_divide_the_slot_seconds() -> None:
    got = shares({"one": 1.0, "two": 2.0, "five": 5.0}, {"one": 2.0, "two": 1.0, "five": 3.0}, slots=8)

    assert jain(got) >= 0.98


def test_slow_requests_one_at_a_time_pay_for_their_slots() -> None:
    """A workspace whose batches hold one slow request each is never seen waiting for long: it must not be forgotten."""
    used: dict[str, float] = {}

    def script(_number: int, call: object) -> Step:
        return (30.0 if b"drip" in call.params else 1.0), answered()  # type: ignore[attr-defined]

    async def main() -> None:
        async with world(ScriptedUpstream(script), limit=8) as here:
            batches = [await here.create(5_000, workspace="bulk", mark="bulk")]
            for _ in range(250):
                batches.append(await here.create(1, workspace="drip", mark="drip"))
                await asyncio.sleep(1.5)
            used.update(slot_seconds(here, batches, here.clock.monotonic()))

    run_virtual(main(), limit=7200)

    assert used["drip"] <= 1.2 * used["bulk"]


def test_slow_requests_among_many_quick_ones_are_found_to_be_slow_by_right() -> None:
    """At first each is cut, for others want its slot; so seldom is one answered that the lane must reckon with that."""
    upstream = ScriptedUpstream(lambda _number, call: (30.0 if b"slow" in call.params else 1.0, answered()))
    late: list[bool] = []

    async def main() -> None:
        async with world(upstream, limit=8) as here:
            await here.create(4_500, workspace="quick", mark="quick")
            for _ in range(120):
                await here.create(1, workspace="slow", mark="slow")
                await asyncio.sleep(5.0)
            late.extend(seen.cut for seen in upstream.calls if seen.started_at > 450.0)

    run_virtual(main(), limit=7200)

    assert len(late) > 500
    assert not any(late)


def test_thousands_of_batches_that_one_workspace_cancels_do_not_hold_up_the_ends_of_others() -> None:
    async def main() -> None:
        here = World(numbered(lambda _: 1.0), limit=4)
        here.store = SlowStore(here.kept, lambda verb: 0.05 if verb == "seal" else 0.0)
        many = [await here.create(1, workspace="many") for _ in range(1_000)]
        for batch in many:
            await here.store.cancel("many", batch.id, here.clock.now())
        large = await here.create(1_000, workspace="large")
        await here.store.cancel("large", large.id, here.clock.now())
        await here.start()
        try:
            await here.asleep(5.0)
            small = await here.create(2, workspace="small")
            began = here.clock.monotonic()
            await here.ended(small)
            assert here.clock.monotonic() - began < 1.0 + 2.0 + SEAL_SECONDS
            assert (await here.kept.get("large", large.id)).ended_at is not None

            for batch in many:
                await here.ended(batch)
            assert here.clock.monotonic() < 1_000 * 0.05 + 10.0
        finally:
            await here.kill()

    run_virtual(main(), limit=3600)


def test_millions_of_rows_that_one_workspace_leaves_behind_do_not_hold_up_the_deadlines_of_others() -> None:
    async def main() -> None:
        here = World(numbered(lambda _: 10_000.0), limit=1)
        here.store = SlowStore(here.kept, lambda verb: 2.0 if verb == "sweep" else 0.0)
        here.pace = Pace(lease=100_000.0)
        await here.create(1, workspace="busy")
        await here.start()
        try:
            await here.asleep(5.0)
            gone = await here.create(60_000, workspace="many")
            due = await here.create(1, workspace="small", hours=20 / 3600)
            await here.asleep(5.0)
            await here.cancel(gone)
            ended = await here.ended(due)
            assert ended.ended_at is not None
            assert (ended.ended_at - due.expires_at).total_seconds() < 10.0
        finally:
            await here.kill()

    run_virtual(main(), limit=3600)


def test_more_batches_than_are_in_sight_keep_every_slot_busy_and_newcomers_need_not_wait() -> None:
    async def main() -> None:
        async with world(numbered(lambda _: 1.0), limit=200) as here:
            many = [await here.create(1, workspace="many", models=(f"m{n % 7}",)) for n in range(MOST_IN_SIGHT + 500)]
            large = await here.create(500, workspace="many", models=("m1",))
            began = here.clock.monotonic()
            await here.asleep(2.5)
            small = await here.create(10, workspace="small")
            came = here.clock.monotonic()
            await here.ended(small)
            assert here.clock.monotonic() - came < 3.0 + SEAL_SECONDS
            for batch in (*many, large):
                await here.ended(batch)
            assert here.clock.monotonic() - began < (MOST_IN_SIGHT + 1_000) / 200 * 1.1 + 2.0

    run_virtual(main(), limit=3600)
