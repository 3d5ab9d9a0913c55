"""A small world on virtual time: the real dispatcher and keeper over the memory store and a scripted upstream."""

import asyncio
import random
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from batchyard.blobs.space import EndlessSpace
from batchyard.dispatch.dispatcher import Dispatcher, Pace
from batchyard.dispatch.lanes import Lanes
from batchyard.dispatch.room import Room
from batchyard.dispatch.spending import Unwatched
from batchyard.dispatch.upkeep import Duties, Keeper
from batchyard.domain.batch import Batch, Status
from batchyard.domain.events import Event
from batchyard.domain.request import Drafts, Origin
from batchyard.domain.result import Result, pack
from batchyard.ports import Blobs, Clock, NewBatch, Space, Store, Upstream
from batchyard.store.memory import MemoryStore
from batchyard.testing.blobs import MemoryBlobs
from batchyard.testing.time import VirtualClock


def result_line(custom_id: str, result: Result) -> bytes:
    """A line that is enough to compare by: id, kind and what was packed."""
    kind, packed = pack(result)
    return f"{custom_id} {kind} ".encode() + packed + b"\n"


class World:
    """One owner after another over one store, one upstream, one clock."""

    def __init__(self, upstream: Upstream, *, limit: int = 4, seed: int = 1, lease: float = 30.0) -> None:
        self.clock: Clock = VirtualClock(asyncio.get_running_loop())
        self.random = random.Random(seed)
        self.kept = MemoryStore(lease_seconds=lease, entropy=lambda: self.random.getrandbits(160))
        self.store: Store = self.kept
        self.blobs: Blobs = MemoryBlobs()
        self.upstream = upstream
        self.limit = limit
        self.pace = Pace(lease=lease)
        self.weights: dict[str, float] = {}
        self.spending: Unwatched | None = None
        self.duties = Duties()
        self.events: list[Event] = []
        self.owners = 0
        self.space: Space = EndlessSpace()
        self.holds: Callable[[], bool] = lambda: False
        self.each_round: Callable[[], None] = lambda: None
        self.dispatcher: Dispatcher | None = None
        self.keeper: Keeper | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def create(
        self,
        requests: int,
        *,
        workspace: str = "w",
        hours: float = 24.0,
        models: Sequence[str] = ("",),
        mark: str = "",
        named: bool = False,
    ) -> Batch:
        """Store a batch whose params are ``{"n": 0}``, ``{"n": 1}`` …, models in turn, and wake the dispatcher.

        ``mark`` is the last word of its params, for an upstream that wants to know whose they are. ``named``: they name
        their model too.
        """
        drafts, writer, offset = Drafts(), self.blobs.writer("body"), 0
        for number in range(requests):
            params = b'{"n": %d, "batch": %d}' % (number, self.random.getrandbits(60))
            params += f" {mark}".encode() if mark else b""
            if named:
                params = b'{"n": %d, "model": "%b"}' % (number, models[number % len(models)].encode())
            drafts.add(f"r{number}", offset, len(params), zlib.crc32(params), model=models[number % len(models)])
            await writer.write(params)
            offset += len(params)
        await writer.finish()
        now = self.clock.now()
        new = NewBatch(workspace, now, now + timedelta(hours=hours), "2023-06-01", (), writer.name)
        batch = await self.store.create(new, drafts, Origin("caller", f"hash{offset}", 0), defend=False)
        self.wake()
        return batch

    def lanes(self) -> Lanes:
        """Return the lanes of a new owner."""
        return Lanes.of_one(self.upstream, self.limit, self.clock, self.events.append)

    def wake(self) -> None:
        if self.dispatcher is not None:
            self.dispatcher.wake()

    async def cancel(self, batch: Batch) -> Batch:
        """Cancel it as an API call does."""
        canceled = await self.store.cancel(batch.workspace, batch.id, self.clock.now())
        self.withhold(batch)
        return canceled

    async def pause(self, batch: Batch) -> None:
        """Pause it as an API call does."""
        await self.store.pause(batch.workspace, batch.id, paused=True)
        self.withhold(batch)

    def withhold(self, batch: Batch) -> None:
        """What the process does when it learns that a batch was canceled or paused."""
        if self.dispatcher is not None and self.keeper is not None:
            self.dispatcher.withhold(batch.id)
            self.wake()
            self.keeper.wake()

    async def start(self) -> None:
        """Start a new owner, as a process would after a death: the dead one's leases are reclaimed first."""
        self.owners += 1
        for dead in await self.kept.dead(self.clock.now() + timedelta(days=3650)):
            await self.kept.reclaim(dead, self.clock.now())
        self.dispatcher = Dispatcher(
            self.store,
            self.blobs,
            self.lanes(),
            self.clock,
            self.events.append,
            owner=f"owner-{self.owners}",
            jitter=self.random.random,
            pace=self.pace,
            weight=lambda workspace: self.weights.get(workspace, 1.0),
            spending=self.spending,
            ripened=lambda: self.keeper.wake() if self.keeper else None,
            may_store=Room(self.space, self.clock, self.events.append).is_there,
        )
        self.keeper = Keeper(
            self.store,
            self.blobs,
            self.clock,
            self.events.append,
            result_line=result_line,
            duties=self.duties,
            cut_overdue=self.dispatcher.cut_overdue,
            freed=self.wake,
            holds=self.holds,
            each_round=self.each_round,
            own=self.dispatcher.owner,
        )
        self._tasks = [asyncio.create_task(self.dispatcher.run()), asyncio.create_task(self.keeper.run())]

    async def kill(self) -> None:
        """End the owner as SIGKILL would: at once, nothing more is written."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def drain(self) -> None:
        """End the owner as SIGTERM would."""
        assert self.dispatcher is not None
        self.dispatcher.drain()
        await self._tasks[0]
        await self.dispatcher.leave()
        self._tasks[1].cancel()
        await asyncio.gather(self._tasks[1], return_exceptions=True)

    async def asleep(self, seconds: float) -> None:
        """Let so much time pass, and fail with whatever bug ends the engine meanwhile."""
        await asyncio.sleep(seconds)
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    @property
    def is_idle(self) -> bool:
        """Whether no call is being made."""
        return self.dispatcher is None or self.dispatcher.in_flight == 0

    async def ended(self, batch: Batch) -> Batch:
        """Wait until the batch has ended, and return it."""
        while True:
            now = await self.kept.get(batch.workspace, batch.id)
            if now.status is Status.ENDED:
                return now
            for task in self._tasks:
                if task.done() and not task.cancelled():
                    task.result()  # an engine that died of a bug is the bug, not a wait
            await asyncio.sleep(0.25)

    async def lines(self, batch: Batch) -> list[list[str]]:
        """The sealed results, each line split in id, kind and packed result."""
        ended = await self.ended(batch)
        assert ended.sealed is not None
        reader = await self.blobs.open(ended.sealed.results)
        text = await reader.read(0, reader.size)
        reader.close()
        return [line.split(" ", 2) for line in text.decode().splitlines()]

    async def kinds(self, batch: Batch) -> list[str]:
        """The kind of each result, in the order of the requests; each request exactly once."""
        lines = await self.lines(batch)
        assert [line[0] for line in lines] == [f"r{number}" for number in range(batch.counts.total)]
        return [line[1] for line in lines]


@asynccontextmanager
async def world(upstream: Upstream, *, limit: int = 4, seed: int = 1) -> AsyncIterator[World]:
    """A world with a running owner, killed at the end."""
    made = World(upstream, limit=limit, seed=seed)
    await made.start()
    try:
        yield made
    finally:
        await made.kill()
