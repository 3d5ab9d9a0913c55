"""The embedded store: one SQLite database in a data folder that this process alone holds.

Every verb that writes is one piece of work for the writer's thread, every verb that reads one snapshot of a reader's.
What each does is in the ``sqlite_`` modules; ``docs/design/store.md`` says why it is built like this.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import apsw

from batchyard.domain.batch import Batch, Counts, Sealed
from batchyard.domain.outcome import Settlement
from batchyard.domain.quota import Load
from batchyard.domain.request import Drafts, Lease, Origin
from batchyard.ports import Carrier, Final, NewBatch, NewCarrier, Owner, Page, Pick, Ready, Turn
from batchyard.store import (
    database,
    sqlite_batches,
    sqlite_carriers,
    sqlite_create,
    sqlite_finals,
    sqlite_owners,
    sqlite_quota,
    sqlite_upkeep,
    sqlite_work,
)
from batchyard.store.lock import OwnerLock
from batchyard.store.reader import Readers
from batchyard.store.rows import micros
from batchyard.store.sqlite_lanes import SqliteLaneHistory
from batchyard.store.sqlite_views import SqliteViews
from batchyard.store.writer import Work, Writer

T = TypeVar("T")

READERS = 2
"""A long read (a seal's) and the short ones beside it."""


class SqliteStore:
    """A ``Store``. ``open`` makes one."""

    def __init__(
        self,
        lock: OwnerLock,
        writer: Writer,
        readers: Readers,
        lease_time: timedelta,
        entropy: Callable[[], int],
        *,
        log_bytes_found: int = 0,
    ) -> None:
        self._lock = lock
        self._writer = writer
        self._readers = readers
        self._lease_micros = lease_time // timedelta(microseconds=1)
        self._entropy = entropy
        self.log_bytes_found = log_bytes_found
        """Of the database's log as it was found: above 0, the process before us died."""
        self.views = SqliteViews(readers, writer)
        self.lane_history = SqliteLaneHistory(readers, writer)
        writer.start()

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        lease_seconds: float = 30.0,
        entropy: Callable[[], int] = lambda: secrets.randbits(80),
        vfs: str | None = None,
    ) -> "SqliteStore":
        """Open the data folder, made if it is missing, or raise ``DataRefused`` and leave it as it was.

        ``vfs`` names another of SQLite's file layers, for tests of faults and power loss; then pages have no checksums.
        """
        lock = _hold(folder)
        connections: list[apsw.Connection] = []
        try:
            with database.refusing(folder):
                path = folder / database.NAME
                log_bytes = database.log_bytes(folder)
                if not database.inspect(folder):
                    database.make(folder, vfs)
                connections.append(database.open_writer(path, vfs))
                connections += [database.open_reader(path, vfs) for _ in range(READERS)]
            lock.claim(datetime.now(UTC))
            writer = Writer(connections[0])
            lease_time = timedelta(seconds=lease_seconds)
            return cls(lock, writer, Readers(connections[1:]), lease_time, entropy, log_bytes_found=log_bytes)
        except BaseException:
            for connection in connections:
                connection.close()
            lock.release()
            raise

    def listens_at(self, address: str) -> None:
        """Tell a second server that comes for this folder where the first one is."""
        self._lock.announce(address)

    @property
    def token(self) -> str:
        """What proves that a caller may read the data folder."""
        return self._lock.token

    def used_bytes(self) -> int:
        """Return what the database holds: an upper bound of what the files of its batches' ends will take."""
        return self._writer.used_bytes

    async def close(self) -> None:
        """Finish what was begun and let go of everything. Closing twice is allowed."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._readers.close()
        self._writer.stop()
        self._lock.release()

    async def create(self, new: NewBatch, drafts: Drafts, origin: Origin, *, defend: bool) -> Batch:
        work = partial(
            sqlite_create.create, new=new, drafts=drafts, origin=origin, defend=defend, entropy=self._entropy
        )
        return await self._writer.run(work)

    async def load(self, workspace: str) -> Load:
        return await self._readers.run(lambda connection: sqlite_quota.load(connection, workspace))

    async def get(self, workspace: str, batch_id: str) -> Batch:
        return await self._readers.run(lambda connection: sqlite_batches.get(connection, workspace, batch_id))

    async def page(self, workspace: str, *, after: str | None, before: str | None, limit: int) -> Page:
        return await self._readers.run(
            lambda connection: sqlite_batches.page(connection, workspace, after, before, limit)
        )

    async def cancel(self, workspace: str, batch_id: str, now: datetime) -> Batch:
        return await self._writer.run(lambda connection: sqlite_batches.cancel(connection, workspace, batch_id, now))

    async def pause(self, workspace: str, batch_id: str, *, paused: bool) -> Batch:
        return await self._writer.run(lambda c: sqlite_batches.pause(c, workspace, batch_id, paused=paused))

    async def delete(self, workspace: str, batch_id: str) -> Batch:
        return await self._writer.run(self._wiping(lambda c: sqlite_batches.delete(c, workspace, batch_id)))

    async def beat(self, owner: str, now: datetime) -> int:
        return await self._writer.run(lambda c: sqlite_owners.beat(c, owner, micros(now), self._lease_micros))

    async def backlog(self, now: datetime) -> Sequence[Ready]:
        return await self._readers.run(lambda connection: sqlite_batches.backlog(connection, micros(now)))

    async def turn(self, owner: str, settlements: Sequence[Settlement], picks: Sequence[Pick], now: datetime) -> Turn:
        return await self._writer.run(lambda connection: sqlite_work.turn(connection, owner, settlements, picks, now))

    async def held(self, owner: str) -> Sequence[Lease]:
        return await self._readers.run(lambda connection: sqlite_work.held(connection, owner))

    async def pause_lane(self, lane: str, *, paused: bool) -> None:
        await self._writer.run(lambda connection: sqlite_work.pause_lane(connection, lane, paused=paused))

    async def paused_lanes(self) -> Sequence[str]:
        return await self._readers.run(sqlite_work.paused_lanes)

    async def reclaim(self, owner: str, now: datetime) -> int:
        return await self._writer.run(lambda connection: sqlite_upkeep.reclaim(connection, owner, now))

    async def leave(self, owner: str, now: datetime) -> int:
        return await self.reclaim(owner, now)

    async def dead(self, now: datetime) -> Sequence[str]:
        return await self._readers.run(lambda c: sqlite_owners.dead(c, micros(now) - self._lease_micros))

    async def owners(self, now: datetime) -> Sequence[Owner]:
        return await self._readers.run(lambda c: sqlite_owners.owners(c, micros(now), self._lease_micros))

    async def expire(self, now: datetime) -> Sequence[str]:
        return await self._writer.run(lambda connection: sqlite_upkeep.expire(connection, now))

    async def ended(self, since: datetime) -> Sequence[Batch]:
        return await self._readers.run(lambda connection: sqlite_upkeep.ended(connection, since))

    async def due(self, before: datetime) -> Sequence[Batch]:
        return await self._readers.run(lambda connection: sqlite_upkeep.due(connection, before))

    async def ripe(self) -> Sequence[Batch]:
        return await self._readers.run(sqlite_upkeep.ripe)

    async def finals(self, batch_id: str) -> AsyncIterator[Sequence[Final]]:
        stored = await self._readers.run(lambda connection: sqlite_finals.running(connection, batch_id))
        if stored is None:
            return
        first = stored.first
        while part := await self._readers.run(partial(sqlite_finals.part, stored=stored, first=first)):
            yield part
            first = stored.first + part[-1].seq + 1

    async def seal(self, batch_id: str, sealed: Sealed, counts: Counts, now: datetime) -> Batch | None:
        return await self._writer.run(lambda c: sqlite_upkeep.seal(c, batch_id, sealed, counts, now))

    async def sweep(self, limit: int) -> int:
        return await self._writer.run(self._wiping(lambda connection: sqlite_upkeep.sweep(connection, limit)))

    async def archive(self, created_before: datetime, now: datetime) -> Sequence[Batch]:
        return await self._writer.run(lambda connection: sqlite_upkeep.archive(connection, created_before, now))

    async def blobs(self) -> set[str]:
        return await self._readers.run(sqlite_upkeep.blobs)

    async def make(self, tender: str, new: NewCarrier, pick: Pick) -> tuple[Carrier, Sequence[Lease]] | None:
        return await self._writer.run(lambda connection: sqlite_carriers.make(connection, tender, new, pick))

    async def sent(self, tender: str, carrier: str, upstream_id: str) -> bool:
        return await self._writer.run(lambda c: sqlite_carriers.sent(c, tender, carrier, upstream_id))

    async def tended(self, tender: str) -> Sequence[Carrier]:
        return await self._readers.run(lambda connection: sqlite_carriers.tended(connection, tender))

    async def adopt(self, tender: str, now: datetime) -> Sequence[Carrier]:
        return await self._writer.run(lambda c: sqlite_carriers.adopt(c, tender, now, self._lease_micros))

    async def members(self, carrier: str) -> Sequence[Lease]:
        return await self._readers.run(lambda connection: sqlite_carriers.members(connection, carrier))

    async def finish(self, tender: str, carrier: str, *, lost: bool, now: datetime) -> bool:
        return await self._writer.run(lambda c: sqlite_carriers.finish(c, tender, carrier, lost=lost, now=now))

    def _wiping(self, work: Work[T]) -> Work[T]:
        """Return the work, with a wish that what it deletes leaves the WAL too."""

        def deleting(connection: apsw.Connection) -> T:
            before = connection.total_changes()
            done = work(connection)
            if connection.total_changes() != before:
                self._writer.wipe_soon()
            return done

        return deleting


def _hold(folder: Path) -> OwnerLock:
    """Take the folder, touching nothing of one that is not ours."""
    with database.refusing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # First the lock of a server that runs: where it runs in this process, looking into its database's file and
        # closing that again would drop SQLite's own locks.
        lock = OwnerLock.take(folder, make=False)
        try:
            database.inspect(folder)
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        return lock or _made(OwnerLock.take(folder, make=True))


def _made(lock: OwnerLock | None) -> OwnerLock:
    assert lock is not None, "a lock file that is made is there"
    return lock
