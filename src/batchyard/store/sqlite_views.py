"""What people look at in the SQLite store, and the sums behind it, which a turn brings up to date."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import apsw
import msgspec

from batchyard.domain.batch import Batch
from batchyard.domain.labels import Wanted
from batchyard.domain.standing import Standing
from batchyard.domain.usage import Minute, Usage, Used
from batchyard.ports import Arrived, Final, Page
from batchyard.store import sqlite_labels, sqlite_running, sqlite_standing
from batchyard.store.reader import Readers
from batchyard.store.sqlite_rows import encode
from batchyard.store.sqlite_settle import Held
from batchyard.store.view_sums import EPOCH, MINUTES_KEPT, sums
from batchyard.store.writer import Writer

_ADD_USAGE = (
    " on conflict (day, workspace, model, batch) do update set requests = requests + excluded.requests,"
    " input = input + excluded.input, output = output + excluded.output,"
    " cache_read = cache_read + excluded.cache_read, cache_write = cache_write + excluded.cache_write,"
    " cache_write_1h = cache_write_1h + excluded.cache_write_1h"
)
_COUNT_USAGE = (
    "insert into usage select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,"  # noqa: S608
    f" value ->> 6, value ->> 7, value ->> 8, value ->> 9 from json_each(?) where true{_ADD_USAGE}"
)
_COUNT_MINUTES = (
    "insert into minutes select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5"
    " from json_each(?) where true on conflict (minute, workspace) do update set"
    " finished = finished + excluded.finished, failed = failed + excluded.failed,"
    " input = input + excluded.input, output = output + excluded.output returning finished"
)
_decode_used = msgspec.json.Decoder(list[tuple[int, str, str, str, int, int, int, int, int, int]]).decode
_decode_texts = msgspec.json.Decoder(dict[str, str]).decode
_decode_minutes = msgspec.json.Decoder(list[tuple[int, int, int, int, int]]).decode


class SqliteViews:
    """The ``Views`` of a SQLite store."""

    def __init__(self, readers: Readers, writer: Writer) -> None:
        self._readers, self._writer = readers, writer

    async def search(
        self, workspace: str, wanted: Wanted, *, after: str | None, before: str | None, limit: int
    ) -> Page:
        return await self._readers.run(
            lambda c: sqlite_labels.search(c, workspace, wanted, after=after, before=before, limit=limit)
        )

    async def label(self, workspace: str, batch_id: str, name: str | None, changes: Mapping[str, str | None]) -> Batch:
        return await self._writer.run(
            lambda connection: sqlite_labels.label(connection, workspace, batch_id, name, changes)
        )

    async def arrivals(self, workspace: str, batch_id: str, *, after: int, limit: int) -> Sequence[Arrived]:
        return await self._readers.run(
            lambda c: sqlite_running.arrivals(c, workspace, batch_id, after=after, limit=limit)
        )

    async def rows(self, workspace: str, batch_id: str, *, first: int, limit: int) -> Sequence[Final]:
        return await self._readers.run(lambda c: sqlite_running.rows(c, workspace, batch_id, first=first, limit=limit))

    async def errors(self, workspace: str, batch_id: str, *, limit: int) -> Sequence[Arrived]:
        return await self._readers.run(lambda c: sqlite_running.errors(c, workspace, batch_id, limit=limit))

    async def place(self, workspace: str, batch_id: str, custom_id: str) -> int | None:
        return await self._readers.run(lambda c: sqlite_running.place(c, workspace, batch_id, custom_id))

    async def usage(self, workspace: str | None, first: date, last: date, *, by_batch: bool) -> Sequence[Used]:
        return await self._readers.run(lambda c: _usage(c, workspace, first, last, by_batch=by_batch))

    async def batch_usage(self, workspace: str, batches: Sequence[str]) -> Sequence[Used]:
        return await self._readers.run(lambda connection: _batch_usage(connection, workspace, batches))

    async def traceparents(self, batches: Collection[str]) -> Mapping[str, str]:
        return await self._readers.run(lambda connection: _traceparents(connection, batches))

    async def standing(self) -> Sequence[Standing]:
        return await self._readers.run(sqlite_standing.standing)

    async def minutes(self, workspace: str | None, first: int) -> Sequence[Minute]:
        return await self._readers.run(lambda connection: _minutes(connection, workspace, first))


def count(connection: apsw.Connection, held: Iterable[Held]) -> None:
    """Add a turn's settlements to the sums: a row for each batch and model, one for each workspace, not by request."""
    usage, minutes = sums((settlement, tally.stored) for _, settlement, tally in held)
    if usage:
        connection.execute(_COUNT_USAGE, (encode(usage),))
    if not minutes:
        return
    finished = connection.execute(_COUNT_MINUTES, (encode(minutes),)).fetchall()
    if any(now == (row[2],) for now, row in zip(finished, minutes, strict=True)):  # a minute has begun
        connection.execute("delete from minutes where minute < ?", (minutes[-1][0] - MINUTES_KEPT,))


