"""What a process knows of its data folder."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from batchyard import backup, checkup
from batchyard.app.clock import HOLD_SECONDS, DatabaseClock, FolderClock
from batchyard.blobs.space import EndlessSpace, FolderSpace
from batchyard.domain.errors import DataRefused, StoreDamaged, StoreUnavailable
from batchyard.domain.events import DeadlinesHeld, Emit, LeasesReclaimed, StartFinished
from batchyard.ports import Blobs, Clock, Space, Store
from batchyard.settings import Settings
from batchyard.store import database
from batchyard.store.sqlite import SqliteStore
from batchyard.web.folder import OwnFolder

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_END_OF_TIME = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)

KEYS = "keys.db"
"""The keys of a data folder: a small database of their own."""


def clock(settings: Settings) -> FolderClock:
    """Return the folder's clock. To be made before its database is."""
    return FolderClock(settings.data, is_new=not (settings.data / database.NAME).exists())


def space(settings: Settings, store: Store) -> Space:
    """Return the room on its disk; of other stores that is not ours to watch."""
    if not isinstance(store, SqliteStore):
        return EndlessSpace()
    return FolderSpace(settings.data, settings.disk_reserve_bytes, store.used_bytes)


def own(settings: Settings, store: Store) -> OwnFolder | None:
    """Return what can be done with the folder through the server, if it is ours alone."""
    if not isinstance(store, SqliteStore):
        return None
    return OwnFolder(store.token, partial(checkup.look, settings.data), partial(backup.make, settings.data))


async def recover(store: Store, blobs: Blobs, clock: FolderClock | DatabaseClock, emit: Emit) -> StartFinished:
    """Take over what the processes before us left; return what that was. Nobody else may use the folder yet.

    A database is not ours alone: the keeper takes over who is dead there, once their heartbeats say so.
    Raises ``DataRefused`` where the database is damaged in what that needs.
    """
    alone = isinstance(store, SqliteStore)
    try:
        leases = await _reclaim_the_dead(store, clock, emit) if alone else 0
        files = await _sweep_files(store, blobs) if alone else 0
        now, backlog = clock.now(), await store.backlog(_LONG_AGO)
    except StoreDamaged as damage:
        raise DataRefused(f"the database is damaged: {damage}; run `batchyard check`, or restore a backup.") from damage
    except StoreUnavailable as error:
        raise DataRefused(f"the store cannot be worked with now: {error}; mend that, and start again.") from error
    if clock.holds():
        passed = {ready.batch for ready in backlog if ready.expires_at <= now}
        if passed:
            emit(DeadlinesHeld(len(passed), HOLD_SECONDS))
    log_bytes = store.log_bytes_found if isinstance(store, SqliteStore) else 0
    running = {ready.batch for ready in backlog}
    return StartFinished(log_bytes, leases, files, len(running), sum(ready.pending for ready in backlog))


async def _reclaim_the_dead(store: Store, clock: Clock, emit: Emit) -> int:
    """We hold the folder's lock, so every earlier owner is dead: what it had in flight may go to us."""
    total = 0
    for owner in await store.dead(_END_OF_TIME):
        leases = await store.reclaim(owner, clock.now())
        emit(LeasesReclaimed(owner, leases))
        total += leases
    return total


async def _sweep_files(store: Store, blobs: Blobs) -> int:
    """Delete what no batch names: a death between a delete and its files would else leave them for an hour."""
    needed = await store.blobs()
    unnamed = [name for name in await blobs.old(float("-inf")) if name not in needed]
    for name in unnamed:
        await blobs.delete(name)
    return len(unnamed)


def is_ours(data: Path) -> bool:
    """Whether a server or `batchyard keys create` has used the folder."""
    return any((data / name).exists() for name in (database.NAME, KEYS))
