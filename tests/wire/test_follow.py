"""Results as they finish: every line once, in the order of arrival, from any position, over the end of the batch."""

import asyncio
import json
from datetime import timedelta

import pytest

from batchyard.domain.outcome import Finish, Trace
from batchyard.domain.result import Errored, RequestError, Result, Succeeded
from batchyard.ports import Pick
from batchyard.web.protocol import Cut
from batchyard.web.settings import WebSettings
from tests.wire.world import MESSAGE, NOW, Reply, World

SETTINGS = WebSettings(follow_seconds=0.0, read_bytes=100)
TRACE = Trace("answered", NOW, NOW)
ERRORED = Errored(RequestError("api_error", "no"))


def a_world() -> World:
    return World(settings=SETTINGS)


async def follow(world: World, batch: str, query: str = "follow=true") -> Reply:
    return await world.call("GET", f"/batchyard/v1/batches/{batch}/results?{query}")


def ids(reply: Reply) -> list[str]:
    return [json.loads(line)["custom_id"] for line in reply.body.splitlines() if line]


async def settle(world: World, batch: str, order: str, result: Result | None = None) -> None:
    """Let the requests named by one letter each end, in that order."""
    now = world.clock.now()
    await world.store.turn("engine", [], [Pick(batch, "simulator", 100)], now)
    held = {lease.seq: lease for lease in await world.store.held("engine") if lease.batch == batch}
    done = [Finish(held[ord(letter) - ord("a")], result or Succeeded(MESSAGE), TRACE) for letter in order]
    await world.store.turn("engine", done, [], now)


async def sooner(task: "asyncio.Task[Reply]", times: int = 50) -> None:
    """Let a follower look some times, and see that it goes on."""
    for _ in range(times):
        await asyncio.sleep(0)
    assert not task.done()


def test_lines_come_as_they_are_committed_and_the_rest_when_the_batch_ends() -> None:
    async def go() -> None:
        world = a_world()
        batch = await world.create(*"abcdef")
        await settle(world, batch, "c")
        following = asyncio.create_task(follow(world, batch))
        await sooner(following)
        await settle(world, batch, "fa")
        await sooner(following)
        await settle(world, batch, "b", ERRORED)
        await world.store.cancel("w1", batch, NOW)
        await world.store.reclaim("engine", NOW)
        await world.seal(batch)

        reply = await following

        assert ids(reply) == ["c", "f", "a", "b", "d", "e"]
        kinds = [json.loads(line)["result"]["type"] for line in reply.body.splitlines()]
        assert kinds == ["succeeded", "succeeded", "succeeded", "errored", "canceled", "canceled"]
        assert reply.whole
        assert (await follow(world, batch)).body == reply.body
        results = await world.call("GET", f"/v1/messages/batches/{batch}/results")
        assert sorted(results.body.splitlines()) == sorted(reply.body.splitlines())

    asyncio.run(go())


def test_who_was_cut_goes_on_from_the_number_of_lines_it_has() -> None:
    async def go() -> None:
        world = a_world()
        batch = await world.create(*"abcde")
        await settle(world, batch, "edc")
        assert ids(await follow(world, batch, "after=1")) == ["d", "c"]
        assert ids(await follow(world, batch, "after=3")) == []
        await settle(world, batch, "ba")
        await world.seal(batch)

        whole = await follow(world, batch, "")
        assert ids(whole) == ["e", "d", "c", "b", "a"]
        for after in range(6):
            assert ids(await follow(world, batch, f"follow=true&after={after}")) == ids(whole)[after:]

    asyncio.run(go())


def test_without_follow_the_lines_so_far_are_all() -> None:
    async def go() -> None:
        world = a_world()
        batch = await world.create(*"abc")

        assert (await follow(world, batch, "")).body == b""
        await settle(world, batch, "b")
        reply = await follow(world, batch, "follow=false")
        assert (ids(reply), reply.whole, reply.header("content-type")) == (["b"], True, "application/x-jsonl")

    asyncio.run(go())


def test_a_long_silence_is_broken_by_an_empty_line() -> None:
    async def go() -> None:
        world = a_world()
        batch = await world.create(*"ab")
        following = asyncio.create_task(follow(world, batch))
        await sooner(following)
        world.clock.seconds += 20
        await sooner(following)
        await settle(world, batch, "ab")
        await world.seal(batch)

        reply = await following

        assert reply.body.startswith(b"\n{")
        assert ids(reply) == ["a", "b"]

    asyncio.run(go())


def test_a_delete_cuts_a_follower_and_never_ends_it_cleanly() -> None:
    async def go() -> None:
        world = a_world()
        batch = await world.create(*"ab")
        await settle(world, batch, "a")
        following = asyncio.create_task(follow(world, batch))
        await sooner(following)
        world.store._batches.pop(batch)  # deleted, and gone between two looks

        with pytest.raises(Cut):
            await following

    asyncio.run(go())


def test_damage_of_the_sealed_file_cuts_it_too() -> None:
    async def go() -> None:
        world = a_world()
        batch = await world.create(*"ab")
        await world.finish(batch)
        sealed = (await world.store.get("w1", batch)).sealed
        assert sealed is not None
        world.blobs.flip(sealed.results, 5)

        with pytest.raises(Cut):
            await follow(world, batch)

    asyncio.run(go())


def test_a_wrong_question_and_a_foreign_batch_are_refused() -> None:
    async def go() -> None:
        world = a_world()
        batch = await world.create(*"ab")

        for query in ("after=-1", "after=3", "after=x", "after=1e2", "follow=maybe"):
            assert (await follow(world, batch, query)).error()[:2] == (400, "invalid_request_error")
        path = f"/batchyard/v1/batches/{batch}/results"
        assert (await world.call("GET", path, headers={"x-api-key": "key-two"})).error()[0] == 404
        await world.finish(batch)
        await world.store.archive(NOW + timedelta(days=99), NOW)
        assert (await follow(world, batch)).error()[0] == 404

    asyncio.run(go())
