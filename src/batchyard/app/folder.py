"""What a process knows of its data folder."""

from datetime import UTC, datetime
from functools import partial

from batchyard import backup, checkup
from batchyard.app.clock import HOLD_SECONDS, FolderClock
from batchyard.blobs.space import EndlessSpace, FolderSpace
from batchyard.domain.events import DeadlinesHeld, Emit
from batchyard.ports import Space, Store, Work
from batchyard.settings import Settings
from batchyard.store import database
from batchyard.store.sqlite import SqliteStore
from batchyard.web.folder import OwnFolder

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


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


async def tell_what_is_held(work: Work, clock: FolderClock, emit: Emit) -> None:
    """Raise the alarm where a clock that was just believed would end batches."""
    if clock.holds():
        now = clock.now()
        passed = {ready.batch for ready in await work.backlog(_LONG_AGO) if ready.expires_at <= now}
        if passed:
            emit(DeadlinesHeld(len(passed), HOLD_SECONDS))
