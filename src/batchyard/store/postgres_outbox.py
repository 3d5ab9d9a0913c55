"""The outbox of webhooks in the PostgreSQL database: processes put and take, each delivery goes to one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from batchyard.domain.hooks import Delivery, Kind, Notice, Reply, Verdict
from batchyard.ports import Told
from batchyard.store.postgres_connections import Connections
from batchyard.store.rows import micros, moment
from batchyard.store.sqlite_outbox import told

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

_PUT = """
insert into deliveries (hook, id, kind, workspace, body, state, tries, created_at, due_at, reason)
select *, 'waiting', 0, $6::bigint, $6::bigint, ''
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[])
on conflict do nothing returning 1
"""
_MARK = (
    "insert into hook_marks values (1, $1)"
    " on conflict (one) do update set seen_until = greatest(hook_marks.seen_until, excluded.seen_until)"
)
_TAKE = """
with due as (
    select hook, id from deliveries where state = 'waiting' and due_at <= $2
    order by due_at, created_at limit $3 for update skip locked
)
update deliveries set due_at = $1, tries = tries + 1 from due
where deliveries.hook = due.hook and deliveries.id = due.id
returning deliveries.hook, deliveries.id, kind, workspace, body, tries
"""
_TRIED = """
update deliveries set state = $1, due_at = $2, tried_at = $3, status = $4, reason = $5
where hook = $6 and id = $7 and state = 'waiting'
"""
_LOG = """
select id, hook, kind, state, tries, created_at, tried_at, due_at, status, reason
from deliveries where hook = $1 order by created_at desc, id desc limit $2
"""
_WAITING = "select hook, count(*) as count from deliveries where state = 'waiting' group by hook"


class PostgresOutbox:
    """Implements ``Outbox`` for any number of processes, over the store's connections."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def mark(self) -> datetime | None:
        at = await self._connections.read(lambda db: db.fetchval("select seen_until from hook_marks"))
        return None if at is None else moment(at)

    async def put(self, deliveries: Sequence[Delivery], now: datetime, mark: datetime | None = None) -> int:
        if not deliveries and mark is None:
            return 0
        notices = [one.notice for one in deliveries]
        columns = (
            [one.hook for one in deliveries],
            [notice.id for notice in notices],
            [notice.kind.value for notice in notices],
            [notice.workspace for notice in notices],
            [notice.body for notice in notices],
        )

        async def put(db: "PoolConnectionProxy") -> int:
            new = len(await db.fetch(_PUT, *columns, micros(now))) if deliveries else 0
            if mark is not None:
                await db.execute(_MARK, micros(mark))
            return new

        return await self._connections.write(put)

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[Delivery]:
        rows = await self._connections.write(lambda db: db.fetch(_TAKE, micros(until), micros(now), limit))
        return [
            Delivery(row["hook"], Notice(row["id"], Kind(row["kind"]), row["workspace"], row["body"]), row["tries"])
            for row in rows
        ]

    async def tried(self, delivery: Delivery, reply: Reply, verdict: Verdict, now: datetime) -> None:
        values = (verdict.state.value, micros(verdict.again_at or now), micros(now), reply.status, reply.reason)
        which = (delivery.hook, delivery.notice.id)
        await self._connections.write(lambda db: db.execute(_TRIED, *values, *which))

    async def log(self, hook: str, limit: int) -> Sequence[Told]:
        rows = await self._connections.read(lambda db: db.fetch(_LOG, hook, limit))
        return [told(tuple(row)) for row in rows]

    async def waiting(self) -> Mapping[str, int]:
        rows = await self._connections.read(lambda db: db.fetch(_WAITING))
        return {row["hook"]: row["count"] for row in rows}

    async def forget(self, before: datetime) -> int:
        rows = await self._connections.write(
            lambda db: db.fetch(
                "delete from deliveries where created_at < $1 and state <> 'waiting' returning 1", micros(before)
            )
        )
        return len(rows)

    async def close(self) -> None:
        """The connections are the store's."""
