"""The outbox of webhooks in a small database of its own: no batch waits for it, and it may be thrown away."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import apsw

from batchyard.domain.errors import DataRefused, StoreUnavailable
from batchyard.domain.hooks import Delivery, Kind, Notice, Reply, State, Verdict
from batchyard.ports import Told
from batchyard.store.rows import micros, moment

T = TypeVar("T")

NAME = "webhooks.db"
_VERSION = 1
_APPLICATION = 0x42594857
"""``BYHW``: what this file is, so that no other database is taken for it."""
_SCHEMA = """
create table deliveries (
    hook text not null,
    id text not null,
    kind text not null,
    workspace text,
    body blob not null,
    state text not null,
    tries integer not null,
    created_at integer not null,
    due_at integer not null,
    tried_at integer,
    status integer,
    reason text not null,
    primary key (hook, id)
) strict;
create index deliveries_due on deliveries (due_at) where state = 'waiting';
create index deliveries_created on deliveries (hook, created_at);
create table marks (one integer primary key check (one = 1), seen_until integer not null) strict;
"""


_PUT = "insert into deliveries values (?, ?, ?, ?, ?, 'waiting', 0, ?, ?, null, null, '') on conflict do nothing"
_TAKE = """
update deliveries set due_at = ?, tries = tries + 1 where rowid in (
    select rowid from deliveries where state = 'waiting' and due_at <= ? order by due_at, created_at limit ?
) returning hook, id, kind, workspace, body, tries
"""
_TRIED = "update deliveries set state = ?, due_at = ?, tried_at = ?, status = ?, reason = ? where hook = ? and id = ?"
_LOG = """
select id, hook, kind, state, tries, created_at, tried_at, due_at, status, reason
from deliveries where hook = ? order by created_at desc, id desc limit ?
"""
_WAITING = "select hook, count(*) from deliveries where state = 'waiting' group by hook"


class SqliteOutbox:
    """Implements ``Outbox`` for one process. ``open`` makes one."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._lock = threading.Lock()  # one statement group at a time, and none after close
        self._thread = ThreadPoolExecutor(1, "webhooks")
        self._closed = False

    @classmethod
    def open(cls, folder: Path) -> "SqliteOutbox":
        """Open the database in a folder, or make it; or raise ``DataRefused``."""
        path = folder / NAME
        try:
            db = apsw.Connection(str(path))
            db.set_busy_timeout(5000)
            db.pragma("journal_mode", "wal")
            db.pragma("synchronous", "full")
            db.pragma("secure_delete", 1)
            version = db.pragma("user_version")
            if version not in (0, _VERSION) or (version and db.pragma("application_id") != _APPLICATION):
                raise DataRefused(f"{path} is of another program, or of a newer Batchyard: move it away")
            if version == 0:
                with db:
                    db.execute(_SCHEMA)
                    db.pragma("application_id", _APPLICATION)
                    db.pragma("user_version", _VERSION)
        except apsw.Error as error:
            raise DataRefused(f"{path} cannot be used as the outbox of webhooks: {error}") from error
        path.chmod(0o600)
        return cls(db)

    async def mark(self) -> datetime | None:
        rows = await self._run(lambda db: list(db.execute("select seen_until from marks")))
        return moment(rows[0][0]) if rows else None

    async def put(self, deliveries: Sequence[Delivery], now: datetime, mark: datetime | None = None) -> int:
        at = micros(now)
        rows = [
            (one.hook, one.notice.id, one.notice.kind.value, one.notice.workspace, one.notice.body, at, at)
            for one in deliveries
        ]

        def put(db: apsw.Connection) -> int:
            before = db.total_changes()
            db.executemany(_PUT, rows)
            new = db.total_changes() - before
            if mark is not None:
                db.execute("insert or replace into marks values (1, ?)", (micros(mark),))
            return new

        return await self._run(put)

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[Delivery]:
        values = (micros(until), micros(now), limit)
        return [_delivery(row) for row in await self._run(lambda db: list(db.execute(_TAKE, values)))]

    async def tried(self, delivery: Delivery, reply: Reply, verdict: Verdict, now: datetime) -> None:
        due_at, which = micros(verdict.again_at or now), (delivery.hook, delivery.notice.id)
        values = (verdict.state.value, due_at, micros(now), reply.status, reply.reason, *which)
        await self._run(lambda db: db.execute(_TRIED, values).close())

    async def log(self, hook: str, limit: int) -> Sequence[Told]:
        return [told(row) for row in await self._run(lambda db: list(db.execute(_LOG, (hook, limit))))]

    async def waiting(self) -> Mapping[str, int]:
        return dict(await self._run(lambda db: list(db.execute(_WAITING))))

    async def forget(self, before: datetime) -> int:
        def forget(db: apsw.Connection) -> int:
            db.execute("delete from deliveries where created_at < ? and state <> 'waiting'", (micros(before),))
            return db.changes()

        return await self._run(forget)

    async def close(self) -> None:
        with self._lock:
            self._closed = True
            self._db.close()
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[apsw.Connection], T]) -> T:
        if self._closed:
            raise StoreUnavailable("the outbox of webhooks is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)

    def _do(self, work: Callable[[apsw.Connection], T]) -> T:
        with self._lock:
            try:
                with self._db:
                    value = work(self._db)
            except apsw.Error as error:
                raise StoreUnavailable(f"the outbox of webhooks cannot be read or written: {error}") from error
        return value


def _delivery(row: tuple[Any, ...]) -> Delivery:
    hook, name, kind, workspace, body, tries = row
    return Delivery(hook, Notice(name, Kind(kind), workspace, bytes(body)), tries)


def told(row: Sequence[Any]) -> Told:
    """Return a row of the log, whose times are microseconds since 1970, as people read it."""
    name, hook, kind, state, tries, created_at, tried_at, due_at, status, reason = row
    waits = State(state) is State.WAITING
    return Told(
        name,
        hook,
        kind,
        State(state),
        tries,
        moment(created_at),
        None if tried_at is None else moment(tried_at),
        moment(due_at) if waits else None,
        status,
        reason,
    )
