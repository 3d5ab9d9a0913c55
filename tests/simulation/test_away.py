"""A store that was away for longer than the lease: whoever could not beat meanwhile is not dead by that."""

import asyncio

import pytest

from batchyard.dispatch.upkeep import Duties
from batchyard.domain.events import LeasesReclaimed
from batchyard.ports import Pick
from batchyard.testing.stores import FailingStore, Fault
from batchyard.testing.time import run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, always, answered
from tests.simulation.world import World

AWAY_AT, BACK_AT = 20.0, 110.0
"""The lease is 30 seconds."""


@pytest.mark.parametrize("lives", [True, False])
def test_after_an_outage_others_get_time_to_beat_before_they_count_as_dead(lives: bool) -> None:
    async def main() -> None:
        here = World(ScriptedUpstream(always(answered(), seconds=1.0)))
        loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()

        def away(_verb: str, _nth: int) -> Fault | None:
            return Fault.BEFORE if AWAY_AT <= loop.time() - began < BACK_AT else None

        here.store = FailingStore(here.kept, away)
        await here.start()
        batch = await here.create(3)
        await here.kept.turn("other", [], [Pick(batch.id, "", 2)], here.clock.now())
        held = await here.kept.held("other")
        assert len(held) == 2
        await asyncio.sleep(BACK_AT + here.duties.patience / 2)
        if lives:
            await here.kept.beat("other", here.clock.now())
        await asyncio.sleep(here.duties.patience)

        assert list(await here.kept.held("other")) == (list(held) if lives else [])
        told = [event.owner for event in here.events if isinstance(event, LeasesReclaimed)]
        assert told == ([] if lives else ["other"])
        await here.kill()

    run_virtual(main(), limit=7200)


@pytest.mark.parametrize("round_seconds", [1.0, 25.0])
def test_without_an_outage_a_dead_owner_is_reclaimed_once_its_lease_is_over(round_seconds: float) -> None:
    async def main() -> None:
        here = World(ScriptedUpstream(always(answered(), seconds=1.0)))
        here.duties = Duties(every=round_seconds)
        await here.start()
        await asyncio.sleep(60.0)
        await here.kept.beat("other", here.clock.now())
        await asyncio.sleep(31.0 + round_seconds)

        assert [owner.id for owner in await here.kept.owners(here.clock.now())] == ["owner-1"]
        await here.kill()

    run_virtual(main(), limit=7200)
