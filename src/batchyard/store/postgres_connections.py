"""Connections to PostgreSQL: transactions, what becomes of them when a connection breaks, and errors in our words.

A COMMIT whose answer is lost may have taken effect. So each transaction that writes leaves a mark, and where no answer
came the mark is read again over another connection: reading it waits for the lost transaction, if that still runs.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, TypeVar

import asyncpg

from batchyard.domain.errors import CommitUnknown, DataRefused, StoreUnavailable
from batchyard.store.postgres_migrate import migrate
from batchyard.store.postgres_session import CONNECT_SECONDS, START, prepare, refuse_shared

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

T = TypeVar("T")
Work = Callable[["PoolConnectionProxy"], Awaitable[T]]
"""What one verb does within the transaction. It commits nothing itself."""

ANSWER_SECONDS = 60.0
"""How long one statement may take before its connection is given up."""
RESOLVE_SECONDS = 15.0
"""How long we try to find out whether a lost commit took effect. Longer than the server keeps a silent session."""
TRIES = 3
"""How often a transaction is made that lost to others: nothing of it took effect."""
_OURS = {"08", "25", "40", "53", "55", "57", "58", "XX", "28", "3D"}
"""Classes of SQLSTATE that are the server's trouble: the same call may succeed later. Others are bugs."""
_AGAIN = {"40001", "40P01", "57P01", "57P02", "25P03"}
"""What is tried again at once: a serialization failure, a deadlock, a session that was ended."""
_MARK = (
    "insert into marks (connection, last, marked_at) select $1, $2, clock_timestamp()"
    " where pg_current_xact_id_if_assigned() is not null"
    " on conflict (connection) do update set last = excluded.last, marked_at = excluded.marked_at returning last"
)
_FORGET = "delete from marks where marked_at < clock_timestamp() - interval '7 days'"


@contextmanager
def unavailable(doing: str) -> Iterator[None]:
    """Turn what a network or a server does into ``StoreUnavailable``. Misuse of ours passes as it is."""
    try:
        yield
    except asyncpg.PostgresError as fault:
        if (fault.sqlstate or "")[:2] not in _OURS:
            raise
        raise StoreUnavailable(f"{doing}: {explained(fault)}") from fault
    except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError) as fault:
        raise StoreUnavailable(f"{doing}: {explained(fault)}") from fault


def explained(fault: BaseException) -> str:
    """Return what went wrong on one line."""
    lines = str(fault).strip().splitlines()
    return lines[0] if lines else type(fault).__name__


def may_be_tried_again(fault: BaseException | None) -> bool:
    """Whether the same may be done again at once: a connection was gone, or others were first."""
    if isinstance(fault, TimeoutError):  # it has taken long enough
        return False
    state = getattr(fault, "sqlstate", None) or ""
    return isinstance(fault, OSError | asyncpg.InterfaceError) or state in _AGAIN or state.startswith("08")


