"""The requests of a ripe batch as its sealer reads them: in order, in slices, each a snapshot of its own.

Nothing of a ripe batch changes until its seal, so the slices fit together.
"""

from collections.abc import Sequence

import apsw
import msgspec

from batchyard.domain.outcome import Trace
from batchyard.domain.request import ParamsAt
from batchyard.domain.result import Result, unpack
from batchyard.ports import Final
from batchyard.store.rows import KINDS, SEQ_MASK, moment, open_kind
from batchyard.store.sqlite_rows import StoredBatch, batches

ROWS = 1000
"""Requests in a slice: small beside a batch of 100,000, large beside the cost of a slice."""
BYTES = 4 * 1024 * 1024
"""Results in a slice, unless a single one is larger."""


class _Row(msgspec.Struct, array_like=True, frozen=True):
    id: int
    custom_id: str
    state: int
    attempt: int
    paid: int
    deaths: int
    arrival: int | None
    size: int | None
    outcome: str | None
    started_at: int | None
    ended_at: int | None
    reason: str | None
    offset: int
    length: int
    crc: int


_decode_rows = msgspec.json.Decoder(list[_Row]).decode
_decode_attempts = msgspec.json.Decoder(list[tuple[int, str, int, int, str]]).decode


def running(connection: apsw.Connection, batch_id: str) -> StoredBatch | None:
    """Return the batch if its rows still matter."""
    rows = batches(connection, "id = ? and ended_at is null", (batch_id,))
    return rows[0] if rows else None


def part(connection: apsw.Connection, stored: StoredBatch, first: int) -> Sequence[Final]:
    """Return the next requests from the id ``first`` on; none at the end."""
    connection.execute("begin")
    return between(connection, stored, first, min(first + ROWS - 1, stored.last))


def between(connection: apsw.Connection, stored: StoredBatch, first: int, last: int) -> Sequence[Final]:
    """Return requests from one id to another, or fewer where their results are large. Within one snapshot."""
    rows = _few_enough(_rows(connection, first, last))
    if not rows:
        return []
    last = rows[-1].id
    packed = _results(connection, rows, first, last)
    traces = _traces(connection, first, last)
    return [
        Final(
            seq=row.id & SEQ_MASK,
            custom_id=row.custom_id,
            result=_result(stored, row, packed),
            arrival=row.arrival or 0,
            traces=(*traces.get(row.id, ()), *_last_trace(row)),
            attempts=row.attempt,
            paid=row.paid,
            deaths=row.deaths,
            params=ParamsAt(stored.body, row.offset, row.length, row.crc),
        )
        for row in rows
    ]


def _rows(connection: apsw.Connection, first: int, last: int) -> Sequence[_Row]:
    return _decode_rows(
        connection.execute(
            "select json_group_array(json_array(id, custom_id, state, attempt, paid, deaths, arrival, length(packed),"
            ' outcome, started_at, ended_at, reason, "offset", length, crc)) from'
            " (select * from requests left join results on request = id where id between ? and ? order by id)",
            (first, last),
        ).get
    )


def _few_enough(rows: Sequence[_Row]) -> Sequence[_Row]:
    total = 0
    for number, row in enumerate(rows):
        total += row.size or 0
        if total > BYTES:
            return rows[: max(1, number)]
    return rows


def _results(connection: apsw.Connection, rows: Sequence[_Row], first: int, last: int) -> dict[int, bytes]:
    """Return what the results are packed as, by request: read in one step, as one blob, and cut."""
    joined = connection.execute(
        "select cast(coalesce(group_concat(packed, ''), '') as blob) from"
        " (select packed from results where request between ? and ? order by request)",
        (first, last),
    ).get
    packed: dict[int, bytes] = {}
    at = 0
    for row in rows:
        if row.size is not None:
            packed[row.id] = joined[at : at + row.size]
            at += row.size
    assert at == len(joined), f"{len(joined)} bytes of results where {at} were announced"
    return packed


def _traces(connection: apsw.Connection, first: int, last: int) -> dict[int, list[Trace]]:
    """Return the traces of earlier attempts, by request."""
    traces: dict[int, list[Trace]] = {}
    rows = connection.execute(
        "select json_group_array(json_array(request, outcome, started_at, ended_at, reason)) from"
        " (select * from attempts where request between ? and ? order by request, attempt)",
        (first, last),
    ).get
    for id_, outcome, started_at, ended_at, reason in _decode_attempts(rows):
        traces.setdefault(id_, []).append(Trace(outcome, moment(started_at), moment(ended_at), reason))
    return traces


def _result(stored: StoredBatch, row: _Row, packed: dict[int, bytes]) -> Result:
    kind = KINDS.get(row.state)
    if kind is None:
        return unpack(open_kind(stored.closing), b"")
    assert row.id in packed, f"request {row.id & SEQ_MASK} of {stored.id} is final without a result"
    return unpack(kind, packed[row.id])


def _last_trace(row: _Row) -> Sequence[Trace]:
    if row.outcome is None:
        return ()
    assert row.started_at is not None
    assert row.ended_at is not None
    return (Trace(row.outcome, moment(row.started_at), moment(row.ended_at), row.reason or ""),)
