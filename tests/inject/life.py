"""A small whole life in a process of its own, which is to be hurt: create, run, cancel, results, delete.

    python -m tests.inject.life       # a zygote: for "early FOLDER" or "late FOLDER" on its input it forks one life

The life waits, before it opens the store or after, so that a tracer can be put on it. It tells by ``writev`` what was
answered to it: of its other calls each may be made to fail.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from batchyard.blobs.files import FileBlobs
from batchyard.dispatch.dispatcher import Dispatcher
from batchyard.dispatch.lanes import Lanes
from batchyard.dispatch.upkeep import Duties, Keeper
from batchyard.domain.batch import Batch, Status
from batchyard.domain.errors import CommitUnknown, DataRefused, NotFound, StoreUnavailable
from batchyard.domain.events import BatchStopped, BugFound, Event
from batchyard.domain.outcome import Failed, Outcome
from batchyard.domain.request import Drafts, Origin
from batchyard.domain.result import RequestError
from batchyard.ports import Call, NewBatch
from batchyard.store.sqlite import SqliteStore
from batchyard.testing.upstreams import ScriptedUpstream, answered
from batchyard.wire import result_line

T = TypeVar("T")
BATCHES, REQUESTS, SLOTS = 3, 6, 3
TRIES = 60
LONGEST = 30.0
"""Seconds after which a life gives up: a disk may stay full."""

Tell = Callable[..., None]


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


BRITTLE = "brittle"
"""The name of a folder whose life dies as soon as something was refused to it."""


async def again(verb: Callable[[], Awaitable[T]], *, brittle: bool = False) -> T:
    """As a client does: what the server cannot do now is asked for again."""
    for _ in range(TRIES):
        try:
            return await verb()
        except StoreUnavailable:
            if brittle:
                os.kill(os.getpid(), signal.SIGKILL)
            await asyncio.sleep(0.05)
    raise TimeoutError


class Life:
    """One life over one folder."""

    def __init__(self, folder: Path, tell: Tell, *, seed: int) -> None:
        self.is_brittle = folder.name == BRITTLE
        self.tell, self.chance = tell, random.Random(seed)
        self.store = SqliteStore.open(folder)
        self.blobs = FileBlobs(folder / "blobs")
        self.clock = _Clock()
        lanes = Lanes.of_one(ScriptedUpstream(self._answer), SLOTS, self.clock, self._learn)
        owner = f"owner{os.getpid()}"
        self.dispatcher = Dispatcher(
            self.store, self.blobs, lanes, self.clock, self._learn, owner=owner, jitter=self.chance.random
        )
        self.keeper = Keeper(
            self.store,
            self.blobs,
            self.clock,
            self._learn,
            result_line=result_line,
            duties=Duties(every=0.05),
            own=owner,
        )

    def _answer(self, number: int, call: Call) -> tuple[float, Outcome]:
        self.tell("called", call.params.decode())
        broke = Failed(RequestError("api_error", "broke"))
        return (self.chance.uniform(0.0, 0.01), broke if number % 7 == 6 else answered(call.params.decode()))

    def _learn(self, event: Event) -> None:
        if isinstance(event, BugFound | BatchStopped):
            self.tell("bug", repr(event))

    async def live(self) -> None:
        """Create and run some batches, cancel one, delete one."""
        working = [asyncio.create_task(self.dispatcher.run()), asyncio.create_task(self.keeper.run())]
        for number in range(BATCHES):
            batch = await self._created(number)
            self.tell("created", batch.id, number)
            self.dispatcher.wake()
            if number == 1:
                await again(lambda batch=batch: self.store.cancel("w", batch.id, self.clock.now()))  # type: ignore[misc]
                self.dispatcher.withhold(batch.id)
                self.tell("canceled", batch.id)
            ended = await self._ended(batch)
            assert ended.sealed is not None
            self.tell("ended", batch.id, ended.sealed.sha256)
            if number == 0:
                await self._delete(ended)
        await self._stop(working)

    async def finish(self) -> list[Batch]:
        """As a start after a death: take over what the dead left, run it to its end, and return the batches."""
        for owner in await self.store.dead(datetime.max.replace(tzinfo=UTC) - timedelta(days=1)):
            await self.store.reclaim(owner, self.clock.now())
        needed = await self.store.blobs()
        for name in await self.blobs.old(float("-inf")):
            if name not in needed:
                await self.blobs.delete(name)
        working = [asyncio.create_task(self.dispatcher.run()), asyncio.create_task(self.keeper.run())]
        page = await self.store.page("w", after=None, before=None, limit=100)
        ended = [await self._ended(batch) for batch in page.batches]
        await self._stop(working)
        return ended

    async def _stop(self, working: list["asyncio.Task[None]"]) -> None:
        self.dispatcher.drain()
        await working[0]
        working[1].cancel()
        await asyncio.gather(working[1], return_exceptions=True)
        await self.store.close()

    async def _created(self, number: int) -> Batch:
        return await again(lambda: self._create(number), brittle=self.is_brittle)

    async def _create(self, number: int) -> Batch:
        drafts, writer, offset = Drafts(), self.blobs.writer("body"), 0
        try:
            for seq in range(REQUESTS):
                params = b'{"batch": %d, "n": %d}' % (number, seq)
                drafts.add(f"r{seq}", offset, len(params), zlib.crc32(params), model="m")
                await writer.write(params)
                offset += len(params)
            await writer.finish()
            now = self.clock.now()
            new = NewBatch("w", now, now + timedelta(hours=1), "2023-06-01", (), writer.name)
            origin = Origin("caller", f"hash {number}", 0, retry=1, idempotency_key=f"key {number}")
            batch = await self.store.create(new, drafts, origin, defend=True)
        except CommitUnknown:
            raise
        except StoreUnavailable:
            await self._discard(writer.name)
            raise
        if batch.body != writer.name:
            await self._discard(writer.name)
        return batch

    async def _discard(self, name: str) -> None:
        try:
            await self.blobs.delete(name)
        except StoreUnavailable:
            return

    async def _ended(self, batch: Batch) -> Batch:
        for _ in range(1500):
            now = await again(lambda: self.store.get("w", batch.id))
            self.tell("counted", now.id, now.counts.total - now.counts.processing)
            if now.status is Status.ENDED:
                return now
            await asyncio.sleep(0.02)
        raise TimeoutError

    async def _delete(self, batch: Batch) -> None:
        self.tell("deleting", batch.id)
        with suppress(NotFound):  # then the try before took effect
            await again(lambda: self.store.delete("w", batch.id))
        self.tell("deleted", batch.id)
        assert batch.sealed is not None
        for name in (batch.body, batch.sealed.results, batch.sealed.index, batch.sealed.ledger):
            await self._discard(name)


def run(folder: Path, tell: Tell, wait: Callable[[], None], *, late: bool) -> int:
    """Live once, with one thread for the files, so that the n-th call of a kind is the same one each time."""

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        if not late:
            wait()
        life = Life(folder, tell, seed=1)
        if late:
            await asyncio.to_thread(int)  # the thread for the files is there
            wait()
        await asyncio.wait_for(life.live(), LONGEST)

    try:
        asyncio.run(main())
    except (DataRefused, StoreUnavailable, TimeoutError) as error:
        tell("gave up", repr(error))
        return 2
    tell("whole", "")
    return 0


def _fork(folder: Path, gate: int, *, late: bool) -> int:
    pid = os.fork()
    if pid:
        return pid
    out = os.open(folder.parent / f"{folder.name}.told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(*words: object) -> None:
        os.writev(out, [json.dumps(words).encode() + b"\n"])

    def wait() -> None:
        tell("waits", "")
        os.read(gate, 1)  # until the tracer is there

    os._exit(run(folder, tell, wait, late=late))


def main() -> None:
    """Fork a life for each line of the input: when it waits, and its folder. Its end is told by its status."""
    for line in sys.stdin:
        when, _, folder = line.strip().partition(" ")
        read, write = os.pipe()
        pid = _fork(Path(folder), read, late=when == "late")
        print(pid, flush=True)  # noqa: T201
        sys.stdin.readline()  # the tracer is there
        os.write(write, b"!")
        _, status = os.waitpid(pid, 0)
        print(status, flush=True)  # noqa: T201
        os.close(read)
        os.close(write)


if __name__ == "__main__":
    main()
