"""What a process works on: the store, the time and the keys of a data folder, or of a database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from batchyard.app import folder
from batchyard.app.clock import DatabaseClock, FolderClock
from batchyard.blobs.files import FileBlobs
from batchyard.domain.errors import DataRefused
from batchyard.ports import Blobs, Hearer, KeyShelf, Outbox, Store
from batchyard.settings import Settings
from batchyard.store.sqlite import SqliteStore
from batchyard.store.sqlite_outbox import SqliteOutbox
from batchyard.web.key_file import KeyFile

NO_ASYNCPG = "--database needs asyncpg, which is not installed: pip install 'batchyard[postgres]'"

NO_OBSTORE = "--objects needs obstore, which is not installed: pip install 'batchyard[objects]'"


@dataclass(frozen=True, slots=True)
class Kept:
    """``outbox`` opens what webhooks are sent from. ``follow`` are tasks that the process keeps running: they tell it
    what others do."""

    store: Store
    blobs: Blobs
    clock: FolderClock | DatabaseClock
    shelf: KeyShelf
    outbox: Callable[[], Outbox]
    follow: tuple[Callable[[Hearer], Coroutine[Any, Any, None]], ...] = ()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Kept]:
    """Open what the settings name. Raises ``DataRefused``."""
    if settings.database is None:
        clock = folder.clock(settings)
        sqlite = SqliteStore.open(settings.data, lease_seconds=settings.lease.total_seconds())
        try:
            files = FileBlobs(settings.data / "blobs")
            yield Kept(sqlite, files, clock, key_shelf(settings), lambda: SqliteOutbox.open(settings.data))
        finally:
            await sqlite.close()
        return
    try:
        from batchyard.store.postgres import PostgresStore  # noqa: PLC0415 an extra
        from batchyard.store.postgres_news import News  # noqa: PLC0415 an extra
    except ModuleNotFoundError:
        raise DataRefused(NO_ASYNCPG) from None
    url = settings.database
    news = News(url)
    store = await PostgresStore.open(url, news=news, lease_seconds=settings.lease.total_seconds())
    try:
        time = DatabaseClock(store.time)
        await time.set()
        shelf = await asyncio.to_thread(key_shelf, settings)
        blobs = await _blobs(settings, store.identity)
        follow = (news.listen, lambda _: time.follow())
        yield Kept(store, blobs, time, shelf, store.outbox, follow)
    finally:
        await store.close()


async def _blobs(settings: Settings, identity: Callable[[], Awaitable[str]]) -> Blobs:
    """Return where bodies and results are, for processes that share a database."""
    if settings.objects is None:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FileBlobs(settings.data / "blobs")
    try:
        from batchyard.blobs.bucket import Bucket  # noqa: PLC0415 an extra
        from batchyard.blobs.objects import ObjectBlobs  # noqa: PLC0415 an extra
    except ModuleNotFoundError:
        raise DataRefused(NO_OBSTORE) from None
    return ObjectBlobs(await asyncio.to_thread(Bucket.open, settings.objects, await identity()))


def key_shelf(settings: Settings) -> KeyShelf:
    """Return where the keys are. Blocks."""
    if settings.database is None:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return KeyFile(settings.data / folder.KEYS)
    try:
        from batchyard.store.postgres_keys import PostgresKeys  # noqa: PLC0415 an extra
    except ModuleNotFoundError:
        raise DataRefused(NO_ASYNCPG) from None
    return PostgresKeys(settings.database)
