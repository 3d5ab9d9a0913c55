"""A small whole life over a recorded disk, and what must be true of whatever a power loss leaves of it."""

import asyncio
import random
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw

from batchyard.blobs.check import problem
from batchyard.blobs.disk import Disk
from batchyard.blobs.files import Content, FileBlobs
from batchyard.dispatch.dispatcher import Dispatcher
from batchyard.dispatch.lanes import Lanes
from batchyard.dispatch.upkeep import Duties, Keeper
from batchyard.domain.batch import Batch, Status
from batchyard.domain.errors import DataRefused, NotFound
from batchyard.domain.events import Event
from batchyard.domain.outcome import Failed, Outcome
from batchyard.domain.request import Drafts, Origin
from batchyard.domain.result import RequestError
from batchyard.ports import Call, NewBatch
from batchyard.store import database, sqlite_batches, sqlite_upkeep
from batchyard.store.check import look as look_at_rows
from batchyard.store.check import numbers, page_faults
from batchyard.store.sqlite import SqliteStore
from batchyard.testing.upstreams import ScriptedUpstream, answered
from batchyard.wire import result_line
from tests.power.crash import Image
from tests.power.disk import VFS_NAME, Record, RecordedDisk, RecordedVfs, Told


class Lost(AssertionError):
    """What a power loss must not do."""


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class RecordedLife:
    """Creates, answers, a cancel, results and deletes over the real store, blobs, dispatcher and keeper."""

    def __init__(self, folder: Path, *, seed: int) -> None:
        self.record = Record(folder)
        self.chance = random.Random(seed)
        self.batches: list[Batch] = []
        self._settled: dict[str, int] = {}

    async def live(self, *, batches: int = 5, requests: int = 12) -> Record:
        record, clock = self.record, _Clock()
        vfs = RecordedVfs(record)
        self.store = SqliteStore.open(record.folder, vfs=VFS_NAME)
        self.blobs = FileBlobs(record.folder / "blobs", disk=RecordedDisk(record))
        record.begin()
        self.dispatcher = Dispatcher(
            self.store,
            self.blobs,
            Lanes.of_one(ScriptedUpstream(self._answer), 4, clock, self._learn),
            clock,
            self._learn,
            owner="owner",
            jitter=self.chance.random,
        )
        keeper = Keeper(
            self.store, self.blobs, clock, self._learn, result_line=result_line, duties=Duties(every=0.02), own="owner"
        )
        working = [asyncio.create_task(self.dispatcher.run()), asyncio.create_task(keeper.run())]
        for number in range(batches):
            await self._create(requests, number)
            await asyncio.sleep(self.chance.uniform(0.0, 0.03))
            if number == 1:
                canceled = await self.store.cancel("w", self.batches[1].id, clock.now())
                record.tell("canceled", canceled.id)
            await self._look()
        while any(batch.status is not Status.ENDED for batch in self.batches):
            await asyncio.sleep(0.01)
            await self._look()
        for batch in self.batches[::2]:
            await self._delete(batch)
        await asyncio.sleep(0.3)
        self.dispatcher.drain()
        await working[0]
        working[1].cancel()
        await asyncio.gather(working[1], return_exceptions=True)
        await self.store.close()
        vfs.unregister()
        return record

    def _answer(self, number: int, call: Call) -> tuple[float, Outcome]:
        broke = Failed(RequestError("api_error", "broke"))
        return (self.chance.uniform(0.0, 0.01), broke if number % 9 == 8 else answered(call.params.decode()))

    def _learn(self, event: Event) -> None:
        """Nobody listens."""

    async def _create(self, requests: int, number: int) -> None:
        drafts, writer, offset = Drafts(), self.blobs.writer("body"), 0
        for seq in range(requests):
            params = b'{"batch": %d, "n": %d, "words": "%s"}' % (number, seq, b"x" * self.chance.randrange(3000))
            drafts.add(f"r{seq}", offset, len(params), zlib.crc32(params), model="m")
            await writer.write(params)
            offset += len(params)
        await writer.finish()
        now = datetime.now(UTC)
        new = NewBatch("w", now, now + timedelta(hours=1), "2023-06-01", (), writer.name)
        batch = await self.store.create(new, drafts, Origin("caller", f"hash {number}", 0), defend=False)
        self.record.tell("created", batch.id, requests)
        self.batches.append(batch)
        self.dispatcher.wake()

    async def _look(self) -> None:
        for number, batch in enumerate(self.batches):
            if batch.status is Status.ENDED:
                continue
            self.batches[number] = now = await self.store.get("w", batch.id)
            settled = now.counts.total - now.counts.processing
            if settled > self._settled.get(batch.id, 0):
                self._settled[batch.id] = settled
                self.record.tell("counted", batch.id, now.counts)
            if now.sealed is not None:
                self.record.tell("ended", batch.id, now.sealed.sha256)

    async def _delete(self, batch: Batch) -> None:
        self.record.tell("deleting", batch.id)
        gone = await self.store.delete("w", batch.id)
        self.record.tell("deleted", batch.id)
        sealed = gone.sealed
        assert sealed is not None
        for name in (gone.body, sealed.results, sealed.index, sealed.ledger):
            await self.blobs.delete(name)


