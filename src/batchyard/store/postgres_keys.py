"""Keys in the PostgreSQL database: a ``KeyShelf`` of its own connection, in a thread of its own.

The command line uses it without an event loop, the server beside its own.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

import asyncpg

from batchyard.domain.access import USUAL, Key, scopes_of
from batchyard.domain.errors import DataRefused, StoreUnavailable
from batchyard.store.postgres_connections import may_be_tried_again, unavailable
from batchyard.store.postgres_migrate import migrate
from batchyard.store.postgres_session import connect, refuse_shared
from batchyard.store.postgres_url import taken_apart

T = TypeVar("T")
_COLUMNS = "id, label, workspace, scopes, created_at, expires_at, revoked_at"
ANSWER_SECONDS = 10.0


class PostgresKeys:
    """A ``KeyShelf``. Raises ``DataRefused`` where the database cannot be used at all."""

    def __init__(self, url: str) -> None:
        self._url, self._schema = taken_apart(url)
        self._thread = ThreadPoolExecutor(1, "keys-database")
        self._loop = asyncio.Runner()
        self._db: asyncpg.Connection | None = None
        try:
            self._run(self._migrate)
        except DataRefused:
            self.close()
            raise
        except StoreUnavailable as fault:
            self.close()
            raise DataRefused(f"the database cannot be used: {fault}; check that it runs, and its URL") from fault

    def close(self) -> None:
        """Let go. Closing twice is allowed."""
        self._thread.submit(self._end)
        self._thread.shutdown()

    def all(self) -> Sequence[tuple[bytes, Key]]:
        """Return every key ever made with its hash, oldest first."""
        rows = self._run(lambda db: db.fetch(f"select sha256, {_COLUMNS} from keys order by created_at, id"))  # noqa: S608
        return [(row["sha256"], _key(row)) for row in rows]

    def add(self, key: Key, sha256: bytes, ending: tuple[str, datetime] | None = None) -> None:
        """Store a key, and let another one end then: both or none."""

        async def add(db: asyncpg.Connection) -> None:
            async with db.transaction():
                await db.execute(
                    f"insert into keys (sha256, {_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, null)",  # noqa: S608
                    *(sha256, key.id, key.label, key.workspace, " ".join(key.scope_words)),
                    *(_text(key.created_at), _text(key.expires_at)),
                )
                if ending is not None:
                    await db.execute("update keys set expires_at = $2 where id = $1", ending[0], _text(ending[1]))

        self._run(add)

    def revoke(self, key_id: str, at: datetime) -> None:
        """End a key; the first end stays."""
        statement = "update keys set revoked_at = coalesce(revoked_at, $2) where id = $1"
        self._run(lambda db: db.execute(statement, key_id, _text(at)))

    def secret(self) -> bytes:
        """Return the secret that all share who use these keys."""

        async def secret(db: asyncpg.Connection) -> bytes:
            made = secrets.token_bytes(32)
            await db.execute("insert into secrets values (1, $1) on conflict do nothing", made)
            return bytes(await db.fetchval("select secret from secrets"))

        return self._run(secret)

    async def _migrate(self, db: asyncpg.Connection) -> None:
        await refuse_shared(db, self._url)
        await migrate(db, self._schema)

    def _run(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        return self._thread.submit(lambda: self._loop.run(self._twice(work))).result()

    async def _twice(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Do it, and once more over a new connection where the old one is gone."""
        try:
            return await self._once(work)
        except StoreUnavailable as lost:
            if not may_be_tried_again(lost.__cause__):
                raise
        return await self._once(work)

    async def _once(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        with unavailable("keys"):
            if self._db is None or self._db.is_closed():
                self._db = await connect(self._url, self._schema, answer_seconds=ANSWER_SECONDS)
            try:
                return await work(self._db)
            except (OSError, TimeoutError, asyncpg.InterfaceError):
                self._db.terminate()
                raise

    def _end(self) -> None:
        if self._db is not None:
            self._db.terminate()
            self._db = None
        self._loop.close()


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _key(row: Any) -> Key:
    expires_at, revoked_at = (
        None if text is None else datetime.fromisoformat(text) for text in (row["expires_at"], row["revoked_at"])
    )
    may = scopes_of(row["scopes"].split()) or USUAL
    created_at = datetime.fromisoformat(row["created_at"])
    return Key(row["id"], row["label"], row["workspace"], may, created_at, expires_at, revoked_at)