class Connections:
    """Some connections to one schema of one database. ``open`` makes them."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._token = secrets.token_hex(8)
        self._numbers = count(1)
        self._marked: set[str] = set()
        self._closed = False

    @classmethod
    async def open(cls, url: str, schema: str, size: int) -> "Connections":
        """Connect, and bring the schema to the newest version; or raise ``DataRefused``, which shows no password."""
        pool = asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=CONNECT_SECONDS,
            command_timeout=ANSWER_SECONDS,
            server_settings=START,
            init=lambda db: prepare(db, schema),
            reset=_nothing,  # no state of a session is left behind by what we do
        )
        try:
            await pool
            async with pool.acquire() as db:
                await refuse_shared(db, url)
                await migrate(db, schema)
                await db.execute(_FORGET)
        except DataRefused:
            await pool.close()
            raise
        except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as fault:
            pool.terminate()
            raise DataRefused(
                f"the database cannot be used: {explained(fault)}; check that it runs, and its URL and rights"
            ) from fault
        return cls(pool)

    async def close(self) -> None:
        """Let what was begun end, then let go. Closing twice is allowed."""
        if self._closed:
            return
        self._closed = True
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._forget_marks()
                await self._pool.close()
        except (TimeoutError, StoreUnavailable):
            self._pool.terminate()

    async def read(self, work: Work[T]) -> T:
        """Return what one statement finds, or several that need no common snapshot."""
        return await self._again("read", lambda: self._read(work))

    async def _read(self, work: Work[T]) -> T:
        async with self._connection() as db:
            return await work(db)

    async def snapshot(self, work: Work[T]) -> T:
        """Return what several statements find of one moment."""
        return await self._again("read", lambda: self._snapshot(work))

    async def _snapshot(self, work: Work[T]) -> T:
        async with self._connection() as db, db.transaction(isolation="repeatable_read", readonly=True):
            return await work(db)

    async def write(self, work: Work[T]) -> T:
        """Do the work in a transaction and return its value once that is durable.

        Raises ``StoreUnavailable`` where nothing took effect, ``CommitUnknown`` where nobody can tell in time.
        """
        return await self._again("write", lambda: self._write(work))

    async def _again(self, doing: str, once: Callable[[], Awaitable[T]]) -> T:
        """Do it up to so many times, where a connection was gone or others were first: nothing of it took effect."""
        for last in (False,) * (TRIES - 1) + (True,):
            try:
                with unavailable(doing):
                    return await once()
            except CommitUnknown:
                raise
            except StoreUnavailable as lost:
                if last or not may_be_tried_again(lost.__cause__):
                    raise
                await self._pool.expire_connections()  # where one is gone, others that idle may be
        raise AssertionError("the last try returns or raises")

    async def _write(self, work: Work[T]) -> T:
        async with self._connection() as db:
            name, number = await self._marks_as(db), next(self._numbers)
            transaction = db.transaction()
            await transaction.start()
            try:
                value = await work(db)
                mark = await db.fetchval(_MARK, name, number)
            except BaseException:
                with suppress(Exception):  # a broken connection has rolled back by itself
                    await transaction.rollback()
                raise
            try:
                await transaction.commit()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as fault:
                _cut(db)
                lost = fault
            else:
                return value
        if mark is None:  # it wrote nothing
            return value
        if not await self._took_effect(name, number):
            raise StoreUnavailable(f"commit: {explained(lost)}") from lost
        return value

    async def _took_effect(self, name: str, number: int) -> bool:
        """Whether the transaction that left this mark was committed."""
        deadline = time.monotonic() + RESOLVE_SECONDS
        while True:
            try:
                async with self._connection() as db:
                    # waits for the lost transaction, if that still runs: it holds the row
                    last = await db.fetchval("select last from marks where connection = $1 for share", name)
                    return bool(last == number)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as fault:
                if time.monotonic() >= deadline:
                    raise CommitUnknown(f"commit: {explained(fault)}; whether it took effect is not known") from fault
            await asyncio.sleep(0.2)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["PoolConnectionProxy"]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        async with self._pool.acquire(timeout=CONNECT_SECONDS) as db:
            try:
                yield db
            except (OSError, TimeoutError):
                _cut(db)  # nobody knows what is still on its way
                raise

    async def _marks_as(self, db: "PoolConnectionProxy") -> str:
        """Return the name under which this connection leaves its marks. Its row is there before it is needed."""
        name = f"{self._token}.{db.get_server_pid()}"
        if name not in self._marked:
            await db.execute("insert into marks values ($1, 0, clock_timestamp()) on conflict do nothing", name)
            self._marked.add(name)
        return name

    async def _forget_marks(self) -> None:
        async with self._pool.acquire() as db:
            with unavailable("close"):
                await db.execute("delete from marks where connection = any($1::text[])", list(self._marked))


def _cut(db: "PoolConnectionProxy") -> None:
    """End a connection, unless it has ended by itself."""
    with suppress(asyncpg.InterfaceError):
        db.terminate()


async def _nothing(_db: asyncpg.Connection) -> None:
    pass
