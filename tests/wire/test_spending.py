"""Caps on spending as clients meet them: a 429 that says that waiting does not help, and nothing left behind."""

import asyncio
import json

from batchyard.domain.outcome import Finish, Trace
from batchyard.domain.pricing import Price, Rates
from batchyard.domain.result import Succeeded
from batchyard.domain.spending import Caps
from batchyard.domain.usage import Usage
from batchyard.ports import Pick
from batchyard.price_book import PriceBook
from tests.wire.world import MESSAGE, NOW, World, a_body

PATH = "/v1/messages/batches"
BOOK = PriceBook([("simul*", Price.of(Rates.of(2.0, 10.0)))])


def a_world(caps: Caps) -> World:
    return World(prices=BOOK, caps=caps)


async def spend(world: World, dollars: float) -> None:
    """Let a batch of one request cost so much."""
    batch_id = await world.create("x")
    turn = await world.store.turn("engine", [], [Pick(batch_id, "simulator", 1)], NOW)
    usage = Usage(input_tokens=round(dollars * 1_000_000))
    done = [Finish(lease, Succeeded(MESSAGE), Trace("answered", NOW, NOW), usage) for lease in turn.leases]
    await world.store.turn("engine", done, [], NOW)


def test_a_workspace_that_spent_what_it_may_is_refused_before_its_body_is_read() -> None:
    async def scenario() -> None:
        world = a_world(Caps(day=5.0))
        await spend(world, 5.0)

        reply = await world.call("POST", PATH, a_body("a"), unread=True)

        assert reply.error()[:2] == (429, "rate_limit_error")
        assert "may spend 5.00 US dollars a day on batches, and has spent 5.00" in reply.error()[2]
        assert (reply.header("x-should-retry"), reply.header("retry-after")) == ("false", None)
        assert (await world.call("POST", PATH, a_body("a"), headers={"x-api-key": "key-two"})).status == 200
        assert (await world.call("GET", PATH)).status == 200

    asyncio.run(scenario())


def test_a_batch_whose_input_costs_more_than_is_left_is_refused_and_leaves_nothing() -> None:
    async def scenario() -> None:
        world = a_world(Caps(month=1.0))
        await spend(world, 0.9995)
        text = {"model": "simulator", "max_tokens": 5, "messages": [{"role": "user", "content": "a" * 4000}]}
        requests = [{"custom_id": name, "params": text} for name in "abcd"]
        before = await world.blobs.old(-1)

        reply = await world.call("POST", PATH, json.dumps({"requests": requests}).encode())

        assert (reply.error()[0], reply.header("x-should-retry")) == (429, "false")
        assert "Make the batch smaller" in reply.error()[2]
        assert await world.blobs.old(-1) == before
        assert len((await world.call("GET", PATH)).json()["data"]) == 1
        assert (await world.call("POST", PATH, a_body("small"))).status == 200

    asyncio.run(scenario())


def test_a_repeat_gets_its_batch_though_nothing_is_left() -> None:
    async def scenario() -> None:
        world = a_world(Caps(day=1.0))
        created = await world.call("POST", PATH, a_body("x"), headers={"idempotency-key": "k"})
        await spend(world, 2.0)

        for headers in ({"idempotency-key": "k"}, {"x-stainless-retry-count": "1", "idempotency-key": "k"}):
            again = await world.call("POST", PATH, a_body("x"), headers=headers)
            assert (again.status, again.json()["id"]) == (200, created.json()["id"])

    asyncio.run(scenario())
