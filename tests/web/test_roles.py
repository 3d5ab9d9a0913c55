"""Which pages a process has that does a part of the work: those about batches are where the API for them is."""

import asyncio

from batchyard.domain.batch import Status
from batchyard.web.keys import OpenKeys
from batchyard.web.settings import WebSettings
from tests.web.lanes import busy_desk
from tests.web.visitor import Visitor, text
from tests.wire.world import World

WORDS = "This process has the role dispatch: look at batches at one with the role api or all."


def world(role: str) -> World:
    return World(keys=OpenKeys(), settings=WebSettings(role=role), lanes=busy_desk())


def test_a_dispatcher_shows_what_is_its_own_and_says_where_batches_are() -> None:
    async def go() -> None:
        here = world("dispatch")
        batch = await here.create("a")
        visitor = Visitor(here)

        for path in ("/engine", "/engine/history", "/webhooks", "/throughput", "/usage"):
            assert (await visitor.go(path)).status == 200
        for path in ("/", f"/batches/{batch}", f"/batches/{batch}/requests", f"/batches/{batch}/results.jsonl"):
            reply = await visitor.go(path)
            assert (reply.status, WORDS in text(reply)) == (403, True), path
        await visitor.go("/engine")
        assert (await visitor.send(f"/batches/{batch}/cancel")).status == 403
        assert (await here.store.get("default", batch)).status is Status.IN_PROGRESS

    asyncio.run(go())


def test_an_api_process_says_that_lanes_are_seen_elsewhere() -> None:
    async def go() -> None:
        for role, says in (("api", True), ("all", False), ("dispatch", False)):
            page = text(await Visitor(world(role)).go("/engine"))
            assert ("runs no batches" in page) is says
        here = world("api")
        assert (await Visitor(here).go(f"/batches/{await here.create('a')}")).status == 200

    asyncio.run(go())
