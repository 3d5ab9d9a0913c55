"""Committing settlements in the SQLite store: each names its lease, and takes effect only while that is held."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw
import msgspec

from batchyard.domain.outcome import Finish, Retry, Settlement
from batchyard.domain.result import pack
from batchyard.store.rows import STATES, micros, open_kind
from batchyard.store.sqlite_rows import PENDING, encode
from batchyard.store.sqlite_tally import Tally

_INSERT_SIZES = (1, 4, 16, 64, 256)
_RESULT_WIDTH = 7
_RESULT_ROW = "(" + ",".join("?" * _RESULT_WIDTH) + ")"
_INSERT_RESULTS = {  # a few fixed sizes, filled up with nulls: the statement cache knows them all
    size: "insert into results (request, arrival, packed, outcome, started_at, ended_at, reason)"  # noqa: S608
    f" select * from (values {','.join([_RESULT_ROW] * size)}) where column1 is not null"
    for size in _INSERT_SIZES
}
_decode_held = msgspec.json.Decoder(list[tuple[int, int]]).decode

Held = tuple[int, Settlement, Tally]
"""A settlement that takes effect: the id of its request, itself, its batch."""


def judge(
    connection: apsw.Connection, owner: int | None, settlements: Sequence[Settlement], tallies: Mapping[str, Tally]
) -> tuple[list[Held], list[Settlement]]:
    """Tell settlements whose lease is held from stale ones."""
    ids = array(
        "q",
        [
            tallies[settlement.lease.batch].stored.first + settlement.lease.seq
            for settlement in settlements
            if settlement.lease.batch in tallies
        ],
    )
    if not ids or owner is None:
        return [], list(settlements)
    attempts = dict(
        _decode_held(
            connection.execute(
                "select json_group_array(json_array(r.id, r.attempt)) from carray(?) c cross join requests r"
                " on r.id = c.value where r.state = 1 and r.owner = ?",
                (apsw.carray(ids), owner),
            ).get
        )
    )
    held: list[Held] = []
    stale: list[Settlement] = []
    for settlement in settlements:
        tally = tallies.get(settlement.lease.batch)
        id_ = -1 if tally is None else tally.stored.first + settlement.lease.seq
        if tally is not None and attempts.get(id_) == settlement.lease.attempt:
            del attempts[id_]  # settled once: a second settlement of the same lease is stale
            held.append((id_, settlement, tally))
        else:
            stale.append(settlement)
    return held, stale


@dataclass(slots=True)
class _Settled:
    """The rows that a turn's settlements become."""

    finished: dict[int, "array[int]"] = field(default_factory=dict)  # state -> requests
    retried: list[tuple[int, ...]] = field(default_factory=list)
    results: list[tuple[Any, ...]] = field(default_factory=list)
    attempts: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, id_: int, settlement: Settlement, tally: Tally) -> None:
        """Decide what becomes of one request, and count it."""
        tally.settled = True
        tally.leased -= 1
        trace = settlement.trace
        traced = (trace.outcome, micros(trace.started_at), micros(trace.ended_at), trace.reason)
        match settlement:
            case Finish(result=result):
                kind, packed = pack(result)
                tally.finish(kind)
                self.finished.setdefault(STATES[kind], array("q")).append(id_)
                self.results.append((id_, tally.arrived, packed, *traced))
            case Retry(ready_at=ready_at, paid=paid, failures=failures, unknowns=unknowns):
                state = PENDING
                if tally.stored.closing is None:
                    self.attempts.append((id_, settlement.lease.attempt, *traced))
                else:
                    kind = open_kind(tally.stored.closing)
                    state = STATES[kind]
                    tally.finish(kind)
                    self.results.append((id_, tally.arrived, b"", *traced))
                self.retried.append((id_, state, micros(ready_at), paid, failures, unknowns))


def settle(connection: apsw.Connection, held: Sequence[Held]) -> None:
    """Let the settlements take effect."""
    settled = _Settled()
    for id_, settlement, tally in held:
        settled.add(id_, settlement, tally)
    for state, ids in settled.finished.items():
        connection.execute(
            "update requests set state = ?, owner = null where id in (select value from carray(?))",
            (state, apsw.carray(ids)),
        )
    if settled.retried:
        connection.execute(
            "update requests set owner = null, state = v.value ->> 1, ready_at = v.value ->> 2, paid = v.value ->> 3,"
            " failures = v.value ->> 4, unknowns = v.value ->> 5 from json_each(?) v where requests.id = v.value ->> 0",
            (encode(settled.retried),),
        )
    if settled.attempts:
        connection.execute(
            "insert into attempts (request, attempt, outcome, started_at, ended_at, reason) select value ->> 0,"
            " value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 from json_each(?)",
            (encode(settled.attempts),),
        )
    for sql, values in _result_inserts(settled.results):
        connection.execute(sql, values)


def _result_inserts(results: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, list[Any]]]:
    largest = _INSERT_SIZES[-1]
    for start in range(0, len(results), largest):
        part = results[start : start + largest]
        size = next(size for size in _INSERT_SIZES if size >= len(part))
        values = [value for row in part for value in row]
        values += [None] * (size * _RESULT_WIDTH - len(values))
        yield _INSERT_RESULTS[size], values
