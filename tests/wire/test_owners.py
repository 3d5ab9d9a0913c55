"""Whoever looks after the server is told who dispatches on its store."""

import asyncio
from datetime import timedelta

from batchyard.ports import Pick
from tests.wire.world import NOW, World, a_body


def test_the_owners_are_listed_with_their_heartbeats_and_what_they_hold() -> None:
    async def main() -> None:
        world = World()
        batch = (await world.call("POST", "/v1/messages/batches", a_body("a", "b"))).json()["id"]
        await world.store.beat("gone", NOW - timedelta(seconds=100))
        await world.store.beat("here", NOW - timedelta(seconds=2.5))
        await world.store.turn("here", [], [Pick(batch, "simulator", 10)], world.clock.now())

        told = await world.call("GET", "/batchyard/v1/owners", headers={"x-api-key": "key-admin"})

        gone, here = told.json()["owners"]
        assert gone == {"id": "gone", "lives": False, "seconds_since_heartbeat": 100.0, "leases": 0, "carriers": 0}
        assert here == {"id": "here", "lives": True, "seconds_since_heartbeat": 2.5, "leases": 2, "carriers": 0}

    asyncio.run(main())
