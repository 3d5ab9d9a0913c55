"""The dispatcher's view of the backlog: how long it may sleep before there is something to lease."""

import asyncio
from datetime import timedelta

from batchyard.dispatch.lanes import Lanes, Place
from batchyard.dispatch.queue import Queue
from batchyard.domain.routes import Route, Target
from batchyard.store.memory import MemoryStore
from batchyard.testing.factories import MODEL, a_batch, drafts, origin
from batchyard.testing.upstreams import ScriptedUpstream
from tests.wire.world import SetClock


def test_a_batch_past_its_deadline_does_not_wake_the_dispatcher() -> None:
    async def main() -> None:
        clock, store = SetClock(), MemoryStore()
        routes = [Route((MODEL,), (Target("near"),))]
        lanes = Lanes([Place("near", ScriptedUpstream(), 4)], routes, clock, lambda _event: None)
        queue = Queue(store, lanes, clock, 30.0, weight=lambda _workspace: 1.0)
        batch = a_batch(created_at=clock.now(), expires_after=timedelta(seconds=10))
        await store.create(batch, drafts(1), origin(), defend=False)

        queue.unpick(await queue.picks())
        assert queue.seconds_until_due() == 0.0

        clock.moment += timedelta(seconds=10)  # the backlog was read before, and still has the batch
        clock.seconds += 10.0
        assert await queue.picks() == {}
        assert queue.seconds_until_due() == 20.0

    asyncio.run(main())