def forget_batch(connection: apsw.Connection, num: int) -> None:
    """Keep what a deleted batch used under no batch; index usage_of_batch."""
    connection.execute(
        "insert into usage select day, workspace, model, 0, requests, input, output, cache_read, cache_write,"  # noqa: S608
        f" cache_write_1h from usage indexed by usage_of_batch where batch = ? and batch > 0{_ADD_USAGE}",
        (num,),
    )
    connection.execute("delete from usage where batch = ? and batch > 0", (num,))


def _usage(
    connection: apsw.Connection, workspace: str | None, first: date, last: date, *, by_batch: bool
) -> Sequence[Used]:
    where, bindings = "day between ? and ?", [_day(first), _day(last)]
    name = "coalesce((select id from batches where num = usage.batch), '')" if by_batch else "''"
    group = "day, workspace, model" + (", batch" if by_batch else "")
    return _used(connection, where, bindings, workspace, name=name, group=group)


def _batch_usage(connection: apsw.Connection, workspace: str, batches: Sequence[str]) -> Sequence[Used]:
    where = "batch in (select num from batches where id in (select value from json_each(?)))"
    name = "(select id from batches where num = usage.batch)"
    return _used(connection, where, [encode(batches)], workspace, name=name, group="day, workspace, model, batch")


def _used(
    connection: apsw.Connection, where: str, bindings: list[Any], workspace: str | None, *, name: str, group: str
) -> Sequence[Used]:
    if workspace is not None:
        where, bindings = where + " and workspace = ?", [*bindings, workspace]
    sql = (  # texts of ours alone: what a caller names is bound
        "select json_group_array(json_array(day, workspace, model, id, n, i, o, r, w, h)) from"  # noqa: S608
        f" (select day, workspace, model, {name} as id, sum(requests) as n, sum(input) as i, sum(output) as o,"
        " sum(cache_read) as r, sum(cache_write) as w, sum(cache_write_1h) as h"
        f" from usage where {where} group by {group} order by day, workspace, model, id)"
    )
    return [
        Used(EPOCH + timedelta(days=day), owner, model, batch, requests, Usage(*tokens))
        for day, owner, model, batch, requests, *tokens in _decode_used(connection.execute(sql, bindings).get)
    ]


def _minutes(connection: apsw.Connection, workspace: str | None, first: int) -> Sequence[Minute]:
    where, bindings = "minute >= ?", list[Any]((first,))
    if workspace is not None:
        where, bindings = where + " and workspace = ?", [*bindings, workspace]
    sql = (
        "select json_group_array(json_array(minute, a, b, c, d)) from (select minute, sum(finished) as a,"  # noqa: S608
        f" sum(failed) as b, sum(input) as c, sum(output) as d from minutes where {where}"
        " group by minute order by minute)"
    )
    return [Minute(*row) for row in _decode_minutes(connection.execute(sql, bindings).get)]


def _traceparents(connection: apsw.Connection, batches: Collection[str]) -> Mapping[str, str]:
    sql = (
        "select json_group_object(id, traceparent) from batches"
        " where id in (select value from json_each(?)) and traceparent <> ''"
    )
    return _decode_texts(connection.execute(sql, (encode(batches),)).get)


def _day(day: date) -> int:
    return (day - EPOCH).days
