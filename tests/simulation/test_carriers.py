"""Requests that travel in carriers, on virtual time: every one has one result, nothing runs twice without need."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from batchyard.dispatch.carrier_place import Gathering
from batchyard.dispatch.lanes import Lanes, Place
from batchyard.domain.errors import StoreDamaged
from batchyard.domain.events import BatchStopped, CarrierMade, CarrierStranded, CarrierTrouble, LaneHeld, StoreFailed
from batchyard.domain.outcome import Failed, Held, NotStarted, Outcome, Refused, Settlement
from batchyard.domain.request import MAX_MODELS, Lease
from batchyard.domain.result import RequestError
from batchyard.domain.routes import Route, Target
from batchyard.ports import Carrier, NewCarrier, Pick, Turn
from batchyard.testing.batch_upstreams import LOST, Trouble
from batchyard.testing.blobs import MemoryBlobs
from batchyard.testing.stores import FailingStore, Fault, SlowStore, StoreAround
from batchyard.testing.time import run_virtual
from batchyard.testing.upstreams import answered
from tests.simulation.carriers import BATCHED, CarrierWorld, carrier_world

DENIED = Held(RequestError("authentication_error", "wrong key"))
BUSY = NotStarted(RequestError("overloaded_error", "busy"))
BROKEN = Failed(RequestError("api_error", "broke"))


def test_a_batch_travels_in_one_carrier_and_each_request_runs_once() -> None:
    async def main() -> None:
        async with carrier_world() as here:
            batch = await here.make(100)

            assert await here.kinds(batch) == ["succeeded"] * 100
            await here.settled_upstream()
            assert len(here.batches.ours) == 1
            assert here.batches.repeated == {}
            assert here.called.calls == []
            assert here.clock.monotonic() < 100 + 30

    run_virtual(main(), limit=600)


def test_models_go_their_own_ways() -> None:
    async def main() -> None:
        async with carrier_world() as here:
            batch = await here.create(40, models=("b", "other"))

            assert await here.kinds(batch) == ["succeeded"] * 40
            assert len(here.called.calls) == 20
            assert [len(made.entries) for made in here.batches.ours] == [20]

    run_virtual(main(), limit=600)


def test_what_is_not_stored_with_its_model_counts_under_that_of_its_answer() -> None:
    class AllTravel(CarrierWorld):
        def lanes(self) -> Lanes:
            place = Place("many", self.upstream, self.limit, by_batch=True)
            self.made_lanes = Lanes([place], [Route(("*",), (Target("many"),))], self.clock, self.events.append)
            return self.made_lanes

    async def main() -> None:
        here = AllTravel()
        await here.start()
        models = [f"m{number}" for number in range(MAX_MODELS - 1)] + ["beyond"] * 5
        batch = await here.create(len(models), models=models, named=True)
        assert await here.kinds(batch) == ["succeeded"] * len(models)

        rows = await here.kept.views.batch_usage("w", [batch.id])
        assert {row.model: row.requests for row in rows} == dict.fromkeys(models[: MAX_MODELS - 1], 1) | {"scripted": 5}
        await here.kill()

    run_virtual(main(), limit=100_000)


@pytest.mark.parametrize("model", [None, BATCHED])
def test_no_carrier_is_made_for_what_the_operator_paused(model: str | None) -> None:
    async def main() -> None:
        async with carrier_world() as here:
            assert here.dispatcher is not None
            name = "many" if model is None else f"many/{model}"
            await here.kept.pause_lane(name, paused=True)
            await here.dispatcher.board.learn()
            batch = await here.make(20)
            await asyncio.sleep(60)
            assert here.batches.ours == []
            assert here.called.calls == []  # nor are they called one by one

            await here.dispatcher.board.pause("many", model, paused=False)
            assert await here.kinds(batch) == ["succeeded"] * 20
            assert len(here.batches.ours) == 1

    run_virtual(main(), limit=600)


def test_carriers_hold_no_more_requests_and_bytes_than_they_may_and_no_more_travel_than_there_are_slots() -> None:
    async def main() -> None:
        by_count = Gathering(requests=30, seconds=1.0, poll=10.0)
        async with carrier_world(gathering=by_count, limit=2) as here:
            batch = await here.make(100)
            await asyncio.sleep(50)
            assert len(here.batches.ours) == 2
            assert await here.kinds(batch) == ["succeeded"] * 100
            assert [len(made.entries) for made in here.batches.ours] == [30, 30, 30, 10]

        by_bytes = Gathering(requests=1000, bytes=4096, seconds=1.0, poll=10.0)
        async with carrier_world(gathering=by_bytes, limit=50) as here:
            batch = await here.make(100)
            assert await here.kinds(batch) == ["succeeded"] * 100
            sizes = [sum(len(params) + len(id_) + 27 for id_, params in made.entries) for made in here.batches.ours]
            assert len(sizes) > 2
            assert max(sizes) <= 4096

    run_virtual(main(), limit=3600)


def test_a_large_batch_does_not_keep_the_small_one_of_another_waiting() -> None:
    async def main() -> None:
        by_count = Gathering(requests=10, seconds=1.0, poll=10.0)
        async with carrier_world(gathering=by_count, limit=4, seconds=3600.0) as here:
            large = await here.make(200)
            await asyncio.sleep(60)
            assert [len(made.entries) for made in here.batches.ours] == [10] * 3
            small = await here.create(5, models=("b",), workspace="other")
            assert await here.kinds(small) == ["succeeded"] * 5
            assert here.clock.monotonic() < 60 + 3600 + 60
            await here.cancel(large)
            await here.ended(large)

    run_virtual(main(), limit=86400)


def test_a_batch_that_is_paused_and_an_upstream_out_of_its_hours_get_no_new_carriers() -> None:
    async def main() -> None:
        async with carrier_world(gathering=Gathering(requests=10, seconds=1.0, poll=10.0)) as here:
            here.is_open = False
            batch = await here.make(20)
            await asyncio.sleep(600)
            assert here.batches.ours == []
            await here.store.pause(batch.workspace, batch.id, paused=True)
            here.is_open = True
            await asyncio.sleep(600)
            assert here.batches.ours == []
            await here.store.pause(batch.workspace, batch.id, paused=False)
            await asyncio.sleep(10)
            assert len(here.batches.ours) == 2
            here.is_open = False  # what is under way goes on
            assert await here.kinds(batch) == ["succeeded"] * 20

    run_virtual(main(), limit=7200)


def test_a_line_that_failed_is_tried_again_within_the_limits_and_what_is_refused_is_errored() -> None:
    def fate(params: bytes, run: int) -> Outcome:
        number = int(params.split(b":")[1].split(b",")[0])
        if number % 4 == 0:
            return BROKEN
        if number % 4 == 1:
            return Refused(RequestError("invalid_request_error", "no"))
        return BUSY if number % 4 == 2 and run <= 5 else answered()

    async def main() -> None:
        async with carrier_world() as here:
            here.batches.fate = fate
            batch = await here.make(40)

            assert await here.kinds(batch) == ["errored", "errored", "succeeded", "succeeded"] * 10
            assert sorted(set(here.batches.runs.values())) == [1, 3, 6]
            assert sorted(here.batches.runs.values()) == [1] * 20 + [3] * 10 + [6] * 10

    run_virtual(main(), limit=7200)


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("taken", [False, True])
def test_a_create_whose_answer_is_lost_is_never_made_twice(keyed: bool, taken: bool) -> None:
    async def main() -> None:
        gathering = Gathering(seconds=1.0, poll=10.0, keyed=keyed)
        async with carrier_world(gathering=gathering) as here:
            here.batches.script = lambda verb, n: Trouble(LOST, taken) if (verb, n) == ("create", 1) else None
            batch = await here.make(30)

            assert await here.kinds(batch) == ["succeeded"] * 30
            await here.settled_upstream()
            assert len(here.batches.ours) == 1
            assert here.batches.repeated == {}
            assert here.batches.calls["create"] == (2 if keyed or not taken else 1)

    run_virtual(main(), limit=3600)


def test_full_carriers_whose_creates_are_lost_together_are_told_apart_before_they_end() -> None:
    async def main() -> None:
        by_count = Gathering(requests=200, seconds=1.0, poll=10.0)
        async with carrier_world(gathering=by_count, limit=3, seconds=3600.0) as here:
            here.batches.script = lambda verb, n: Trouble(LOST, n == 1) if verb == "create" and n <= 3 else None
            batch = await here.make(597)

            assert await here.kinds(batch) == ["succeeded"] * 597
            assert sorted(len(made.entries) for made in here.batches.ours) == [198, 199, 200]
            assert here.batches.repeated == {}
            assert here.clock.monotonic() < 3600 + 120  # none waited for the end of another

    run_virtual(main(), limit=86400)


def test_what_the_list_shows_of_others_is_neither_believed_nor_cancelled_nor_deleted() -> None:
    async def main() -> None:
        gathering = Gathering(seconds=1.0, poll=10.0, deletes=True)
        async with carrier_world(gathering=gathering) as here:

            def script(verb: str, number: int) -> Trouble | None:
                if (verb, number) != ("create", 1):
                    return None
                here.batches.add_foreign(30)  # of the same size, at the same time
                return Trouble(LOST, took_effect=True)

            here.batches.script = script
            batch = await here.make(30)

            assert await here.kinds(batch) == ["succeeded"] * 30
            await here.settled_upstream()
            assert len(here.batches.ours) == 1
            assert [made.deleted for made in here.batches.batches.values()] == [False, True]
            assert here.batches.repeated == {}

    run_virtual(main(), limit=3600)


def test_a_lost_create_of_a_canceled_batch_is_not_made_again_and_what_is_not_proven_is_let_run() -> None:
    async def main() -> None:
        async with carrier_world() as here:
            here.batches.script = lambda verb, n: Trouble(LOST, took_effect=True) if verb == "create" else None
            batch = await here.make(30)
            await asyncio.sleep(5)
            await here.cancel(batch)

            assert await here.kinds(batch) == ["succeeded"] * 30
            assert here.batches.calls["create"] == 1
            assert here.batches.calls["cancel"] == 0

        async with carrier_world(gathering=Gathering(seconds=1.0, poll=10.0)) as here:
            here.batches.script = lambda verb, n: Trouble(LOST) if verb == "create" else None
            batch = await here.make(30)
            await asyncio.sleep(5)
            await here.cancel(batch)

            assert await here.kinds(batch) == ["canceled"] * 30
            assert here.batches.ours == []

    run_virtual(main(), limit=3600)


def test_a_cancel_is_passed_on_and_what_ran_until_then_is_kept() -> None:
    async def main() -> None:
        async with carrier_world(seconds=1000.0) as here:
            batch = await here.make(100)
            await asyncio.sleep(500)
            await here.cancel(batch)
            canceled_at = here.clock.monotonic()
            kinds = await here.kinds(batch)

            assert kinds.count("succeeded") == sum(here.batches.runs.values()) >= 45
            assert set(kinds) == {"succeeded", "canceled"}
            assert here.clock.monotonic() - canceled_at < here.batches.cancel_seconds + 15
            assert here.batches.calls["cancel"] == 1

    run_virtual(main(), limit=3600)


def test_carriers_are_cancelled_before_our_deadline_and_the_batch_ends_in_time() -> None:
    async def main() -> None:
        async with carrier_world(seconds=4000.0, cancel_seconds=60.0) as here:
            batch = await here.make(100, hours=1)
            kinds = await here.kinds(batch)
            ended = await here.ended(batch)

            assert ended.ended_at is not None
            assert timedelta() <= ended.ended_at - batch.expires_at <= timedelta(seconds=60)
            [made] = here.batches.ours
            assert made.canceled_at is not None
            assert timedelta(minutes=7) <= batch.expires_at - made.canceled_at <= timedelta(minutes=8)
            assert kinds.count("succeeded") == sum(here.batches.runs.values()) > 70
            assert set(kinds) == {"succeeded", "expired"}

    run_virtual(main(), limit=86400)


def test_a_cancel_that_takes_for_ever_does_not_keep_our_batch_from_its_end() -> None:
    async def main() -> None:
        async with carrier_world(seconds=1e6, cancel_seconds=1e6) as here:
            batch = await here.make(10, hours=1)
            assert await here.kinds(batch) == ["expired"] * 10
            ended = await here.ended(batch)
            assert ended.ended_at is not None
            assert ended.ended_at - batch.expires_at <= timedelta(seconds=60)

    run_virtual(main(), limit=7200)


def test_an_upstream_that_cannot_be_reached_does_not_keep_our_batch_from_its_end_and_is_cancelled_later() -> None:
    async def main() -> None:
        async with carrier_world(seconds=50_000.0, expires_after=1e6) as here:
            batch = await here.make(10, hours=0.2)
            await asyncio.sleep(360)
            here.batches.script = lambda _verb, _n: Trouble(BUSY) if here.clock.monotonic() < 1800 else None

            assert await here.kinds(batch) == ["expired"] * 10
            await here.settled_upstream()
            assert here.batches.at_work == []
            assert here.batches.ours[0].canceled_at is not None

    run_virtual(main(), limit=2 * 86400)


def test_what_expired_or_was_canceled_by_the_upstream_travels_again_at_no_cost() -> None:
    async def main() -> None:
        async with carrier_world(seconds=1000.0, expires_after=400.0) as here:
            batch = await here.make(50)
            await asyncio.sleep(420)
            here.batches.expires_after = 86400.0

            assert await here.kinds(batch) == ["succeeded"] * 50
            assert [len(made.entries) for made in here.batches.ours] == [50, 30]
            assert here.batches.repeated == {}

        async with carrier_world(seconds=1000.0) as here:
            batch = await here.make(50)
            await asyncio.sleep(300)
            here.batches.ours[0].canceled_at = here.clock.now()  # by somebody else, with the same key

            assert await here.kinds(batch) == ["succeeded"] * 50
            assert len(here.batches.ours) == 2
            assert here.batches.repeated == {}

    run_virtual(main(), limit=86400)


def test_results_that_break_off_are_read_again_and_each_line_counts_once() -> None:
    async def main() -> None:
        async with carrier_world() as here:
            here.batches.cut_results = lambda number: number * 9 if number < 6 else None
            batch = await here.make(60)

            assert await here.kinds(batch) == ["succeeded"] * 60
            assert here.batches.calls["results"] == 6
            assert here.batches.repeated == {}

    run_virtual(main(), limit=3600)


def test_lines_that_stay_missing_are_unknown_and_run_once_more_at_most() -> None:
    async def main() -> None:
        async with carrier_world() as here:
            here.batches.withheld = lambda _n, custom_id: custom_id.endswith("-3")
            batch = await here.make(10)

            kinds = await here.kinds(batch)
            assert kinds == ["succeeded"] * 3 + ["errored"] + ["succeeded"] * 6
            assert sorted(here.batches.runs.values()) == [1] * 9 + [2]

    run_virtual(main(), limit=3600)


def test_a_server_that_forgets_a_batch_costs_one_repeat_and_no_more() -> None:
    async def main() -> None:
        async with carrier_world(seconds=300.0) as here:
            batch = await here.make(10)
            for _ in range(2):
                await asyncio.sleep(100)
                here.batches.run_all()
                for made in here.batches.ours:
                    made.forgotten = True
            assert await here.kinds(batch) == ["errored"] * 10
            await here.settled_upstream()
            assert len(here.batches.ours) == 2

    run_virtual(main(), limit=3600)


def test_a_404_that_passes_is_not_believed() -> None:
    async def main() -> None:
        async with carrier_world(seconds=300.0) as here:
            batch = await here.make(10)
            await asyncio.sleep(60)
            made = here.batches.ours[0]
            made.forgotten = True
            await asyncio.sleep(12)
            made.forgotten = False

            assert await here.kinds(batch) == ["succeeded"] * 10
            assert len(here.batches.ours) == 1
            assert here.seen(CarrierTrouble)

    run_virtual(main(), limit=3600)


def test_our_own_trouble_with_the_upstream_holds_it_with_an_alarm_and_fails_nothing() -> None:
    async def main() -> None:
        async with carrier_world() as here:
            here.batches.script = lambda _verb, _n: Trouble(DENIED) if here.clock.monotonic() < 600 else None
            batch = await here.make(10)

            assert await here.kinds(batch) == ["succeeded"] * 10
            assert here.seen(LaneHeld)
            assert here.batches.calls["create"] < 40
            assert len(here.batches.ours) == 1

        async with carrier_world() as here:
            here.batches.fate = lambda _params, run: DENIED if run == 1 else answered()
            batch = await here.make(10)

            assert await here.kinds(batch) == ["succeeded"] * 10
            assert here.seen(LaneHeld)

    run_virtual(main(), limit=7200)


def test_after_a_hold_one_carrier_finds_out_before_all_others_send_their_creates_again() -> None:
    async def main() -> None:
        async with carrier_world(gathering=Gathering(requests=10, seconds=1.0, poll=10.0), limit=20) as here:
            here.batches.script = lambda _verb, _n: Trouble(DENIED) if here.clock.monotonic() < 600 else None
            batch = await here.make(190)
            await asyncio.sleep(590)
            assert here.batches.calls["create"] <= 19 + 25

            assert await here.kinds(batch) == ["succeeded"] * 190
            assert here.clock.monotonic() < 600 + 30 + 100 + 60
            assert len(here.batches.ours) == 19
            await here.settled_upstream()
            again = here.clock.monotonic() + 60
            here.batches.script = lambda _verb, _n: Trouble(DENIED) if here.clock.monotonic() < again else None
            assert await here.kinds(await here.make(30)) == ["succeeded"] * 30

    run_virtual(main(), limit=7200)


def test_a_create_that_was_not_taken_is_tried_again_by_the_same_carrier() -> None:
    async def main() -> None:
        async with carrier_world() as here:
            here.batches.script = lambda verb, n: Trouble(BUSY) if verb == "create" and n <= 5 else None
            batch = await here.make(10)

            assert await here.kinds(batch) == ["succeeded"] * 10
            assert len(here.seen(CarrierMade)) == 1

    run_virtual(main(), limit=3600)


def test_a_create_that_is_too_large_is_halved_until_it_fits() -> None:
    async def main() -> None:
        async with carrier_world(most=30) as here:
            batch = await here.make(100)

            assert await here.kinds(batch) == ["succeeded"] * 100
            assert all(len(made.entries) <= 30 for made in here.batches.ours)
            assert here.batches.calls["create"] <= 8

    run_virtual(main(), limit=3600)


def test_a_create_that_is_refused_for_one_request_goes_without_it_and_one_that_is_refused_whole_errs() -> None:
    async def main() -> None:
        one = Refused(RequestError("invalid_request_error", "requests.3.params: no"))
        async with carrier_world() as here:
            here.batches.script = lambda verb, n: Trouble(one) if (verb, n) == ("create", 1) else None
            batch = await here.make(6)
            assert await here.kinds(batch) == ["succeeded"] * 3 + ["errored"] + ["succeeded"] * 2

        async with carrier_world() as here:
            no = Refused(RequestError("invalid_request_error", "unknown beta"))
            here.batches.script = lambda verb, _n: Trouble(no) if verb == "create" else None
            batch = await here.make(6)
            lines = await here.lines(batch)
            assert [line[1] for line in lines] == ["errored"] * 6
            assert all("unknown beta" in line[2] for line in lines)
            assert here.batches.calls["create"] == 1

    run_virtual(main(), limit=3600)


def test_params_that_were_damaged_are_errored_and_the_others_travel() -> None:
    async def main() -> None:
        async with carrier_world() as here:
            batch = await here.make(5)
            here.blobs.flip(batch.body, 3)  # type: ignore[attr-defined]

            assert await here.kinds(batch) == ["errored"] + ["succeeded"] * 4

    run_virtual(main(), limit=3600)


def test_what_was_collected_is_deleted_there_if_that_is_asked_for() -> None:
    async def main() -> None:
        async with carrier_world(gathering=Gathering(seconds=1.0, poll=10.0, deletes=True)) as here:
            here.batches.script = lambda verb, n: Trouble(BUSY) if verb == "delete" and n == 1 else None
            batch = await here.make(5)
            assert await here.kinds(batch) == ["succeeded"] * 5
            await here.settled_upstream()
            assert here.batches.ours[0].deleted

    run_virtual(main(), limit=3600)


# --- deaths


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_deaths_at_any_moment_lose_nothing_repeat_nothing_and_leave_no_orphan(keyed: bool, seed: int) -> None:
    async def main() -> None:
        gathering = Gathering(requests=40, seconds=1.0, poll=10.0, keyed=keyed, deletes=seed % 2 == 0)
        here = CarrierWorld(seed=seed, gathering=gathering, seconds=30.0)
        here.store = SlowStore(here.kept, lambda _verb: here.random.uniform(0.0, 0.2))
        here.batches.script = lambda verb, _n: (
            Trouble(LOST, took_effect=here.random.random() < 0.5)
            if verb in {"create", "cancel", "delete"} and here.random.random() < 0.2
            else (Trouble(BUSY) if here.random.random() < 0.1 else None)
        )
        await here.start()
        batch = await here.make(100)
        for _ in range(12):
            await asyncio.sleep(here.random.uniform(0.0, 12.0))
            await here.kill()
            await here.start()
        assert await here.kinds(batch) == ["succeeded"] * 100
        await here.settled_store()
        assert here.batches.repeated == {}
        assert here.batches.at_work == []
        assert len(here.batches.ours) == len({made.key for made in here.batches.ours})
        await here.kill()

    run_virtual(main(), limit=86400)


def test_a_drain_leaves_what_is_under_way_to_the_next_owner() -> None:
    async def main() -> None:
        async with carrier_world(seconds=200.0) as here:
            batch = await here.make(20)
            await asyncio.sleep(50)
            drained_at = here.clock.monotonic()
            await here.drain()
            assert here.clock.monotonic() - drained_at < 5
            await here.kill()
            await here.start()

            assert await here.kinds(batch) == ["succeeded"] * 20
            assert len(here.batches.ours) == 1

    run_virtual(main(), limit=3600)


def test_an_owner_that_is_past_its_lease_creates_nothing() -> None:
    async def main() -> None:
        async with carrier_world() as here:
            here.sends = False
            await here.make(20)
            await asyncio.sleep(60)
            assert here.batches.calls["create"] == 0
            assert not here.seen(CarrierMade)

        frozen = CarrierWorld()
        frozen.store = SlowStore(frozen.kept, lambda verb: 4.0 if verb == "make" else 0.0)
        await frozen.start()
        await frozen.make(20)
        await asyncio.sleep(3)
        frozen.sends = False  # while the store makes it
        await asyncio.sleep(60)
        assert frozen.seen(CarrierMade)
        assert frozen.batches.calls["create"] == 0
        await frozen.kill()

    run_virtual(main(), limit=3600)


def test_an_owner_whose_lease_ends_while_it_sends_a_create_does_not_end_it() -> None:
    class Watched(MemoryBlobs):
        """Lets the lease end at the 30th of 20 readings to weigh and 20 to send."""

        reads = 0

        async def read(self, name: str, offset: int, length: int) -> bytes:
            self.reads += 1
            if self.reads == 30:
                self.world.sends = False
            return await super().read(name, offset, length)

        def __init__(self, world: CarrierWorld) -> None:
            super().__init__(monotonic=world.clock.monotonic)
            self.world = world

    async def main() -> None:
        here = CarrierWorld()
        here.blobs = Watched(here)
        await here.start()
        batch = await here.make(20)
        await asyncio.sleep(60)
        assert here.batches.calls["create"] == 0
        here.sends = True

        assert await here.kinds(batch) == ["succeeded"] * 20
        assert here.batches.calls["create"] == 1
        await here.kill()

    run_virtual(main(), limit=3600)


@pytest.mark.parametrize("when", [Fault.BEFORE, Fault.AFTER])
def test_a_store_that_fails_now_and_then_delays_and_changes_nothing_else(when: Fault) -> None:
    async def main() -> None:
        here = CarrierWorld(seconds=30.0, gathering=Gathering(requests=20, seconds=1.0, poll=10.0, deletes=True))
        here.store = FailingStore(
            here.kept,
            lambda verb, n: (
                when if verb in {"make", "sent", "members", "finish", "adopt", "turn"} and n % 3 == 1 else None
            ),
        )
        await here.start()
        batch = await here.make(60)

        assert await here.kinds(batch) == ["succeeded"] * 60
        await here.settled_store()
        assert here.batches.repeated == {}
        assert here.batches.at_work == []
        await here.kill()

    run_virtual(main(), limit=7200)


class BrokenCarriers(StoreAround):
    """Fails one verb wherever it needs a row of one batch."""

    def __init__(self, inner: Any, verb: str, error: Exception) -> None:
        super().__init__(inner)
        self.verb, self.error, self.batch, self.failed = verb, error, "", 0
        self.broken: set[str] = set()

    def check(self, verb: str, broken: bool) -> None:
        if broken and verb == self.verb:
            self.failed += 1
            raise self.error

    async def make(self, tender: str, new: NewCarrier, pick: Pick) -> tuple[Carrier, Sequence[Lease]] | None:
        self.check("make", pick.batch == self.batch)
        made = await super().make(tender, new, pick)
        if made is not None and made[0].batch == self.batch:
            self.broken.add(made[0].id)
        return made

    async def turn(self, owner: str, settlements: Sequence[Settlement], picks: Sequence[Pick], now: datetime) -> Turn:
        self.check("turn", owner in self.broken)
        return await super().turn(owner, settlements, picks, now)

    async def members(self, carrier: str) -> Sequence[Lease]:
        self.check("members", carrier in self.broken)
        return await super().members(carrier)

    async def finish(self, tender: str, carrier: str, *, lost: bool, now: datetime) -> bool:
        self.check("finish", carrier in self.broken)
        return await super().finish(tender, carrier, lost=lost, now=now)


@pytest.mark.parametrize("verb", ["make", "turn", "members", "finish"])
@pytest.mark.parametrize("error", [AssertionError("1 open request where none is"), StoreDamaged("read: a page")])
def test_a_batch_that_is_broken_stops_and_the_carriers_of_others_go_on(verb: str, error: Exception) -> None:
    async def main() -> None:
        here = CarrierWorld(limit=3)
        here.store = store = BrokenCarriers(here.kept, verb, error)
        await here.start()
        broken, sound = await here.make(10), await here.make(20)
        store.batch = broken.id
        assert await here.kinds(sound) == ["succeeded"] * 20
        await here.kill()
        await here.start()  # it is tried again, and stops again
        assert await here.kinds(await here.make(5)) == ["succeeded"] * 5
        await asyncio.sleep(600)

        assert {event.batch for event in here.events if isinstance(event, BatchStopped)} == {broken.id}
        assert 1 <= store.failed <= 3, "it is left alone"
        assert not here.seen(StoreFailed)
        await here.kill()

    run_virtual(main(), limit=3600)


def test_carriers_whose_upstream_is_gone_from_the_settings_wait_and_end_with_their_batch() -> None:
    async def main() -> None:
        here = CarrierWorld(seconds=1e5)
        await here.start()
        batch, kept = await here.make(5), await here.make(5, hours=1)
        await asyncio.sleep(60)
        await here.kill()
        here.has_batches = False
        await here.start()
        await asyncio.sleep(60)
        assert len(here.seen(CarrierStranded)) == 2
        await here.cancel(batch)

        assert await here.kinds(batch) == ["canceled"] * 5
        assert await here.kinds(kept) == ["expired"] * 5
        await here.kill()

    run_virtual(main(), limit=86400)


def test_trouble_is_told_and_not_for_ever() -> None:
    async def main() -> None:
        async with carrier_world() as here:
            here.batches.script = lambda verb, _n: Trouble(BUSY) if verb == "retrieve" else None
            batch = await here.make(5, hours=1)
            await here.ended(batch)

            assert 10 < len(here.seen(CarrierTrouble)) < 200
            assert {event.doing for event in here.events if isinstance(event, CarrierTrouble)} == {"retrieve"}

    run_virtual(main(), limit=86400)
