"""A server says what it is to whoever has a key, so that a client knows which of its promises hold here."""

import asyncio

from batchyard import __version__
from batchyard.store.memory_repeats import IDEMPOTENCY_WINDOW
from tests.wire.world import World


def test_a_server_says_what_it_is_and_how_long_it_knows_an_idempotency_key() -> None:
    async def main() -> None:
        world = World()

        told = await world.call("GET", "/batchyard/v1/server")

        seconds = int(IDEMPOTENCY_WINDOW.total_seconds())
        assert told.json() == {"name": "batchyard", "version": __version__, "idempotency_key_seconds": seconds}
        assert (await world.call("GET", "/batchyard/v1/server", headers={"x-api-key": "wrong"})).status == 401
        assert (await world.call("POST", "/batchyard/v1/server")).status == 405

    asyncio.run(main())