@contextmanager
def recorded(seed: int) -> Iterator[Record]:
    """A life, lived once. Its record may be crashed anywhere, as often as one likes."""
    with TemporaryDirectory() as folder:
        yield asyncio.run(RecordedLife(Path(folder), seed=seed).live())


def crash(record: Record, seed: int, scratch: Path) -> None:
    """Lose power at a moment that the seed names, and start on what is left; raise ``Lost`` for what must not be."""
    chance = random.Random(seed)
    image = Image(record, chance.randint(0, len(record.entries)), chance)
    with TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        image.write_to(folder)
        try:
            check(folder, image.told)
        except (DataRefused, apsw.Error) as broken:
            raise Lost(f"crash {seed}: the store cannot be used: {broken}") from broken
        except Lost as lost:
            raise Lost(f"crash {seed}: {lost}") from None


def check(folder: Path, told: list[Told]) -> None:
    """Open the store as a start does, and hold it to what was told."""
    database.inspect(folder)
    with closing(database.open_writer(folder / database.NAME, None)) as connection:
        faults = page_faults(connection)
        if faults:
            raise Lost(f"the database is damaged: {faults}")
        for num in numbers(connection):
            _, wrong = look_at_rows(connection, num)
            if wrong:
                raise Lost(f"rows do not fit: {wrong}")
        for name in sqlite_upkeep.blobs(connection):
            wrong_file = problem(folder / "blobs" / name)
            if wrong_file is not None:
                raise Lost(f"a file that a batch needs: {wrong_file}")
        deleting = {one.batch for one in told if one.what in {"deleting", "deleted"}}
        for one in told:
            if one.what == "deleted":
                _must_be_gone(connection, one.batch)
            elif one.batch not in deleting:
                _must_be_so(connection, folder, one)


def _must_be_gone(connection: apsw.Connection, batch: str) -> None:
    try:
        sqlite_batches.get(connection, "w", batch)
    except NotFound:
        return
    raise Lost(f"{batch} was deleted, and is there again")


def _must_be_so(connection: apsw.Connection, folder: Path, one: Told) -> None:
    try:
        batch = sqlite_batches.get(connection, "w", one.batch)
    except NotFound:
        raise Lost(f"{one} was told, and the batch is lost") from None
    match one.what:
        case "created":
            good = batch.counts.total == one.fact
        case "canceled":
            good = batch.closing is not None
        case "counted":
            kinds = ("succeeded", "errored", "canceled", "expired")
            good = all(getattr(batch.counts, kind) >= getattr(one.fact, kind) for kind in kinds)
        case _:
            good = batch.sealed is not None and batch.sealed.sha256 == one.fact == _digest(folder, batch)
    if not good:
        raise Lost(f"{one} was told, and now it is {batch}")


def _digest(folder: Path, batch: Batch) -> str:
    assert batch.sealed is not None
    path = folder / "blobs" / batch.sealed.results
    content = Content(path.name, path, Disk())
    return sha256(content.read_checked(0, content.size)).hexdigest()
