"""What a death, a slow store and a failing store may cost: slots, fences and leases on virtual time."""

import asyncio
from datetime import timedelta

import pytest

from batchyard.domain.batch import Status
from batchyard.domain.events import (
    DamageFound,
    DiskFreed,
    DiskShort,
    SettlementRefused,
    StoreFailed,
    StoreRecovered,
)
from batchyard.ports import Pick
from batchyard.testing.blobs import MemoryBlobs
from batchyard.testing.stores import FailingStore, Fault, SlowStore
from batchyard.testing.time import START, VirtualClock, VirtualTimeExceeded, run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, always, answered
from tests.simulation.world import World, world


@pytest.mark.parametrize("seed", range(12))
def test_a_kill_repeats_at_most_as_many_calls_as_there_are_slots(seed: int) -> None:
    async def main() -> None:
        limit = 5
        upstream = ScriptedUpstream(always(answered(), seconds=0.05))
        here = World(upstream, limit=limit, seed=seed)
        # a store that takes time: a slot that is free before its commit shows as more repeats than slots
        here.store = SlowStore(here.kept, lambda _verb: here.random.choice((0.01, 0.1, 3.0)))
        await here.start()
        batch = await here.create(60)
        kills = 0
        while (await here.kept.get("w", batch.id)).status is not Status.ENDED:
            await asyncio.sleep(here.random.uniform(0.1, 6.0))
            repeated = sum(upstream.repeated.values())
            await here.kill()
            kills += 1
            await here.start()
            assert sum(upstream.repeated.values()) - repeated <= limit

        assert await here.kinds(batch) == ["succeeded"] * 60
        assert sum(upstream.repeated.values()) <= limit * kills
        assert upstream.most_in_flight <= limit
        await here.kill()

    run_virtual(main(), limit=86400)


@pytest.mark.parametrize("limit", [4, 40])  # 40: more than one turn commits at once
def test_calls_whose_result_is_not_committed_never_exceed_the_slots(limit: int) -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=0.01))
        here = World(upstream, limit=limit)
        here.store = SlowStore(here.kept, lambda _verb: here.random.choice((0.01, 0.5)))
        await here.start()
        batch = await here.create(10 * limit)
        most = 0
        while (await here.kept.get("w", batch.id)).status is not Status.ENDED:
            await asyncio.sleep(0.03)
            counts = (await here.kept.get("w", batch.id)).counts
            most = max(most, len(upstream.calls) - counts.succeeded)

        assert most <= limit + 1  # one result is held back from the counts until the seal
        await here.kill()

    run_virtual(main(), limit=600)


def test_a_death_before_the_answer_of_a_seal_leaves_the_files_that_it_named() -> None:
    async def main() -> None:
        here = World(ScriptedUpstream(always(answered(), seconds=0.1)))
        here.store = SlowStore(here.kept, lambda verb: 4.0 if verb == "seal" else 0.0)
        await here.start()
        batch = await here.create(3)
        while (await here.kept.get("w", batch.id)).status is not Status.ENDED:
            await asyncio.sleep(0.1)
        await here.kill()

        assert await here.kinds(batch) == ["succeeded"] * 3

    run_virtual(main(), limit=600)


def test_what_a_dead_owner_had_in_flight_may_have_been_paid_for() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=100.0))
        here = World(upstream, limit=2)
        await here.start()
        batch = await here.create(3)
        await asyncio.sleep(10)
        await here.kill()
        await here.start()
        await here.ended(batch)

        ended = await here.kept.get("w", batch.id)
        assert ended.sealed is not None
        reader = await here.blobs.open(ended.sealed.ledger)
        ledger = (await reader.read(0, reader.size)).decode().splitlines()
        assert ['"possible_duplicate":true' in line for line in ledger] == [True, True, False]
        await here.kill()

    run_virtual(main(), limit=3600)


def test_a_drain_finishes_what_is_in_flight_and_leases_nothing_more() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=10.0))
        here = World(upstream, limit=3)
        await here.start()
        batch = await here.create(9)
        await asyncio.sleep(12)
        await here.drain()
        drained_at = here.clock.monotonic()
        calls = len(upstream.calls)
        await asyncio.sleep(100)
        assert len(upstream.calls) == calls == 6
        assert drained_at <= 21
        await here.start()

        assert await here.kinds(batch) == ["succeeded"] * 9
        assert upstream.repeated == {}
        await here.kill()

    run_virtual(main(), limit=3600)


