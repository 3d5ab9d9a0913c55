"""What is told of each API call: its id, route, status, workspace and batch, and nothing that a client wrote."""

import asyncio
from typing import Any

from tests.wire.world import World, a_body

BATCHES = "/v1/messages/batches"


def told(world: World) -> list[tuple[Any, ...]]:
    return [(one.method, one.route, one.status, one.workspace, one.batch) for one in world.answered]


def test_each_call_is_told_once_with_its_route_and_its_batch() -> None:
    async def go() -> None:
        world = World()
        batch = await world.create("a")
        reply = await world.call("GET", f"{BATCHES}/{batch}?limit=5")
        await world.call("GET", "/healthz", headers={"x-api-key": None})

        one = "/v1/messages/batches/{batch_id}"
        assert told(world) == [
            ("POST", BATCHES, 200, "w1", ""),
            ("GET", one, 200, "w1", batch),
            ("GET", "/healthz", 200, "", ""),
        ]
        assert world.answered[1].request_id == reply.header("request-id")

    asyncio.run(go())


def test_refusals_are_told_too_and_paths_that_are_not_there_have_no_name() -> None:
    async def go() -> None:
        world = World()
        await world.call("GET", f"{BATCHES}/msgbatch_wrong")
        await world.call("GET", BATCHES, headers={"x-api-key": "nobody"})
        await world.call("GET", "/v1/somewhere/else")
        await world.call("BREW", BATCHES)

        assert told(world) == [
            ("GET", "/v1/messages/batches/{batch_id}", 404, "w1", ""),
            ("GET", "", 401, "", ""),
            ("GET", "", 404, "", ""),
            ("(other)", "", 405, "w1", ""),
        ]

    asyncio.run(go())


def test_a_client_that_went_before_an_answer_is_a_499() -> None:
    async def go() -> None:
        world = World()
        await world.call("POST", BATCHES, a_body("a"), leaves=True)

        assert world.answered[-1].status == 499
        assert len(world.answered) == 1

    asyncio.run(go())
