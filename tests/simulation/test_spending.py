"""Caps on spending in virtual time: reached by what is in flight at most, lifted by a new day, nobody else is held."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import msgspec
import pytest

from batchyard.dispatch.spending import Spending
from batchyard.domain.errors import RateLimited, StoreUnavailable
from batchyard.domain.outcome import Answered, Outcome
from batchyard.domain.pricing import Price, Rates
from batchyard.domain.request import MAX_MODELS, Lease, ParamsAt
from batchyard.domain.spending import NO_CAPS, Caps, SpendCapped
from batchyard.domain.usage import Usage
from batchyard.ports import Ready
from batchyard.price_book import PriceBook
from batchyard.store.memory import MemoryStore
from batchyard.testing.factories import MODEL, drafts, succeeded
from batchyard.testing.time import VirtualClock, run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, answered
from tests.simulation.world import World

DOLLAR = 1_000_000
"""Input tokens of each answer: a dollar at the batch price."""
BOOK = PriceBook([("*", Price.of(Rates.of(2.0, 10.0)))])
SLOTS = 5
LATE = datetime(2026, 3, 31, 23, 50, tzinfo=UTC)
"""Ten minutes before another day, and another month."""


def _a_dollar() -> Outcome:
    outcome = answered()
    assert isinstance(outcome, Answered)
    return msgspec.structs.replace(outcome, input_tokens=DOLLAR, output_tokens=0)


A_DOLLAR = _a_dollar()


def a_dollar_each() -> ScriptedUpstream:
    return ScriptedUpstream(lambda _number, _call: (1.0, A_DOLLAR))


class Capped(World):
    """A world in which the workspace ``poor`` may spend so much."""

    caps = Caps(day=20.0, month=1000.0)

    async def start(self) -> None:
        views = self.kept.views
        self.watch = Spending(
            views, BOOK, self.clock, self.events.append, freed=self.wake,
            caps=lambda workspace: self.caps if workspace == "poor" else NO_CAPS,
        )  # fmt: skip
        self.spending = self.watch
        await super().start()
        self.reading = asyncio.create_task(self.watch.run())

    async def kill(self) -> None:
        self.reading.cancel()
        await super().kill()

    def done(self) -> Counter[str]:
        assert isinstance(self.upstream, ScriptedUpstream)
        return Counter(seen.call.params.rpartition(b" ")[2].decode() for seen in self.upstream.calls)

    def told(self) -> list[bool]:
        return [event.reached for event in self.events if isinstance(event, SpendCapped)]


def test_what_goes_beyond_a_cap_is_at_most_what_was_in_flight_and_others_go_on() -> None:
    async def main() -> None:
        here = Capped(a_dollar_each(), limit=SLOTS)
        await here.start()
        await here.create(200, workspace="poor", mark="poor")
        rich = await here.create(100, workspace="rich", mark="rich")
        await here.ended(rich)
        await asyncio.sleep(60)

        assert 20 <= here.done()["poor"] < 20 + SLOTS
        assert here.done()["rich"] == 100
        assert here.told() == [True]
        await here.kill()

    run_virtual(main(), limit=3600)


def test_models_beyond_those_that_are_stored_count_at_their_price() -> None:
    dear = PriceBook([("dear", Price.of(Rates.of(2.0, 10.0))), ("*", Price.of(Rates.of(0.0, 0.0)))])

    async def main() -> None:
        here = Capped(a_dollar_each(), limit=SLOTS)
        await here.start()
        here.watch._prices = dear
        models = [f"m{number}" for number in range(MAX_MODELS)] + ["dear"] * 200
        batch = await here.create(len(models), workspace="poor", models=models, named=True)
        await asyncio.sleep(600)

        assert isinstance(here.upstream, ScriptedUpstream)
        paid = sum(b'"dear"' in seen.call.params for seen in here.upstream.calls)
        assert 20 <= paid < 20 + SLOTS
        rows = await here.kept.views.batch_usage("poor", [batch.id])
        assert {row.model: row.requests for row in rows}["dear"] == paid
        await here.kill()

    run_virtual(main(), limit=3600)


def test_a_new_day_lets_it_go_on_and_no_request_is_lost() -> None:
    async def main() -> None:
        here = Capped(a_dollar_each(), limit=SLOTS)
        here.clock = VirtualClock(asyncio.get_running_loop(), LATE)
        await here.start()
        batch = await here.create(30, workspace="poor", mark="poor")
        await asyncio.sleep(595)
        assert 20 <= here.done()["poor"] < 20 + SLOTS

        assert await here.kinds(batch) == ["succeeded"] * 30
        assert here.done()["poor"] == 30
        assert here.told() == [True, False]
        await here.kill()

    run_virtual(main(), limit=3600)


def test_what_others_and_earlier_owners_spent_counts() -> None:
    async def main() -> None:
        here = Capped(a_dollar_each(), limit=SLOTS)
        await here.start()
        await here.ended(await here.create(18, workspace="poor", mark="poor"))
        await here.kill()
        await here.start()
        await here.create(50, workspace="poor", mark="poor")
        await asyncio.sleep(60)

        assert 20 <= here.done()["poor"] < 20 + SLOTS
        await here.kill()

    run_virtual(main(), limit=3600)


def test_the_first_answers_of_a_model_wait_for_its_price_and_no_longer() -> None:
    class Slow(PriceBook):
        async def of(self, models: Collection[str]) -> Mapping[str, Price | None]:
            await asyncio.sleep(0.5 if models else 0.0)
            return await BOOK.of(models)

    async def main() -> None:
        here = Capped(ScriptedUpstream(lambda _number, _call: (0.01, A_DOLLAR)), limit=SLOTS)
        await here.start()
        here.watch._prices = Slow()
        await here.create(200, workspace="poor", mark="poor")
        await asyncio.sleep(0.3)
        assert here.done()["poor"] <= 2 * SLOTS
        await asyncio.sleep(10)

        assert 20 <= here.done()["poor"] < 20 + SLOTS
        assert here.told() == [True]
        await here.kill()

    run_virtual(main(), limit=3600)


class Unreadable:
    """Views that fail for some readings."""

    def __init__(self, store: MemoryStore) -> None:
        self._views, self.fails = store.views, 3

    async def usage(self, *args: object, **named: object) -> object:
        self.fails -= 1
        if self.fails >= 0:
            raise StoreUnavailable("no")
        return await self._views.usage(*args, **named)  # type: ignore[arg-type]


def test_nothing_starts_before_what_was_spent_is_known_and_a_store_in_trouble_is_asked_again() -> None:
    async def main() -> None:
        here = Capped(a_dollar_each(), limit=SLOTS)
        await here.start()
        here.watch._views = Unreadable(here.kept)  # type: ignore[assignment]
        await here.create(3, workspace="poor", mark="poor")
        await asyncio.sleep(1.5)
        assert here.done()["poor"] == 0
        await asyncio.sleep(10)
        assert here.done()["poor"] == 3
        await here.kill()

    run_virtual(main(), limit=3600)


def test_a_create_counts_answers_that_are_not_committed_yet() -> None:
    """The cap is told of before the store has what reached it: a create in between is over it too."""

    async def main() -> None:
        here = Capped(a_dollar_each(), limit=SLOTS)
        await here.start()
        await here.create(1, workspace="poor", models=[MODEL], mark="poor")
        now = here.clock.now()
        ready = Ready("b", "poor", now, now, "2023-06-01", (), MODEL, 1, now)
        await asyncio.sleep(5)
        await here.watch.check("poor", drafts(1))

        for seq in range(100, 119):
            lease = Lease("b", seq, 1, ParamsAt("body", 0, 1, 0), MODEL)
            here.watch.settled(ready, msgspec.structs.replace(succeeded(lease), usage=Usage(input_tokens=DOLLAR)))

        assert here.told() == [True]
        with pytest.raises(RateLimited, match=r"has spent 20\.00"):
            await here.watch.check("poor", drafts(1))
        await here.kill()

    run_virtual(main(), limit=3600)
