"""The herald on virtual time: every end is told once, whoever dies, whoever does not answer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import msgspec
import pytest

from batchyard.dispatch.herald import Herald, HeraldPace
from batchyard.domain.batch import Batch
from batchyard.domain.errors import NotFound, StoreUnavailable
from batchyard.domain.events import BugFound, LaneHeld, StoreFailed
from batchyard.domain.hook_events import WebhookFailed
from batchyard.domain.hooks import CHOICES, Delivery, Hook, Kind, Notice, Reply, State
from batchyard.ports import Outbox, Upkeep
from batchyard.store.memory_outbox import MemoryOutbox
from batchyard.testing.stores import StoreAround
from batchyard.testing.time import run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, always, answered
from tests.simulation.world import World, world

EVERYTHING = Hook("ops", frozenset(CHOICES), frozenset("*"))
HOUR = 3600.0


class ScriptedPost:
    """Notes what is posted, and answers as told."""

    def __init__(self, reply: Callable[[Delivery], Reply] = lambda _: Reply(204), seconds: float = 0.1) -> None:
        self.reply, self.seconds = reply, seconds
        self.posted: list[tuple[float, Delivery]] = []

    async def post(self, delivery: Delivery, now: datetime) -> Reply:
        self.posted.append((asyncio.get_running_loop().time(), delivery))
        await asyncio.sleep(self.seconds)
        return self.reply(delivery)

    async def close(self) -> None:
        """Nothing is held."""

    @property
    def ids(self) -> list[str]:
        return [delivery.notice.id for _, delivery in self.posted]

    def kinds(self) -> Counter[Kind]:
        return Counter(delivery.notice.kind for _, delivery in self.posted)


@asynccontextmanager
async def herald(
    here: World,
    post: ScriptedPost,
    outbox: Outbox,
    *,
    hooks: Sequence[Hook] = (EVERYTHING,),
    upkeep: Upkeep | None = None,
    every: float = 5.0,
) -> AsyncIterator[Herald]:
    made = Herald(
        hooks, upkeep or here.kept, outbox, post,
        clock=here.clock, emit=here.events.append, jitter=lambda: 0.0, pace=HeraldPace(every=every),
    )  # fmt: skip
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def upstream() -> ScriptedUpstream:
    return ScriptedUpstream(always(answered(), seconds=1.0))


def bugs(here: World) -> list[object]:
    return [event for event in here.events if isinstance(event, BugFound)]


def test_each_batch_that_ends_is_told_once_with_its_counts() -> None:
    async def main() -> None:
        post = ScriptedPost()
        async with world(upstream()) as here, herald(here, post, MemoryOutbox()):
            await here.asleep(1)
            batches = [await here.ended(await here.create(3)) for _ in range(3)]
            await here.asleep(HOUR)

            assert sorted(post.ids) == sorted(f"{batch.id}.ended" for batch in batches)
            told = msgspec.json.decode(post.posted[0][1].notice.body)
            assert told["data"]["request_counts"]["succeeded"] == 3
            assert not bugs(here)

    run_virtual(main(), limit=12 * HOUR)


def test_what_ended_before_there_was_a_webhook_is_not_told() -> None:
    async def main() -> None:
        post = ScriptedPost()
        async with world(upstream()) as here:
            await here.ended(await here.create(1))
            await here.asleep(60)
            async with herald(here, post, MemoryOutbox()):
                await here.asleep(HOUR)
                assert post.ids == []
                batch = await here.ended(await here.create(1))
                await here.asleep(60)

                assert post.ids == [f"{batch.id}.ended"]

    run_virtual(main(), limit=12 * HOUR)


def test_what_ends_while_no_herald_lives_is_told_by_the_next() -> None:
    async def main() -> None:
        post, outbox = ScriptedPost(), MemoryOutbox()
        async with world(upstream()) as here:
            async with herald(here, post, outbox):
                await here.asleep(10)
            batch = await here.ended(await here.create(1))
            await here.asleep(HOUR)
            async with herald(here, post, outbox):
                await here.asleep(60)

            assert post.ids == [f"{batch.id}.ended"]

    run_virtual(main(), limit=12 * HOUR)


def test_a_herald_that_dies_in_the_middle_of_a_post_is_followed_by_one_that_repeats_it() -> None:
    async def main() -> None:
        post, outbox = ScriptedPost(seconds=30.0), MemoryOutbox()
        async with world(upstream()) as here:
            async with herald(here, post, outbox):
                await here.asleep(1)
                batch = await here.ended(await here.create(1))
                await here.asleep(6)
                assert len(post.ids) == 1
            async with herald(here, post, outbox):
                await here.asleep(600)

            assert post.ids == [f"{batch.id}.ended"] * 2
            [told] = await outbox.log("ops", 5)
            assert (told.state, told.tries) == (State.DELIVERED, 2)

    run_virtual(main(), limit=12 * HOUR)


@pytest.mark.parametrize("status", [None, 500, 302])
def test_a_receiver_that_never_takes_it_is_tried_for_a_day_and_then_left(status: int | None) -> None:
    async def main() -> None:
        post, outbox = ScriptedPost(lambda _: Reply(status, "no")), MemoryOutbox()
        async with world(upstream()) as here, herald(here, post, outbox, every=60.0):
            await here.asleep(1)
            await here.ended(await here.create(1))
            await here.kill()  # the engine has nothing more to do, and days to pass
            await here.asleep(3 * 24 * HOUR)

            assert len(post.posted) == 8
            assert 23 * HOUR < post.posted[-1][0] - post.posted[0][0] < 25 * HOUR
            [told] = await outbox.log("ops", 5)
            assert (told.state, told.tries, told.again_at) == (State.FAILED, 8, None)
            assert [event.webhook for event in here.events if isinstance(event, WebhookFailed)] == ["ops"]

    run_virtual(main(), limit=4 * 24 * HOUR)


def test_a_receiver_that_hangs_does_not_keep_the_others_waiting() -> None:
    async def main() -> None:
        hooks = [Hook(name, frozenset(CHOICES), frozenset("*")) for name in ("slow", "quick")]
        post = ScriptedPost(lambda delivery: Reply(None if delivery.hook == "slow" else 204))
        async with world(upstream()) as here, herald(here, post, MemoryOutbox(), hooks=hooks):
            await here.asleep(1)
            for _ in range(5):
                await here.ended(await here.create(1))
            await here.asleep(30)

            quick = [delivery.notice.id for _, delivery in post.posted if delivery.hook == "quick"]
            assert len(quick) == len(set(quick)) == 5

    run_virtual(main(), limit=12 * HOUR)


def test_a_deadline_that_is_near_is_told_once() -> None:
    async def main() -> None:
        post, outbox = ScriptedPost(), MemoryOutbox()
        stuck = ScriptedUpstream(always(answered(), seconds=10 * HOUR))
        async with world(stuck) as here, herald(here, post, outbox):
            batch = await here.create(1, hours=3)
            await here.asleep(1.9 * HOUR)
            assert post.ids == []
            await here.asleep(0.2 * HOUR)
            assert post.ids == [f"{batch.id}.expiring"]
            await here.ended(batch)
            await here.asleep(HOUR)

            assert post.ids == [f"{batch.id}.expiring", f"{batch.id}.ended"]

    run_virtual(main(), limit=12 * HOUR)


def test_a_canceled_batch_is_told_as_that() -> None:
    async def main() -> None:
        post = ScriptedPost()
        async with world(upstream()) as here, herald(here, post, MemoryOutbox()):
            await here.asleep(1)
            batch = await here.create(50)
            await here.kept.cancel(batch.workspace, batch.id, here.clock.now())
            await here.ended(batch)
            await here.asleep(60)

            assert post.kinds() == {Kind.CANCELED: 1}

    run_virtual(main(), limit=12 * HOUR)


def test_a_held_lane_is_told_at_once_and_only_once_an_hour() -> None:
    async def main() -> None:
        post = ScriptedPost()
        async with world(upstream()) as here, herald(here, post, MemoryOutbox()) as told:
            for _ in range(30):
                told.hear(LaneHeld("gpu", 60.0, "authentication_error"))
                await here.asleep(60)

            assert post.posted[0][0] < 1.0
            assert post.kinds()[Kind.HELD] <= 2

    run_virtual(main(), limit=12 * HOUR)


def test_a_test_is_sent_to_one_and_shown_in_its_log() -> None:
    async def main() -> None:
        hooks = [EVERYTHING, Hook("other", frozenset({Kind.ENDED}), frozenset({"w"}))]
        post = ScriptedPost()
        async with world(upstream()) as here, herald(here, post, MemoryOutbox(), hooks=hooks) as told:
            notice = await told.test("other")
            assert await told.waiting() == {"ops": 0, "other": 1}
            await here.asleep(1)

            assert await told.waiting() == {"ops": 0, "other": 0}
            assert [(delivery.hook, delivery.notice.id) for _, delivery in post.posted] == [("other", notice.id)]
            assert [one.state for one in await told.log("other", 5)] == [State.DELIVERED]
            with pytest.raises(NotFound):
                await told.test("nobody")
            with pytest.raises(NotFound):
                await told.log("nobody", 1)

    run_virtual(main(), limit=12 * HOUR)


def test_what_waits_for_a_webhook_that_is_gone_from_the_settings_is_left() -> None:
    async def main() -> None:
        post, outbox = ScriptedPost(), MemoryOutbox()
        async with world(upstream()) as here, herald(here, post, outbox):
            await outbox.put([Delivery("gone", Notice("n", Kind.TEST, None, b"{}"))], here.clock.now())
            await here.asleep(60)

            assert post.ids == []
            assert [one.state for one in await outbox.log("gone", 1)] == [State.FAILED]

    run_virtual(main(), limit=12 * HOUR)


class Flaky(StoreAround):
    """A store that cannot be asked what ended, for a while."""

    until = 0.0

    async def ended(self, since: datetime) -> Sequence[Batch]:
        if asyncio.get_running_loop().time() < self.until:
            raise StoreUnavailable("the disk is away")
        return await super().ended(since)


def test_a_store_that_fails_for_a_while_delays_what_is_told_and_loses_none_of_it() -> None:
    async def main() -> None:
        post = ScriptedPost()
        async with world(upstream()) as here:
            flaky = Flaky(here.kept)
            async with herald(here, post, MemoryOutbox(), upkeep=flaky) as told:
                await here.asleep(1)
                flaky.until = 1000.0
                told.hear(LaneHeld("gpu", 60.0, "authentication_error"))
                batch = await here.ended(await here.create(1))
                await here.asleep(900)
                assert post.ids == []
                await here.asleep(200)

                assert post.kinds() == {Kind.HELD: 1, Kind.ENDED: 1}
                assert f"{batch.id}.ended" in post.ids
                assert any(isinstance(event, StoreFailed) for event in here.events)

    run_virtual(main(), limit=12 * HOUR)


def test_the_log_goes_back_a_month() -> None:
    async def main() -> None:
        post, outbox = ScriptedPost(), MemoryOutbox()
        async with world(upstream()) as here, herald(here, post, outbox, every=HOUR) as told:
            await here.kill()
            await told.test("ops")
            await here.asleep(29 * 24 * HOUR)
            assert len(await told.log("ops", 5)) == 1
            await here.asleep(timedelta(days=2).total_seconds())
            assert await told.log("ops", 5) == []

    run_virtual(main(), limit=40 * 24 * HOUR)
