"""The small world with an upstream that takes batches: the real runner of carriers beside dispatcher and keeper."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from batchyard.dispatch.carrier import CarrierRunner
from batchyard.dispatch.carrier_place import BatchPlace, Gathering
from batchyard.dispatch.lanes import Lanes, Place
from batchyard.domain.batch import Batch
from batchyard.domain.events import CarrierEnded, CarrierMade, Event
from batchyard.domain.ids import random_id
from batchyard.domain.routes import Route, Target
from batchyard.testing.batch_upstreams import ScriptedBatches
from batchyard.testing.upstreams import ScriptedUpstream, always, answered
from tests.simulation.world import World

BATCHED = "b"
"""The model whose requests travel in carriers; every other one is called."""


class CarrierWorld(World):
    """``batches`` is the upstream of model ``b``."""

    def __init__(self, *, seed: int = 1, limit: int = 4, gathering: Gathering | None = None, **batches: float) -> None:
        self.called = ScriptedUpstream(always(answered(), seconds=1.0))
        super().__init__(self.called, limit=limit, seed=seed)
        self.gathering = gathering or Gathering(requests=1000, seconds=1.0, poll=10.0)
        self.batches = ScriptedBatches(self.clock, keyed=self.gathering.keyed, **batches)  # type: ignore[arg-type]
        self.runner: CarrierRunner | None = None
        self.judge: Callable[..., None] = lambda _call: None
        self.has_batches = True
        self.sends = self.is_open = True

    def lanes(self) -> Lanes:
        places = [Place("one", self.upstream, self.limit)]
        routes = [Route(("*",), (Target("one"),))]
        if self.has_batches:
            places.append(Place("many", self.upstream, self.limit, by_batch=True))
            routes.insert(0, Route((BATCHED,), (Target("many"),)))
        self.made_lanes = Lanes(places, routes, self.clock, self.events.append)
        return self.made_lanes

    async def start(self) -> None:
        await super().start()
        assert self.dispatcher is not None
        self.runner = CarrierRunner(
            self.store,
            self.blobs,
            [BatchPlace("many", self.batches, self.gathering, is_open=lambda: self.is_open)]
            if self.has_batches
            else [],
            self.clock,
            self.events.append,
            owner=f"owner-{self.owners}",
            place_of=self.made_lanes.gathered_by,
            ceiling=self.made_lanes.ceiling,
            jitter=self.random.random,
            new_id=lambda: random_id("car_", self.random.getrandbits(160)),
            may_send=lambda: self.sends,
            ripened=lambda: self.keeper.wake() if self.keeper else None,
        )
        self._tasks.append(asyncio.create_task(self.runner.run()))

    def wake(self) -> None:
        super().wake()
        if self.runner is not None:
            self.runner.wake()

    async def drain(self) -> None:
        assert self.runner is not None
        self.runner.drain()
        await self._tasks[2]
        await super().drain()

    async def make(self, requests: int, *, hours: float = 24.0) -> Batch:
        """Store a batch whose requests all travel in carriers."""
        return await self.create(requests, hours=hours, models=(BATCHED,))

    def seen(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    async def settled_upstream(self) -> None:
        """Wait until every carrier is finished."""
        while len(self.seen(CarrierEnded)) < len(self.seen(CarrierMade)):
            await asyncio.sleep(1.0)

    async def settled_store(self) -> None:
        """Wait until the store knows of no carrier that is not finished, whoever tended it."""
        while await self.kept.tended(f"owner-{self.owners}"):
            await asyncio.sleep(1.0)


@asynccontextmanager
async def carrier_world(
    *, seed: int = 1, limit: int = 4, gathering: Gathering | None = None, **batches: float
) -> AsyncIterator[CarrierWorld]:
    """A world with a running owner, killed at the end."""
    made = CarrierWorld(seed=seed, limit=limit, gathering=gathering, **batches)
    await made.start()
    try:
        yield made
    finally:
        await made.kill()
