"""Requests that crash or hang, and total outages: what they may cost the others, and what they may cost at all."""

import asyncio
import random
import zlib
from collections import Counter

import pytest

from batchyard.domain.events import LaneHeld
from batchyard.domain.outcome import Failed, Outcome, Unknown
from batchyard.domain.result import RequestError
from batchyard.ports import Call, Pick
from batchyard.testing.time import run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, Step, always, answered, per_request
from tests.simulation.seeds import seeds
from tests.simulation.world import World, world

CRASHED = Failed(RequestError("api_error", "crashed"))
RESET = Unknown(RequestError("api_error", "reset"))
HANGS = 600.0
"""The operator's time limit: what hangs ends then."""


def is_poison(params: bytes) -> bool:
    """One in a hundred, by the number in it."""
    return b'"n": ' in params and int(params.split(b",")[0].removeprefix(b'{"n": ')) % 100 == 7


class Poisoned:
    """A server that takes as long for each as the dice say, but for poison, which crashes it, resets or hangs."""

    def __init__(self, seconds: float, spread: float, seed: int, kinds: tuple[Outcome | None, ...]) -> None:
        self._dice = random.Random(seed)
        self._seconds, self._spread, self._kinds = seconds, spread, kinds
        self.upstream = ScriptedUpstream(self._step)
        self.answers: list[float] = []

    def _step(self, _number: int, call: Call) -> Step:
        if self._kinds and is_poison(call.params):
            kind = self._kinds[zlib.crc32(call.params) % len(self._kinds)]
            return (0.02, kind) if kind is not None else (HANGS, Unknown(RequestError("timeout_error", "hung")))
        return self._seconds * self._dice.uniform(1.0 - self._spread, 1.0 + self._spread), answered()

    def done_by(self) -> float:
        """Return when nine tenths of the others had been answered."""
        times = sorted(seen.ended_at or 0.0 for seen in self.upstream.calls if not is_poison(seen.call.params))
        return times[int(0.9 * len(times))]


@pytest.mark.parametrize(
    ("seconds", "kinds"), [(0.2, (CRASHED, RESET)), (0.2, (None,)), (4.0, (None,)), (4.0, (CRASHED, RESET, None))]
)
@pytest.mark.parametrize("seed", seeds(1, 12))
def test_one_poison_request_in_a_hundred_costs_the_others_a_twentieth_at_most(
    seconds: float, kinds: tuple[Outcome | None, ...], seed: int
) -> None:
    async def run(poisoned: Poisoned) -> World:
        async with world(poisoned.upstream, limit=50) as here:
            batch = await here.create(3_000)
            kinds_of = await here.kinds(batch)
            bad = [kind for number, kind in enumerate(kinds_of) if number % 100 == 7]
            assert set(kinds_of) - {"errored"} == {"succeeded"}
            assert bad.count("errored") == (30 if poisoned._kinds else 0) == kinds_of.count("errored")
            return here

    poisoned = Poisoned(seconds, 0.3, seed, kinds)
    clean = 0.9 * 3_000 / 50 * seconds  # every slot used all the time; a run without poison takes a little longer
    here = run_virtual(run(poisoned), limit=86400)

    assert poisoned.done_by() <= clean / 0.95 + seconds
    assert poisoned.upstream.most_in_flight <= 50
    tries = Counter({params: n for params, n in poisoned.upstream.by_params.items() if is_poison(params)})
    assert max(tries.values()) <= 3
    assert not [event for event in here.events if isinstance(event, LaneHeld)]
    assert sum(poisoned.upstream.repeated.values()) == sum(tries.values()) - len(tries)


@pytest.mark.parametrize("seed", seeds(3, 15))
def test_what_hung_over_an_outage_comes_again_when_the_others_are_done_and_not_long_after(seed: int) -> None:
    async def main() -> None:
        def step(params: bytes, attempt: int) -> Step:
            if is_poison(params) and attempt == 1:
                return HANGS, answered()
            return (0.01, CRASHED) if 15.0 <= here.clock.monotonic() < 25.0 else (0.5, answered())

        upstream = ScriptedUpstream(per_request(step))
        here = World(upstream, limit=20, seed=seed)
        await here.start()
        batch = await here.create(2_000, models=["m"])
        await here.ended(batch)

        assert (await here.kinds(batch)).count("succeeded") >= 1_980
        assert len([seen for seen in upstream.calls if seen.cut]) >= 10
        assert here.clock.monotonic() <= 50 + 10 + 60  # the work, the outage, and a hold, a ramp, delays of retries
        await here.kill()

    run_virtual(main(), limit=86400)


def test_a_long_answer_that_looked_stalled_gets_all_its_time_the_second_time() -> None:
    def step(params: bytes, _attempt: int) -> Step:
        return (300.0 if is_poison(params) else 0.5), answered()

    async def main() -> None:
        upstream = ScriptedUpstream(per_request(step))
        async with world(upstream, limit=20) as here:
            batch = await here.create(3_000)

            assert await here.kinds(batch) == ["succeeded"] * 3_000
            assert all(is_poison(params) and n == 1 for params, n in upstream.repeated.items())

    run_virtual(main(), limit=86400)