def test_a_store_that_fails_pauses_the_dispatch_and_loses_no_answer() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=1.0))
        here = World(upstream, limit=4)
        here.store = FailingStore(
            here.kept, lambda verb, _n: Fault.BEFORE if verb == "turn" and 5 < here.clock.monotonic() < 95 else None
        )
        await here.start()
        batch = await here.create(40)
        await asyncio.sleep(90)
        calls_while_failing = len(upstream.calls)
        await here.ended(batch)

        assert await here.kinds(batch) == ["succeeded"] * 40
        assert upstream.repeated == {}
        assert calls_while_failing <= 6 * 4
        assert any(isinstance(event, StoreFailed) for event in here.events)
        assert any(isinstance(event, StoreRecovered) for event in here.events)
        await here.kill()

    run_virtual(main(), limit=600)


@pytest.mark.parametrize("seed", range(4))
def test_commits_whose_answer_is_lost_leave_nothing_behind_and_repeat_nothing(seed: int) -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=1.0))
        here = World(upstream, limit=4, seed=seed)
        faults = (Fault.AFTER, Fault.AFTER, Fault.BEFORE, None, None, None)
        # "held" fails too: what a lost answer leased is still to be given back then
        here.store = FailingStore(
            here.kept, lambda verb, _n: here.random.choice(faults) if verb in {"turn", "held"} else None
        )
        await here.start()
        batch = await here.create(40)

        assert await here.kinds(batch) == ["succeeded"] * 40
        assert upstream.repeated == {}
        await here.kill()

    run_virtual(main(), limit=600)


def test_an_owner_without_a_heartbeat_sends_nothing() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=1.0))
        here = World(upstream, limit=2)
        here.store = FailingStore(
            here.kept, lambda verb, _n: Fault.BEFORE if verb == "beat" and here.clock.monotonic() > 1 else None
        )
        await here.start()
        await here.create(500)
        await asyncio.sleep(200)

        assert max(call.started_at for call in upstream.calls) <= 30.0
        await here.kill()

    run_virtual(main(), limit=600)


def test_a_batch_from_a_time_that_is_to_come_runs_now() -> None:
    async def main() -> None:
        here = World(ScriptedUpstream(always(answered(), seconds=1.0)))
        behind = here.clock
        here.clock = VirtualClock(asyncio.get_running_loop(), START + timedelta(days=30))
        batch = await here.create(3)  # by a clock that was set right since
        here.clock = behind
        await here.start()

        assert await here.kinds(batch) == ["succeeded"] * 3
        await here.kill()

    run_virtual(main(), limit=60)


def test_an_owner_that_could_not_say_that_it_lives_keeps_its_calls() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=90.0))
        here = World(upstream, limit=2)
        here.store = FailingStore(
            here.kept, lambda verb, _n: Fault.BEFORE if verb == "beat" and 1 < here.clock.monotonic() < 100 else None
        )
        await here.start()
        batch = await here.create(2)

        assert await here.kinds(batch) == ["succeeded"] * 2
        assert upstream.repeated == {}
        assert not any(isinstance(event, SettlementRefused) for event in here.events)
        await here.kill()

    run_virtual(main(), limit=600)


def test_a_frozen_owner_whose_leases_went_to_another_changes_nothing() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=20.0))
        here = World(upstream, limit=2)
        await here.start()
        batch = await here.create(2)
        await asyncio.sleep(5)
        await here.kept.reclaim("owner-1", here.clock.now())
        await here.kept.turn("another", [], [Pick(batch.id, "", 2)], here.clock.now())
        await asyncio.sleep(30)
        assert (await here.kept.get("w", batch.id)).counts.processing == 2
        await here.kept.reclaim("another", here.clock.now())

        assert await here.kinds(batch) == ["succeeded"] * 2
        assert sum(isinstance(event, SettlementRefused) for event in here.events) == 2
        await here.kill()

    run_virtual(main(), limit=600)


