"""Limits of a workspace as its clients meet them: a 429 that says whether waiting helps."""

import asyncio
from typing import Any

import pytest

from batchyard.domain.quota import Allowance, Allowances, Bucket, Quota
from batchyard.testing.blobs import MemoryBlobs
from batchyard.web.settings import WebSettings
from tests.wire.world import Reply, World, a_body

PATH = "/v1/messages/batches"
OTHER: dict[str, str | None] = {"x-api-key": "key-two"}


def a_world(quota: Quota | None = None, calls_per_minute: int | None = None) -> World:
    """A world in which w1 is limited, and no other but w3, as w1 is."""
    limited = Allowance(calls_per_minute, quota or Quota())
    return World(settings=WebSettings(allowances=Allowances(named={"w1": limited, "w3": limited})))


def ratelimit(reply: Reply) -> tuple[str | None, ...]:
    return tuple(reply.header(f"anthropic-ratelimit-requests-{each}") for each in ("limit", "remaining", "reset"))


def test_a_bucket_gives_a_minutes_calls_at_once_and_then_their_rate() -> None:
    bucket = Bucket(60, 100.0)

    assert [bucket.take(100.0) for _ in range(60)] == [0.0] * 60
    assert bucket.take(100.0) == pytest.approx(1.0)
    assert bucket.take(100.5) == pytest.approx(0.5)
    assert bucket.take(101.0) == 0.0
    assert bucket.take(101.0) > 0
    assert sum(bucket.take(1000.0) == 0 for _ in range(100)) == 60


def test_calls_beyond_the_rate_are_a_429_that_says_when_to_come_again() -> None:
    async def scenario() -> None:
        world = a_world(calls_per_minute=3)
        app = world.app
        replies = [await world.call("GET", PATH, app=app) for _ in range(4)]
        assert [reply.status for reply in replies] == [200, 200, 200, 429]
        assert ratelimit(replies[0]) == ("3", "2", "2026-03-02T09:00:20.000000Z")
        assert ratelimit(replies[3]) == ("3", "0", "2026-03-02T09:01:00.000000Z")
        assert replies[3].error()[1] == "rate_limit_error"
        assert replies[3].header("retry-after") == "20"
        assert replies[3].header("x-should-retry") is None

        other = await world.call("GET", PATH, headers=OTHER, app=app)
        assert (other.status, ratelimit(other)) == (200, (None, None, None))
        third = await world.call("GET", PATH, headers={"x-api-key": "key-three"}, app=app)
        assert (third.status, ratelimit(third)[1]) == (200, "2")
        world.clock.seconds += 20
        assert (await world.call("GET", PATH, app=app)).status == 200
        assert (await world.call("GET", PATH, app=app)).status == 429

    asyncio.run(scenario())


def test_all_keys_of_a_workspace_share_its_rate_and_messages_do_not_count() -> None:
    async def scenario() -> None:
        world = a_world(calls_per_minute=2)
        app = world.app
        for _ in range(3):
            assert (await world.call("GET", "/v1/models", app=app)).status == 200
        first = await world.call("GET", PATH, app=app)
        second = await world.call("POST", PATH, a_body("a"), headers={"x-api-key": "key-one-b"}, app=app)
        third = await world.call("POST", PATH, a_body("a"), app=app, unread=True)
        assert [first.status, second.status, third.status] == [200, 200, 429]
        assert (await world.call("GET", PATH, headers={"x-api-key": "wrong"}, app=app)).status == 401
        assert (await world.call("GET", PATH, headers={"x-api-key": "key-cancel"}, app=app)).status == 403

    asyncio.run(scenario())


class CountingBlobs(MemoryBlobs):
    """Counts the bodies that were begun."""

    begun = 0

    def writer(self, kind: str) -> Any:
        self.begun += 1
        return super().writer(kind)


@pytest.mark.parametrize(
    ("quota", "waits"),
    [(Quota(requests=2), True), (Quota(batches=1), True), (Quota(bytes=100), False)],
)
def test_a_full_workspace_is_refused_before_its_body_is_read(quota: Quota, waits: bool) -> None:
    async def scenario() -> None:
        world = a_world(quota)
        blobs = world.blobs = CountingBlobs()
        if quota.bytes is None:
            await world.create("a", "b")
        else:
            world.settings = WebSettings()
            await world.create("a", "b")
            world.settings = WebSettings(allowances=Allowances(named={"w1": Allowance(quota=quota)}))

        reply = await world.call("POST", PATH, a_body("c"), unread=True)

        assert reply.error()[:2] == (429, "rate_limit_error")
        assert (reply.header("retry-after"), reply.header("x-should-retry")) == (
            ("30", None) if waits else (None, "false")
        )
        assert blobs.begun == 1
        assert (await world.call("POST", PATH, a_body("c"), headers=OTHER)).status == 200

    asyncio.run(scenario())


def test_a_batch_larger_than_the_queue_is_told_not_to_come_again_and_leaves_nothing() -> None:
    async def scenario() -> None:
        world = a_world(Quota(requests=2))

        reply = await world.call("POST", PATH, a_body("a", "b", "c"))

        assert (reply.status, reply.header("x-should-retry")) == (429, "false")
        assert "Make the batch smaller" in reply.error()[2]
        assert await world.blobs.old(-1) == []
        assert (await world.call("GET", PATH)).json()["data"] == []

    asyncio.run(scenario())


def test_room_comes_back_and_a_repeat_gets_its_batch_meanwhile() -> None:
    async def scenario() -> None:
        world = a_world(Quota(requests=2))
        batch_id = await world.create("a", "b")
        again = await world.call("POST", PATH, a_body("a", "b"), headers={"x-stainless-retry-count": "1"})
        assert again.json()["id"] == batch_id
        assert (await world.call("POST", PATH, a_body("c"))).status == 429

        await world.finish(batch_id)
        assert (await world.call("POST", PATH, a_body("c"))).status == 200

    asyncio.run(scenario())


def test_without_limits_nothing_of_them_is_seen() -> None:
    async def scenario() -> None:
        world = World()
        replies = [await world.call("GET", PATH) for _ in range(50)]
        assert {reply.status for reply in replies} == {200}
        assert ratelimit(replies[-1]) == (None, None, None)

    asyncio.run(scenario())