def test_a_long_answer_is_not_cut_again_though_others_wait_all_the_time() -> None:
    def step(params: bytes, _attempt: int) -> Step:
        return (60.0 if is_poison(params) and not params.endswith(b"later") else 1.0), answered()

    async def main() -> None:
        upstream = ScriptedUpstream(per_request(step))
        async with world(upstream, limit=10) as here:
            batch = await here.create(300)
            await here.asleep(27)  # all three were cut, and come once more behind what waited then
            await here.create(4_000, mark="later")

            assert await here.kinds(batch) == ["succeeded"] * 300
            assert not here.is_idle  # by those that came later
            assert set(upstream.repeated.values()) == {1}

    run_virtual(main(), limit=86400)


def test_nothing_is_cut_while_nobody_waits_for_its_slot() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(lambda _n, call: (300.0 if call.params.endswith(b"long") else 0.5, answered()))
        async with world(upstream, limit=20) as here:
            await here.ended(await here.create(2_000))  # what is usual is known
            first = await here.create(10, mark="long")
            await here.ended(await here.create(60))
            second = await here.create(10, mark="long")

            assert await here.kinds(first) == await here.kinds(second) == ["succeeded"] * 10
            assert not [seen for seen in upstream.calls if seen.cut]

    run_virtual(main(), limit=86400)


def test_a_server_that_stops_for_a_while_is_no_reason_to_cut() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(lambda _n, _c: (60.0 if 20.0 <= here.clock.monotonic() < 21.0 else 0.5, answered()))
        here = World(upstream, limit=20)
        await here.start()
        batch = await here.create(3_000)

        assert await here.kinds(batch) == ["succeeded"] * 3_000
        assert not [seen for seen in upstream.calls if seen.cut]
        await here.kill()

    run_virtual(main(), limit=3600)


@pytest.mark.parametrize("model", ["m", ""])
@pytest.mark.parametrize("broken", [CRASHED, RESET])
def test_a_total_outage_adds_a_tenth_to_the_load_at_most(broken: Outcome, model: str) -> None:
    async def main() -> None:
        down = ScriptedUpstream(lambda _n, _c: (0.3, broken if 20.0 <= here.clock.monotonic() < 3000.0 else answered()))
        here = World(down, limit=16)
        await here.start()
        batch = await here.create(4_000, models=[model])
        await here.ended(batch)
        calls = [seen for seen in down.calls if b'"ping"' not in seen.call.params]

        assert (await here.kinds(batch)).count("succeeded") >= 4_000 - (0 if model else 110)
        assert len(calls) <= 1.10 * 4_000
        await here.kill()

    run_virtual(main(), limit=10_000)


def test_retries_without_budget_are_put_off_and_not_failed() -> None:
    async def main() -> None:
        tried: set[bytes] = set()

        def step(number: int, call: Call) -> Step:
            is_first = call.params not in tried
            tried.add(call.params)
            return 0.1, CRASHED if is_first and number % 3 == 0 else answered()

        upstream = ScriptedUpstream(step)
        async with world(upstream, limit=10) as here:
            batch = await here.create(600)

            assert await here.kinds(batch) == ["succeeded"] * 600
            assert sum(upstream.repeated.values()) > 100

    run_virtual(main(), limit=3600)


@pytest.mark.parametrize(("requests", "seed"), [(30, 0), (30, 1), (2, 2)])
def test_a_request_in_flight_at_three_deaths_runs_alone(requests: int, seed: int) -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=2.0))
        here = World(upstream, limit=6, seed=seed)
        batch = await here.create(requests)
        for _ in range(3):  # the first two requests are in flight whenever we die
            await here.kept.beat("dying", here.clock.now())
            await here.kept.turn("dying", [], [Pick(batch.id, "", 2)], here.clock.now())
            await here.kept.reclaim("dying", here.clock.now())
        await here.start()

        assert await here.kinds(batch) == ["succeeded"] * requests
        for seen in upstream.calls:
            beside = [
                other
                for other in upstream.calls
                if other is not seen
                and other.started_at < (seen.ended_at or 0)
                and (other.ended_at or 0) > seen.started_at
            ]
            deadly = any(seen.call.params.startswith(b'{"n": %d,' % number) for number in (0, 1))
            assert not (deadly and beside)
        assert upstream.most_in_flight == (6 if requests > 2 else 1)
        await here.kill()

    run_virtual(main(), limit=600)


def test_a_death_while_one_runs_alone_loses_nothing() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=2.0))
        here = World(upstream, limit=3)
        batch = await here.create(12)
        for _ in range(3):
            await here.kept.beat("dying", here.clock.now())
            await here.kept.turn("dying", [], [Pick(batch.id, "", 2)], here.clock.now())
            await here.kept.reclaim("dying", here.clock.now())
        await here.start()
        await asyncio.sleep(3)
        await here.kill()
        await here.start()

        assert await here.kinds(batch) == ["succeeded"] * 12
        await here.kill()

    run_virtual(main(), limit=600)