def test_a_thawed_owner_that_leases_its_own_request_again_does_not_send_it_again() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=20.0))
        here = World(upstream, limit=4)
        await here.start()
        batch = await here.create(2)
        await asyncio.sleep(5)
        await here.kept.reclaim("owner-1", here.clock.now())

        assert await here.kinds(batch) == ["succeeded"] * 2
        assert upstream.repeated == {}
        await here.kill()

    run_virtual(main(), limit=600)


def test_a_simulation_that_hangs_fails_at_its_limit() -> None:
    async def main() -> None:
        async with world(ScriptedUpstream(always(answered(), seconds=1e9))) as here:
            await here.ended(await here.create(1, hours=1e6))

    with pytest.raises(VirtualTimeExceeded):
        run_virtual(main(), limit=3600)


def test_two_workspaces_share_the_slots() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=1.0))
        async with world(upstream, limit=4) as here:
            await here.create(400, workspace="big")
            await asyncio.sleep(10)
            small = await here.create(10, workspace="small")
            began = here.clock.monotonic()
            await here.ended(small)

            alone = 10 / 4 * 1.0
            assert here.clock.monotonic() - began <= 2 * alone + 1.0 + 1.0

    run_virtual(main(), limit=600)


def test_params_that_fail_their_checksum_are_never_sent() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream()
        here = World(upstream)
        batch = await here.create(3)
        blob = (await here.kept.turn("x", [], [Pick(batch.id, "", 1)], here.clock.now())).leases[0].params
        assert isinstance(here.blobs, MemoryBlobs)
        here.blobs.flip(blob.blob, blob.offset + 2)
        await here.start()

        assert await here.kinds(batch) == ["errored", "succeeded", "succeeded"]
        assert len(upstream.calls) == 2
        assert sum(isinstance(event, DamageFound) for event in here.events) == 1
        await here.kill()

    run_virtual(main(), limit=600)


def test_a_store_whose_backlog_cannot_be_read_is_asked_gently_until_it_can() -> None:
    async def main() -> None:
        here = World(ScriptedUpstream())
        here.store = FailingStore(
            here.kept, lambda verb, _n: Fault.BEFORE if verb == "backlog" and here.clock.monotonic() < 60 else None
        )
        await here.start()
        batch = await here.create(5)

        assert await here.kinds(batch) == ["succeeded"] * 5
        assert sum(isinstance(event, StoreFailed) for event in here.events) <= 70
        await here.kill()

    run_virtual(main(), limit=600)


def test_a_short_disk_pauses_what_must_be_stored_and_room_lets_it_go_on() -> None:
    class Disk:
        def __init__(self, here: World) -> None:
            self.here = here

        def spare(self) -> int:
            return -1 if 5 < self.here.clock.monotonic() < 65 else 1

    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=1.0))
        here = World(upstream, limit=4)
        here.space = Disk(here)
        await here.start()
        batch = await here.create(400)
        await asyncio.sleep(64)
        begun = [call.started_at for call in upstream.calls]
        assert max(begun) <= 6.1
        assert (await here.kept.get("w", batch.id)).counts.succeeded == len(begun)  # what was paid for is stored
        await here.ended(batch)

        resumed_at = min(call.started_at for call in upstream.calls if call.started_at > 10)
        assert resumed_at <= 67.1
        assert await here.kinds(batch) == ["succeeded"] * 400
        assert upstream.repeated == {}
        assert [type(event) for event in here.events if isinstance(event, DiskShort | DiskFreed)] == [
            DiskShort,
            DiskFreed,
        ]
        await here.kill()

    run_virtual(main(), limit=600)


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_a_drained_owner_takes_its_leave_once_and_waits_for_no_store_that_is_away(seconds: float) -> None:
    async def main() -> None:
        here = World(ScriptedUpstream(always(answered(), seconds=0.1)))
        here.store = SlowStore(here.kept, lambda verb: seconds if verb == "leave" else 0.0)
        await here.start()
        await here.ended(await here.create(3))
        asked = here.clock.monotonic()

        await here.drain()
        assert here.dispatcher is not None
        await here.dispatcher.leave()

        assert here.clock.monotonic() - asked <= 3.0
        assert [owner.id for owner in await here.kept.owners(here.clock.now())] == ([] if not seconds else ["owner-1"])
        told = [event.doing for event in here.events if isinstance(event, StoreFailed)]
        assert told == ([] if not seconds else ["leave"])

    run_virtual(main(), limit=7200)
