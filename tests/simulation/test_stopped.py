"""A batch that is broken stops itself: its neighbours go on, whatever broke and wherever it shows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import pytest

from batchyard.domain.batch import Status
from batchyard.domain.errors import StoreDamaged
from batchyard.domain.events import BatchStopped, BugFound, DamageFound, StoreFailed
from batchyard.domain.outcome import Settlement
from batchyard.ports import Final, Pick, Turn
from batchyard.testing.stores import StoreAround
from batchyard.testing.time import run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, always, answered
from tests.simulation.world import World


class BrokenBatch(StoreAround):
    """Fails every call that needs a row of one batch, after letting as many through as told."""

    def __init__(self, inner: Any, error: Exception, turns: int = 0) -> None:
        super().__init__(inner)
        self.error, self.turns = error, turns
        self.batch = ""
        self.failed = 0

    def check(self, batches: set[str]) -> None:
        if self.batch in batches:
            self.turns -= 1
            if self.turns < 0:
                self.failed += 1
                raise self.error

    async def turn(self, owner: str, settlements: Sequence[Settlement], picks: Sequence[Pick], now: datetime) -> Turn:
        self.check({one.lease.batch for one in settlements} | {pick.batch for pick in picks})
        return await super().turn(owner, settlements, picks, now)


class BrokenSeal(BrokenBatch):
    """Fails when the batch is sealed."""

    def check(self, batches: set[str]) -> None:
        """Let turns through."""

    async def finals(self, batch_id: str) -> AsyncIterator[Sequence[Final]]:
        super().check({batch_id})
        async for part in super().finals(batch_id):
            yield part


def told(here: World, kind: type) -> list[Any]:
    return [event for event in here.events if isinstance(event, kind)]


@pytest.mark.parametrize("turns", [0, 1, 3])
@pytest.mark.parametrize(
    ("error", "kind"),
    [(AssertionError("1 open request where none is"), BugFound), (StoreDamaged("read: a page"), DamageFound)],
)
def test_a_broken_batch_stops_and_the_others_end(error: Exception, kind: type, turns: int) -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=1.0))
        here = World(upstream, limit=6)
        here.store = broken = BrokenBatch(here.kept, error, turns)
        sound = [await here.create(20) for _ in range(2)]
        broken.batch = (await here.create(200)).id
        await here.start()
        for batch in sound:
            assert await here.kinds(batch) == ["succeeded"] * 20
        late = await here.create(10)
        assert await here.kinds(late) == ["succeeded"] * 10
        await asyncio.sleep(60)

        assert [event.batch for event in told(here, BatchStopped)] == [broken.batch]
        assert len(told(here, kind)) == 1
        assert told(here, StoreFailed) == []
        assert broken.failed <= 8, "it is left alone"
        assert here.dispatcher is not None
        assert here.dispatcher.in_flight == 0
        assert upstream.most_in_flight == 6
        await here.drain()  # nothing of it keeps a stop waiting

    run_virtual(main(), limit=3600)


@pytest.mark.parametrize("error", [AssertionError("loses requests"), StoreDamaged("read: a page")])
def test_a_batch_that_cannot_be_sealed_keeps_no_other_from_its_end(error: Exception) -> None:
    async def main() -> None:
        here = World(ScriptedUpstream(always(answered(), seconds=0.1)))
        here.store = broken = BrokenSeal(here.kept, error)
        broken.batch = (await here.create(2)).id
        await here.start()
        await asyncio.sleep(30)
        assert await here.kinds(await here.create(3)) == ["succeeded"] * 3

        assert [event.batch for event in told(here, BatchStopped)] == [broken.batch]
        assert broken.failed == 1
        assert (await here.kept.get("w", broken.batch)).status is Status.IN_PROGRESS
        await here.kill()

    run_virtual(main(), limit=600)


def test_a_duty_that_meets_damage_says_so_once_and_the_others_go_on() -> None:
    class Unswept(StoreAround):
        async def _call(self, verb: str, act: Callable[[], Awaitable[Any]]) -> Any:
            if verb == "sweep":
                raise StoreDamaged("read: a page")
            return await act()

    async def main() -> None:
        here = World(ScriptedUpstream(always(answered(), seconds=0.1)))
        here.store = Unswept(here.kept)
        await here.start()
        for _ in range(3):
            await here.ended(await here.create(2))
            await asyncio.sleep(20)

        assert len(told(here, DamageFound)) == 1
        assert told(here, StoreFailed) == []
        await here.kill()

    run_virtual(main(), limit=600)
