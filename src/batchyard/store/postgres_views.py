"""What people look at in the PostgreSQL store, and the sums behind it, which a turn brings up to date."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from batchyard.domain.batch import Batch
from batchyard.domain.labels import Wanted
from batchyard.domain.standing import Standing
from batchyard.domain.usage import Minute, Usage, Used
from batchyard.ports import Arrived, Final, Page
from batchyard.store import postgres_labels, postgres_running, postgres_standing
from batchyard.store.postgres_connections import Connections
from batchyard.store.postgres_rows import plain
from batchyard.store.postgres_settle import Held
from batchyard.store.postgres_tally import columns
from batchyard.store.view_sums import EPOCH, MINUTES_KEPT, sums

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

PARTS = 16
_ADD_USAGE = """
on conflict (day, workspace, model, batch) do update set requests = usage.requests + excluded.requests,
    input = usage.input + excluded.input, output = usage.output + excluded.output,
    cache_read = usage.cache_read + excluded.cache_read, cache_write = usage.cache_write + excluded.cache_write,
    cache_write_1h = usage.cache_write_1h + excluded.cache_write_1h
"""
_USED = f"""
insert into usage select * from unnest($1::int[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],
    $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[]) {_ADD_USAGE}
"""  # noqa: S608
_FOLD = f"""
insert into usage select day, workspace, model, 0, requests, input, output, cache_read, cache_write, cache_write_1h
from usage where batch = $1 and batch > 0 order by day, workspace, model {_ADD_USAGE}
"""  # noqa: S608
_MINUTES = """
insert into minutes select m, w, $7, f, e, i, o
from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) v (m, w, f, e, i, o)
on conflict (minute, workspace, part) do update set finished = minutes.finished + excluded.finished,
    failed = minutes.failed + excluded.failed, input = minutes.input + excluded.input,
    output = minutes.output + excluded.output
"""


class PostgresViews:
    """The ``Views`` of a PostgreSQL store."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def search(
        self, workspace: str, wanted: Wanted, *, after: str | None, before: str | None, limit: int
    ) -> Page:
        return await self._connections.read(
            lambda db: postgres_labels.search(db, workspace, wanted, after=after, before=before, limit=limit)
        )

    async def label(self, workspace: str, batch_id: str, name: str | None, changes: Mapping[str, str | None]) -> Batch:
        return await self._connections.write(lambda db: postgres_labels.label(db, workspace, batch_id, name, changes))

    async def arrivals(self, workspace: str, batch_id: str, *, after: int, limit: int) -> Sequence[Arrived]:
        return await self._connections.snapshot(
            lambda db: postgres_running.arrivals(db, workspace, batch_id, after=after, limit=limit)
        )

    async def rows(self, workspace: str, batch_id: str, *, first: int, limit: int) -> Sequence[Final]:
        return await self._connections.snapshot(
            lambda db: postgres_running.rows(db, workspace, batch_id, first=first, limit=limit)
        )

    async def errors(self, workspace: str, batch_id: str, *, limit: int) -> Sequence[Arrived]:
        return await self._connections.snapshot(
            lambda db: postgres_running.errors(db, workspace, batch_id, limit=limit)
        )

    async def place(self, workspace: str, batch_id: str, custom_id: str) -> int | None:
        return await self._connections.snapshot(lambda db: postgres_running.place(db, workspace, batch_id, custom_id))

    async def usage(self, workspace: str | None, first: date, last: date, *, by_batch: bool) -> Sequence[Used]:
        name = "coalesce((select b.id from batches b where b.num = u.batch), '')" if by_batch else "''"
        group = "day, workspace, model" + (", batch" if by_batch else "")
        where = "u.day between $1 and $2 and ($3::text is null or u.workspace = $3)"
        values = ((first - EPOCH).days, (last - EPOCH).days, workspace)
        return await self._connections.read(lambda db: _used(db, where, values, name=name, group=group))

    async def batch_usage(self, workspace: str, batches: Sequence[str]) -> Sequence[Used]:
        name, group = "(select b.id from batches b where b.num = u.batch)", "day, workspace, model, batch"
        where = "u.batch in (select num from batches where id = any($1::text[])) and u.workspace = $2"
        values = (list(batches), workspace)
        return await self._connections.read(lambda db: _used(db, where, values, name=name, group=group))

    async def traceparents(self, batches: Collection[str]) -> Mapping[str, str]:
        sql = "select id, traceparent from batches where id = any($1::text[]) and traceparent <> ''"
        rows = await self._connections.read(lambda db: db.fetch(sql, list(batches)))
        return {row["id"]: row["traceparent"] for row in rows}

    async def standing(self) -> Sequence[Standing]:
        return await self._connections.snapshot(postgres_standing.standing)

    async def minutes(self, workspace: str | None, first: int) -> Sequence[Minute]:
        async def read(db: "PoolConnectionProxy") -> Sequence[Minute]:
            rows = await db.fetch(
                "select minute, sum(finished)::bigint, sum(failed)::bigint, sum(input)::bigint, sum(output)::bigint"
                " from minutes where minute >= $1 and ($2::text is null or workspace = $2)"
                " group by minute order by minute",
                first,
                workspace,
            )
            return [Minute(*row) for row in rows]

        return await self._connections.read(read)


async def count(db: "PoolConnectionProxy", owner: int | None, held: Iterable[Held]) -> None:
    """Add a turn's settlements to the sums, in one order, after all else that turns share."""
    usage, minutes = sums((settlement, tally.stored) for _, settlement, tally in held)
    if usage:
        rows = [(day, workspace, plain(model), *rest) for day, workspace, model, *rest in usage]
        await db.execute(_USED, *columns(rows, 10))
    if minutes:
        await db.execute(_MINUTES, *columns(minutes, 6), (owner or 0) % PARTS)


async def forget_old_minutes(db: "PoolConnectionProxy") -> None:
    """Delete the minutes that nobody looks at any more: a week behind the last one."""
    await db.execute("delete from minutes where minute < (select max(minute) from minutes) - $1::bigint", MINUTES_KEPT)


async def forget_batch(db: "PoolConnectionProxy", num: int) -> None:
    """Keep what a deleted batch used under no batch; index usage_of_batch."""
    await db.execute(_FOLD, num)
    await db.execute("delete from usage where batch = $1 and batch > 0", num)


async def _used(
    db: "PoolConnectionProxy", where: str, values: Sequence[Any], *, name: str, group: str
) -> Sequence[Used]:
    sql = f"""
        select * from (
            select day, workspace, model, {name} as id, sum(requests)::bigint, sum(input)::bigint,
                sum(output)::bigint, sum(cache_read)::bigint, sum(cache_write)::bigint, sum(cache_write_1h)::bigint
            from usage u where {where} group by {group}
        ) sums order by day, workspace, model, id collate "C"
    """  # noqa: S608 texts of ours alone: what a caller names is bound
    rows = await db.fetch(sql, *values)
    return [
        Used(EPOCH + timedelta(days=day), workspace, model, batch, requests, Usage(*tokens))
        for day, workspace, model, batch, requests, *tokens in rows
    ]
