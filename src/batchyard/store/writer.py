"""The one thread that writes: group commit, and the checkpoints.

    verbs ──> queue ──> begin; work, work, work ...; commit ──> all their futures, one wake-up of each loop

Nothing is acknowledged before its COMMIT returned. A piece of work that raises is rolled back alone; when the commit
itself fails, nothing of the group took effect while this process lives, and each of its callers gets ``CommitUnknown``.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import apsw

from batchyard.domain.errors import CommitUnknown, StoreDamaged, StoreUnavailable
from batchyard.store.database import BUSY_MILLISECONDS, explained, is_damage, unavailable

T = TypeVar("T")
Work = Callable[[apsw.Connection], T]
"""What one verb does within the transaction. It commits nothing itself."""

LARGEST_GROUP = 128
CHECKPOINT_PAGES = 2000
"""Move the WAL into the database about every 8 MB: some 10 ms of work; restarts stay short."""
MEASURE_SECONDS = 1.0
WIPE_IDLE_SECONDS = 0.2
WIPE_LATEST_SECONDS = 20.0
"""Deleted content leaves the WAL when nothing else is to do, after so many seconds even if something is."""


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work, and who waits for it."""

    work: Work[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: a value, or the error that its caller gets."""

    value: Any = None
    error: BaseException | None = None


class Writer:
    """Owns the connection from its start on. ``run`` may be called from any loop."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._closed = False
        self._guard = threading.Lock()  # nothing is queued behind the end
        self._pages = 0
        self._checkpoint_at = CHECKPOINT_PAGES
        self._wipe_by: float | None = None
        self._measure_at = float("-inf")
        self.used_bytes = 0
        """Of the database, without what is free in it; measured after a commit, at most once a second."""
        connection.set_wal_hook(self._note_pages)
        self._thread = threading.Thread(target=self._live, name="batchyard-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def run(self, work: Work[T]) -> T:
        """Do the work in a transaction and return its value once that is durable."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._guard:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            self._queue.put(Job(work, future, loop))
        return await future

    def wipe_soon(self) -> None:
        """Ask, within the work that deletes, that what it deleted leaves the WAL too."""
        if self._wipe_by is None:
            self._wipe_by = time.monotonic() + WIPE_LATEST_SECONDS

    def stop(self) -> None:
        """Finish what was begun, then close the connection. Blocks. May be called twice."""
        with self._guard:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _live(self) -> None:
        self._measure()
        try:
            while (group := self._next_group()) is not None:
                if group:
                    self._do(group)
                self._tidy(idle=not group)
                self._measure()
        finally:
            self._connection.close()

    def _next_group(self) -> list[Job] | None:
        """Wait for work and take all there is. Empty: idle, with deleted content to wipe. None: the end."""
        try:
            first = self._queue.get(timeout=None if self._wipe_by is None else WIPE_IDLE_SECONDS)
        except Empty:
            return []
        if first is None:
            return None
        group = [first]
        with suppress(Empty):
            while len(group) < LARGEST_GROUP:
                job = self._queue.get_nowait()
                if job is None:
                    self._queue.put(None)  # the end comes after this group
                    break
                group.append(job)
        return group

    def _do(self, group: Sequence[Job]) -> None:
        try:
            with unavailable("commit"):
                outcomes = self._commit(group)
        except BaseException as fault:  # noqa: BLE001 - each caller of the group gets it; the thread must live on
            self._roll_back()
            outcomes = [Outcome(error=_of(job, fault)) for job in group]
        self._acknowledge(group, outcomes)

    def _commit(self, group: Sequence[Job]) -> list[Outcome]:
        self._connection.execute("begin immediate")
        outcomes = [self._attempt(job, alone=len(group) == 1) for job in group]
        if self._connection.in_transaction:
            self._end_transaction()
        return outcomes

    def _end_transaction(self) -> None:
        """Commit. One that fails in its sync is undone for us, but its pages lie in the log: after a death right then
        they may be found there, and take effect."""
        try:
            self._connection.execute("commit")
        except (apsw.FullError, apsw.IOError) as fault:
            if is_damage(fault):
                raise
            raise CommitUnknown(f"commit: {explained(fault)}") from fault

    def _attempt(self, job: Job, *, alone: bool) -> Outcome:
        """Do one job. Its failure undoes it alone, unless SQLite had to undo the whole transaction."""
        if not alone:
            self._connection.execute("savepoint job")
        try:
            with unavailable("write"):
                outcome = Outcome(job.work(self._connection))
        except BaseException as error:  # it belongs to the caller
            if not self._connection.in_transaction:
                if alone:
                    return Outcome(error=error)
                raise _GroupLost(job, error) from error
            self._connection.execute("rollback" if alone else "rollback to job")
            outcome = Outcome(error=error)
        if not alone:
            self._connection.execute("release job")
        return outcome

    def _roll_back(self) -> None:
        with suppress(apsw.Error):
            if self._connection.in_transaction:
                self._connection.execute("rollback")

    def _acknowledge(self, group: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        """Tell the callers; one wake-up for each loop, however many wait there."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Job, Outcome]]] = {}
        for job, outcome in zip(group, outcomes, strict=True):
            by_loop.setdefault(job.loop, []).append((job, outcome))
        for loop, told in by_loop.items():
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_tell, told)

    def _note_pages(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK

    def _tidy(self, *, idle: bool) -> None:
        """Keep the WAL short. A failure here loses nothing: it is tried again."""
        if self._wipe_by is not None and (idle or time.monotonic() >= self._wipe_by):
            self._wipe()
        elif self._pages >= self._checkpoint_at:
            with suppress(apsw.Error):
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            # A reader may keep it from being reset, then it grows on: not a checkpoint after each commit from now on.
            self._checkpoint_at = self._pages + CHECKPOINT_PAGES
        if self._pages < CHECKPOINT_PAGES:
            self._checkpoint_at = CHECKPOINT_PAGES

    def _measure(self) -> None:
        if time.monotonic() < self._measure_at:
            return
        self._measure_at = time.monotonic() + MEASURE_SECONDS
        with suppress(apsw.Error):
            numbers = (self._connection.pragma(name) for name in ("page_count", "freelist_count", "page_size"))
            pages, free, size = (int(str(number)) for number in numbers)
            self.used_bytes = (pages - free) * size

    def _wipe(self) -> None:
        """Empty the WAL. Readers are not waited for: the next idle moment comes."""
        self._connection.set_busy_timeout(0)
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._wipe_by = None
            self._pages = 0
        except apsw.Error:
            self._wipe_by = time.monotonic() + 1.0
        finally:
            self._connection.set_busy_timeout(BUSY_MILLISECONDS)


class _GroupLost(StoreUnavailable):
    """SQLite undid the whole transaction for the sake of one job."""

    def __init__(self, job: Job, error: BaseException) -> None:
        super().__init__(f"a neighbour in the same commit failed: {error}")
        self.job, self.error = job, error


def _of(job: Job, fault: BaseException) -> BaseException:
    """Return what the caller of one job is told of a group's failure: who caused it, the cause itself."""
    return fault.error if isinstance(fault, _GroupLost) and fault.job is job else _copy(fault)


def _copy(fault: BaseException) -> BaseException:
    """Return an exception of its own for each caller: they would share one traceback."""
    if isinstance(fault, StoreUnavailable):
        kind = next((kind for kind in (StoreDamaged, CommitUnknown) if isinstance(fault, kind)), StoreUnavailable)
        own = kind(*fault.args)
        own.__cause__ = fault
        return own
    return fault


def _tell(told: Sequence[tuple[Job, Outcome]]) -> None:
    for job, outcome in told:
        if job.future.done():  # its caller was cancelled; what it did is done all the same
            continue
        if outcome.error is not None:
            job.future.set_exception(outcome.error)
        else:
            job.future.set_result(outcome.value)
