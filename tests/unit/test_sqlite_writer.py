"""Group commit: what is acknowledged is durable, and who fails, fails alone."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

import apsw
import pytest

from batchyard.domain.batch import Counts
from batchyard.domain.errors import CommitUnknown, NotFound, StoreUnavailable
from batchyard.ports import Pick
from batchyard.store import database, writer
from batchyard.store.sqlite import SqliteStore
from batchyard.store.writer import Job, Writer
from batchyard.testing.factories import MODEL, a_batch, drafts, later, origin, sealed_files, succeeded

WAIT = 20  # seconds until a test that would hang fails


class HastyWriter(Writer):
    """The planted bug: it acknowledges the group, then commits it."""

    def _commit(self, group: Sequence[Job]) -> list[writer.Outcome]:
        self._connection.execute("begin immediate")
        outcomes = [self._attempt(job, alone=False) for job in group]
        self._acknowledge(group, outcomes)
        self._connection.execute("commit")
        return outcomes


@pytest.fixture
def connection(tmp_path: Path) -> apsw.Connection:
    database.make(tmp_path, None)
    return database.open_writer(tmp_path / database.NAME, None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path)
    yield opened
    asyncio.run(opened.close())


def beat(owner: str) -> Callable[[apsw.Connection], str]:
    def work(connection: apsw.Connection) -> str:
        connection.execute("insert into owners (id, beat) values (?, 1)", (owner,))
        return owner

    return work


def owners(connection: apsw.Connection) -> list[str]:
    return [str(row[0]) for row in connection.execute("select id from owners order by num").fetchall()]


async def in_one_group(one: Writer, *works: Callable[[apsw.Connection], object]) -> list[object]:
    """Run the works in one transaction: they queue up behind one that holds the writer until they do."""
    held, go = threading.Event(), threading.Event()

    def hold(_: apsw.Connection) -> None:
        held.set()
        assert go.wait(WAIT)

    first = asyncio.create_task(one.run(hold))
    assert await asyncio.to_thread(held.wait, WAIT)
    others = [asyncio.create_task(one.run(work)) for work in works]
    await asyncio.sleep(0)
    go.set()
    await first
    return await asyncio.gather(*others, return_exceptions=True)


def acknowledged_while_committing(one: Writer, connection: apsw.Connection) -> bool:
    """Return whether a caller has its answer at a moment when the commit has not returned."""
    committing, go = threading.Event(), threading.Event()

    def hold() -> bool:
        committing.set()
        assert go.wait(WAIT)
        return False

    async def look() -> bool:
        task = asyncio.create_task(one.run(beat("o1")))
        assert await asyncio.to_thread(committing.wait, WAIT)
        await asyncio.sleep(0)
        answered = task.done()
        go.set()
        await task
        return answered

    connection.set_commit_hook(hold)
    one.start()
    try:
        return asyncio.run(look())
    finally:
        one.stop()


def test_nothing_is_acknowledged_before_its_commit(connection: apsw.Connection) -> None:
    assert not acknowledged_while_committing(Writer(connection), connection)


def test_a_writer_that_acknowledges_first_is_caught(connection: apsw.Connection) -> None:
    assert acknowledged_while_committing(HastyWriter(connection), connection)


def test_a_group_is_one_commit(connection: apsw.Connection) -> None:
    commits = count()
    connection.set_commit_hook(lambda: next(commits) < 0)
    one = Writer(connection)
    one.start()

    assert asyncio.run(in_one_group(one, beat("o1"), beat("o2"), beat("o3"))) == ["o1", "o2", "o3"]

    one.stop()
    assert next(commits) == 2  # one of them is that of the work they queued up behind


def test_work_that_fails_hurts_no_neighbour(connection: apsw.Connection, tmp_path: Path) -> None:
    def fails(inner: apsw.Connection) -> None:
        beat("half done")(inner)
        raise NotFound("no such batch")

    one = Writer(connection)
    one.start()

    first, failed, last = asyncio.run(in_one_group(one, beat("o1"), fails, beat("o2")))

    one.stop()
    assert (first, last) == ("o1", "o2")
    assert isinstance(failed, NotFound)
    assert owners(database.open_reader(tmp_path / database.NAME, None)) == ["o1", "o2"]


def test_work_that_fails_alone_leaves_nothing(connection: apsw.Connection, tmp_path: Path) -> None:
    def fails(inner: apsw.Connection) -> None:
        beat("half done")(inner)
        raise AssertionError("counts do not fit")

    one = Writer(connection)
    one.start()

    with pytest.raises(AssertionError, match="do not fit"):
        asyncio.run(one.run(fails))

    assert asyncio.run(one.run(beat("o1"))) == "o1"
    one.stop()
    assert owners(database.open_reader(tmp_path / database.NAME, None)) == ["o1"]


def test_a_commit_that_fails_fails_its_whole_group(connection: apsw.Connection, tmp_path: Path) -> None:
    def breaks(inner: apsw.Connection) -> None:
        inner.execute("rollback")  # as SQLite itself does on a full disk
        raise apsw.FullError("database or disk is full")

    one = Writer(connection)
    one.start()

    outcomes = asyncio.run(in_one_group(one, beat("o1"), breaks, beat("o2")))

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    assert len({id(outcome) for outcome in outcomes}) == 3
    assert asyncio.run(one.run(beat("o3"))) == "o3"
    one.stop()
    assert owners(database.open_reader(tmp_path / database.NAME, None)) == ["o3"]


def test_a_cancelled_caller_hurts_nobody(connection: apsw.Connection) -> None:
    async def live(one: Writer) -> str:
        held, go = threading.Event(), threading.Event()

        def hold(_: apsw.Connection) -> None:
            held.set()
            assert go.wait(WAIT)

        task = asyncio.create_task(one.run(hold))
        assert await asyncio.to_thread(held.wait, WAIT)
        task.cancel()
        await asyncio.sleep(0)
        go.set()
        return await one.run(beat("o1"))

    one = Writer(connection)
    one.start()

    assert asyncio.run(live(one)) == "o1"
    one.stop()


def test_callers_of_several_loops_get_their_own_answers(connection: apsw.Connection) -> None:
    one = Writer(connection)
    one.start()
    answers: list[str] = []

    threads = [
        threading.Thread(target=lambda name=name: answers.append(asyncio.run(one.run(beat(name))))) for name in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    one.stop()
    assert sorted(answers) == ["a", "b", "c"]


def test_what_was_begun_is_finished_before_the_end(connection: apsw.Connection, tmp_path: Path) -> None:
    one = Writer(connection)

    async def live() -> list[str]:
        tasks = [asyncio.create_task(one.run(beat(name))) for name in "abc"]
        await asyncio.sleep(0)
        one.start()
        await asyncio.to_thread(one.stop)
        return list(await asyncio.gather(*tasks))

    assert asyncio.run(live()) == ["a", "b", "c"]
    assert owners(database.open_reader(tmp_path / database.NAME, None)) == ["a", "b", "c"]


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async def live() -> None:
        store = SqliteStore.open(tmp_path)
        await store.close()
        await store.close()
        for verb in (store.beat("o1", later(0)), store.ripe()):
            with pytest.raises(StoreUnavailable, match="closed"):
                await verb

    asyncio.run(live())


def test_readers_wait_for_no_writer(store: SqliteStore) -> None:
    async def live() -> None:
        batch = await store.create(a_batch(), drafts(1), origin(), defend=False)
        held, go = threading.Event(), threading.Event()

        def hold(connection: apsw.Connection) -> None:
            connection.execute("update batches set arrived = 1")
            held.set()
            assert go.wait(WAIT)

        task = asyncio.create_task(store._writer.run(hold))
        assert await asyncio.to_thread(held.wait, WAIT)
        assert await asyncio.wait_for(store.get("w1", batch.id), WAIT) == batch
        go.set()
        await task

    asyncio.run(live())


def test_the_writer_waits_for_no_reader(store: SqliteStore) -> None:
    async def live() -> None:
        held, go = threading.Event(), threading.Event()

        def hold(connection: apsw.Connection) -> int:
            connection.execute("begin")
            before = connection.execute("select count(*) from batches").get
            held.set()
            assert go.wait(WAIT)
            return int(connection.execute("select count(*) from batches").get) - int(before)

        reading = asyncio.create_task(store._readers.run(hold))
        assert await asyncio.to_thread(held.wait, WAIT)
        await asyncio.wait_for(store.create(a_batch(), drafts(1), origin(), defend=False), WAIT)
        go.set()
        assert await reading == 0  # one read, one snapshot

    asyncio.run(live())


def test_a_full_disk_is_an_outage_that_ends(store: SqliteStore) -> None:
    async def live() -> None:
        pages = await store._writer.run(lambda connection: int(str(connection.pragma("page_count"))))
        await store._writer.run(lambda connection: connection.pragma("max_page_count", pages + 2))
        with pytest.raises(StoreUnavailable, match="full"):
            await store.create(a_batch(), drafts(5000), origin(), defend=False)
        assert (await store.page("w1", after=None, before=None, limit=5)).batches == []

        await store._writer.run(lambda connection: connection.pragma("max_page_count", pages + 2000))
        batch = await store.create(a_batch(), drafts(5000), origin(), defend=False)
        assert await store.get("w1", batch.id) == batch

    asyncio.run(live())


def test_the_wal_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 20)

    async def live() -> None:
        store = SqliteStore.open(tmp_path)
        for number in range(100):
            await store.beat(f"o{number}", later(number))
        assert (tmp_path / "batchyard.db-wal").stat().st_size < 60 * 4120
        await store.close()

    asyncio.run(live())


class Faulty(apsw.VFS):
    """The disk, with switches: what is broken fails until it is mended."""

    def __init__(self) -> None:
        super().__init__("faulty", "unix")
        self.broken: set[str] = set()

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return FaultyFile(self, name, flags)


class FaultyFile(apsw.VFSFile):
    def __init__(self, disk: Faulty, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:
        if "write" in self._disk.broken:
            raise apsw.FullError("no space left")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        if "sync" in self._disk.broken:
            raise apsw.IOError("input/output error")
        super().xSync(flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        if "read" in self._disk.broken:
            raise apsw.IOError("input/output error")
        return super().xRead(amount, offset)


@pytest.mark.parametrize("broken", ["write", "sync"])
def test_a_disk_that_fails_a_commit_fails_its_callers_and_nothing_else(tmp_path: Path, broken: str) -> None:
    disk = Faulty()

    async def live() -> None:
        store = SqliteStore.open(tmp_path, vfs="faulty")
        kept = await store.create(a_batch(), drafts(2), origin(), defend=False)
        disk.broken.add(broken)
        verbs: list[Awaitable[object]] = [
            store.create(a_batch(), drafts(2), origin(), defend=False),
            store.beat("o1", later(0)),
            store.cancel("w1", kept.id, later(1)),
        ]
        outcomes = await asyncio.gather(*verbs, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [CommitUnknown] * 3

        disk.broken.clear()
        assert (await store.page("w1", after=None, before=None, limit=5)).batches == [kept]
        assert await store.beat("o1", later(0)) == 1
        await store.close()

    asyncio.run(live())
    disk.unregister()


def test_deleted_content_leaves_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "WIPE_LATEST_SECONDS", 0.0)
    secret = b"what the model said to nobody else"

    async def live() -> None:
        store = SqliteStore.open(tmp_path)
        batch = await store.create(a_batch(), drafts(30), origin(), defend=False)
        leases = (await store.turn("o1", [], [Pick(batch.id, MODEL, 30)], later(1))).leases
        await store.turn("o1", [succeeded(lease, secret) for lease in leases], [], later(2))
        assert secret in b"".join(path.read_bytes() for path in tmp_path.iterdir())
        await store.seal(batch.id, sealed_files(), Counts(succeeded=30), later(3))
        while await store.sweep(7):
            pass
        await store.delete("w1", batch.id)
        await store.beat("o1", later(4))  # it comes after the wipe that the deletes asked for

        left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert secret not in left
        assert batch.id.encode() not in left
        await store.close()

    asyncio.run(live())
