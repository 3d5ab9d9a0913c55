"""The attempt ledger beside the wire: whole for its own workspace, before and after the end, and without words."""

import asyncio
import json
from datetime import timedelta
from typing import Any

from batchyard.domain.outcome import Retry, Trace
from batchyard.domain.result import Errored, RequestError, Succeeded
from batchyard.ports import Pick
from tests.wire.world import MESSAGE, Reply, World


def lines(reply: Reply) -> list[dict[str, Any]]:
    assert reply.status == 200, reply.body
    return [json.loads(line) for line in reply.body.splitlines()]


async def ledger(world: World, batch_id: str, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.call("GET", f"/batchyard/v1/batches/{batch_id}/attempts", headers=named)


def test_an_ended_batch_shows_what_was_tried_for_each_request() -> None:
    async def main() -> None:
        world = World()
        batch_id = await world.create("a", "b", "c")
        now = world.clock.now()
        [first, _] = (await world.store.turn("engine", [], [Pick(batch_id, "simulator", 2)], now)).leases
        failed = Retry(first, now, Trace("failed", now, now + timedelta(seconds=1), "api_error"), 1, 1, 0)
        await world.store.turn("engine", [failed], [], now)
        await world.store.reclaim("engine", now)
        fates = (Succeeded(MESSAGE), Errored(RequestError("api_error", "secret words")), Succeeded(MESSAGE))
        await world.finish(batch_id, *fates)

        reply = await ledger(world, batch_id)
        a, b, c = lines(reply)

        assert dict(reply.headers)["content-length"] == str(len(reply.body))
        assert (a["custom_id"], a["result"], a["attempts"], a["paid"]) == ("a", "succeeded", 2, 1)
        assert [trace[0] for trace in a["traces"]] == ["failed", "answered"]
        assert (b["result"], b["deaths"]) == ("errored", 1)
        assert [one["possible_duplicate"] for one in (a, b, c)] == [True, True, False]
        assert b"secret words" not in reply.body
        assert b"hello" not in reply.body

    asyncio.run(main())


def test_a_batch_that_runs_shows_how_it_stands() -> None:
    async def main() -> None:
        world = World()
        batch_id = await world.create("a", "b", "c")
        now = world.clock.now()
        [lease] = (await world.store.turn("engine", [], [Pick(batch_id, "simulator", 1)], now)).leases
        await world.store.turn("engine", [Retry(lease, now, Trace("notstarted", now, now), 0, 0, 0)], [], now)

        a, b, c = lines(await ledger(world, batch_id))

        assert [one["result"] for one in (a, b, c)] == ["processing"] * 3
        assert ([one["attempts"] for one in (a, b, c)], len(a["traces"])) == ([1, 0, 0], 1)

    asyncio.run(main())


def test_a_foreign_ledger_cannot_be_told_from_none() -> None:
    async def main() -> None:
        world = World()
        batch_id = await world.ended()
        foreign = await ledger(world, batch_id, x_api_key="key-two")
        unknown = await ledger(world, batch_id[:-1] + ("A" if batch_id[-1] != "A" else "B"))

        assert foreign.status == unknown.status == 404
        assert foreign.json()["error"]["message"] == f"Message Batch {batch_id} not found."
        assert (await ledger(world, "x")).status == 404
        assert (await ledger(world, batch_id, x_api_key="wrong")).status == 401

    asyncio.run(main())


def test_a_batch_is_paused_and_resumed_beside_the_wire() -> None:
    async def main() -> None:
        world = World()
        batch_id = await world.create("a")
        path = f"/batchyard/v1/batches/{batch_id}"

        assert (await world.call("POST", f"{path}/pause")).json() == {"id": batch_id, "paused": True}
        assert await world.store.backlog(world.clock.now()) == []
        shown = (await world.call("GET", f"/v1/messages/batches/{batch_id}")).json()
        assert len(shown) == 10
        assert (await world.call("POST", f"{path}/pause", headers={"x-api-key": "key-two"})).status == 404
        assert (await world.call("POST", f"{path}/resume")).json() == {"id": batch_id, "paused": False}
        assert len(await world.store.backlog(world.clock.now())) == 1
        assert (await world.call("GET", f"{path}/pause")).status == 405

    asyncio.run(main())
