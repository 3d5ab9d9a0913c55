"""The life of a batch on virtual time: answers, retries, cancel, expiry, retention."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from batchyard.domain.outcome import Failed, Held, Hung, NotStarted, Outcome, Refused, Unknown
from batchyard.domain.result import RequestError
from batchyard.testing.time import START, run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, always, answered, in_turn, per_request
from tests.simulation.world import World, world

OVERLOADED = RequestError("overloaded_error", "busy")


def test_every_request_gets_one_result_in_the_order_of_the_requests() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(lambda number, _call: ((number * 7) % 5 + 0.1, answered()))
        async with world(upstream) as here:
            batch = await here.create(40)

            assert await here.kinds(batch) == ["succeeded"] * 40
            assert upstream.repeated == {}
            assert (await here.ended(batch)).counts.succeeded == 40

    run_virtual(main(), limit=600)


def test_all_slots_are_used_and_never_one_more() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=1.0))
        async with world(upstream, limit=5) as here:
            batch = await here.create(50)
            await here.ended(batch)

            assert upstream.most_in_flight == 5
            assert here.clock.monotonic() < 50 / 5 * 1.0 * 1.1 + 0.5

    run_virtual(main(), limit=60)


def test_a_refusal_by_the_upstream_is_errored_at_once() -> None:
    async def main() -> None:
        error = RequestError("invalid_request_error", "no")
        upstream = ScriptedUpstream(in_turn([(0.1, Refused(error))], (0.1, answered())))
        async with world(upstream, limit=1) as here:
            assert await here.kinds(await here.create(3)) == ["errored", "succeeded", "succeeded"]
            assert upstream.repeated == {}

    run_virtual(main(), limit=60)


def test_free_refusals_are_retried_as_often_as_it_takes() -> None:
    def script(_params: bytes, attempt: int) -> tuple[float, Outcome]:
        return (0.01, NotStarted(OVERLOADED) if attempt <= 6 else answered())

    async def main() -> None:
        async with world(ScriptedUpstream(per_request(script))) as here:
            assert await here.kinds(await here.create(20)) == ["succeeded"] * 20

    run_virtual(main(), limit=3600)


def test_a_retry_begins_when_its_time_comes_though_a_pick_before_found_too_little() -> None:
    def script(_params: bytes, attempt: int) -> tuple[float, Outcome]:
        return (0.05, Failed(OVERLOADED) if attempt == 1 else answered())

    async def main() -> None:
        upstream = ScriptedUpstream(per_request(script))
        async with world(upstream, limit=50) as here:
            await here.ended(await here.create(40))

            refused_at = {seen.call.params: seen.ended_at for seen in upstream.calls[:40]}
            waits = [seen.started_at - (refused_at[seen.call.params] or 0.0) for seen in upstream.calls[40:]]
            assert len(waits) == 40
            assert max(waits) <= 0.5 + 0.05  # the longest delay after a first attempt, and a few turns
            await here.ended(await here.create(100))
            assert upstream.most_in_flight == 50  # the picks that found too little gave their slots back

    run_virtual(main(), limit=60)


def test_retry_after_is_a_minimum() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(in_turn([(0.0, NotStarted(OVERLOADED, retry_after=20.0))], (0.0, answered())))
        async with world(upstream) as here:
            await here.ended(await here.create(1))

            first, second = upstream.calls
            assert second.started_at - first.started_at >= 20.0

    run_virtual(main(), limit=120)


def test_failures_after_work_are_paid_for_three_times_at_most() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(Failed(RequestError("api_error", "broke")), seconds=0.1))
        async with world(upstream) as here:
            assert await here.kinds(await here.create(2)) == ["errored"] * 2
            assert sorted(upstream.by_params.values()) == [3, 3]

    run_virtual(main(), limit=600)


def test_an_unknown_end_is_repeated_once_at_most() -> None:
    for outcome in (Unknown(RequestError("api_error", "cut")), Hung(RequestError("timeout_error", "silent"))):

        async def main(outcome: Outcome = outcome) -> None:
            upstream = ScriptedUpstream(always(outcome, seconds=0.1))
            async with world(upstream) as here:
                assert await here.kinds(await here.create(3)) == ["errored"] * 3
                assert sorted(upstream.by_params.values()) == [2, 2, 2]

        run_virtual(main(), limit=600)


def test_our_own_trouble_with_the_upstream_holds_the_lane_and_fails_no_request() -> None:
    async def main() -> None:
        denied = Held(RequestError("authentication_error", "wrong key"))
        upstream = ScriptedUpstream(lambda _n, _call: (0.0, denied if here.clock.monotonic() < 300 else answered()))
        here = World(upstream, limit=8)
        await here.start()
        batch = await here.create(30)
        await asyncio.sleep(300)
        calls_while_denied = len(upstream.calls)

        assert await here.kinds(batch) == ["succeeded"] * 30
        assert calls_while_denied < 8 + 300 / 10
        await here.kill()

    run_virtual(main(), limit=3600)


def test_an_outage_is_probed_not_stormed() -> None:
    async def main() -> None:
        refused = NotStarted(RequestError("api_error", "connection refused"))
        upstream = ScriptedUpstream(lambda _n, _call: (0.0, refused if here.clock.monotonic() < 600 else answered()))
        here = World(upstream, limit=16)
        await here.start()
        batch = await here.create(200)
        await asyncio.sleep(600)
        calls_in_the_outage = len(upstream.calls)

        assert await here.kinds(batch) == ["succeeded"] * 200
        assert calls_in_the_outage < 100
        await here.kill()

    run_virtual(main(), limit=3600)


def test_after_a_cancel_no_call_starts_and_answers_are_kept() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=10.0))
        async with world(upstream, limit=4) as here:
            batch = await here.create(20)
            await asyncio.sleep(15)
            await here.store.cancel("w", batch.id, here.clock.now())
            here.wake()
            canceled_at = here.clock.monotonic()
            kinds = await here.kinds(batch)

            assert kinds == ["succeeded"] * 8 + ["canceled"] * 12
            assert all(call.started_at <= canceled_at for call in upstream.calls)
            assert here.clock.monotonic() - canceled_at <= 10.0 + 2.0

    run_virtual(main(), limit=600)


def test_what_would_be_tried_again_becomes_canceled_in_a_canceling_batch() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(NotStarted(OVERLOADED), seconds=5.0))
        async with world(upstream, limit=2) as here:
            batch = await here.create(2)
            await asyncio.sleep(2)
            await here.store.cancel("w", batch.id, here.clock.now())

            assert await here.kinds(batch) == ["canceled"] * 2
            assert len(upstream.calls) == 2

    run_virtual(main(), limit=600)


def test_nothing_is_sent_after_the_deadline_and_calls_in_flight_get_thirty_seconds() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(in_turn([(3595.0, answered()), (3625.0, answered())], (7200.0, answered())))
        async with world(upstream, limit=3) as here:
            batch = await here.create(9, hours=1)

            assert await here.kinds(batch) == ["succeeded"] * 2 + ["expired"] * 7
            ended = await here.ended(batch)
            assert ended.ended_at is not None
            assert timedelta() <= ended.ended_at - batch.expires_at <= timedelta(seconds=60)
            assert all(call.started_at < 3600.0 for call in upstream.calls)

    run_virtual(main(), limit=8000)


def test_results_go_29_days_after_creation_and_the_batch_stays() -> None:
    async def main() -> None:
        here = World(ScriptedUpstream(always(answered(), seconds=30.0)), lease=86400.0)
        here.pace, here.duties = replace(here.pace, refresh=3600.0), replace(here.duties, every=600.0)
        await here.start()
        batch = await here.create(3)
        ended = await here.ended(batch)
        assert ended.sealed is not None
        await asyncio.sleep(29 * 86400.0 - here.clock.monotonic() - 5)
        assert (await here.kept.get("w", batch.id)).has_results
        await asyncio.sleep(1200)

        archived = await here.kept.get("w", batch.id)
        assert archived.archived_at is not None
        assert archived.archived_at - batch.created_at >= timedelta(days=29)
        assert await here.blobs.old(-1.0) == []
        await here.kill()

    run_virtual(main(), limit=30 * 86400)


def test_version_and_betas_of_the_create_reach_each_call() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream()
        async with world(upstream) as here:
            await here.ended(await here.create(2))

            assert {(call.call.version, call.call.betas) for call in upstream.calls} == {("2023-06-01", ())}
            assert all(call.call.batched for call in upstream.calls)
            assert here.clock.now() >= START

    run_virtual(main(), limit=60)


def test_while_deadlines_are_held_nothing_expires_and_nothing_is_sent_after_them() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=100.0))
        here = World(upstream, limit=1)
        here.holds = lambda: here.clock.monotonic() < 600.0
        here.duties = replace(here.duties, retain_results_for=timedelta(seconds=200))
        await here.start()
        quick = await here.create(1)
        await here.ended(quick)
        late = await here.create(5, hours=250 / 3600)
        await asyncio.sleep(450)
        assert (await here.kept.get("w", late.id)).closing is None
        assert (await here.kept.get("w", quick.id)).has_results

        assert (await here.ended(late)).counts.expired > 0
        assert here.clock.monotonic() <= 603.0
        assert max(call.started_at for call in upstream.calls) < 100.0 + 251.0
        await asyncio.sleep(5)
        assert not (await here.kept.get("w", quick.id)).has_results
        await here.kill()

    run_virtual(main(), limit=3600)
