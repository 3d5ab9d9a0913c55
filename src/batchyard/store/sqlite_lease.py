"""Leasing in the SQLite store: due retries, then fresh requests, of batches that are open for it."""

from array import array
from collections.abc import Mapping, Sequence
from datetime import datetime

import apsw
import msgspec

from batchyard.domain.request import Lease, ParamsAt
from batchyard.ports import Pick, Short
from batchyard.store import sqlite_streams
from batchyard.store.rows import SEQ_BITS, SEQ_MASK, micros, moment
from batchyard.store.sqlite_rows import StoredBatch
from batchyard.store.sqlite_tally import Tally

DUE_AT_ONCE = 1000
"""Due retries that a pick looks at. Their order is exact among so many; a flood of them costs no more than that."""

_Row = tuple[int, int, int, int, int, int, int, int, int, int]
_decode_numbers = msgspec.json.Decoder(list[int]).decode
_decode_rows = msgspec.json.Decoder(list[_Row]).decode


class Chosen:
    """What the picks of one turn come to: the requests to lease, and the picks that got less than they asked for."""

    def __init__(self, connection: apsw.Connection, tallies: Mapping[str, Tally], now: datetime) -> None:
        self.requests = array("q")
        self.short: list[Short] = []
        self._connection, self._tallies, self._now = connection, tallies, micros(now)
        self._due: dict[tuple[str, str], list[int]] = {}

    def take(self, picks: Sequence[Pick]) -> None:
        """Choose for all picks: due retries first, then fresh requests in the order in which they run."""
        for pick in picks:
            tally = self._tallies.get(pick.batch)
            if tally is None or not tally.stored.leasable(self._now):
                continue
            model = tally.stored.model_index(pick.model)
            limit = sum(other.limit for other in picks if (other.batch, other.model) == (pick.batch, pick.model))
            got = 0 if model is None else self._take(pick, tally, model, limit)
            if got < pick.limit:
                self.short.append(Short(pick.batch, pick.model, self._next(tally, model)))

    def _take(self, pick: Pick, tally: Tally, model: int, limit: int) -> int:
        key = (pick.batch, pick.model)
        if key not in self._due:
            self._due[key] = _due(self._connection, tally, model, self._now, limit) if tally.waiting else []
        retries, self._due[key] = self._due[key][: pick.limit], self._due[key][pick.limit :]
        fresh = self._fresh(tally, model, pick.limit - len(retries))
        self.requests.extend(retries)
        self.requests.extend(fresh)
        got = len(retries) + len(fresh)
        tally.fresh += len(fresh)
        tally.leased += got
        return got

    def _fresh(self, tally: Tally, model: int, limit: int) -> Sequence[int]:
        stored = tally.stored
        if stored.only_model == model:
            return range(stored.first + tally.fresh, stored.first + min(stored.total, tally.fresh + limit))
        if model not in tally.streams:
            return ()
        seqs = sqlite_streams.take(self._connection, stored.num, model, tally.streams[model], limit)
        return [stored.first + seq for seq in seqs]

    def _next(self, tally: Tally, model: int | None) -> datetime | None:
        """Return when the next retry is due: all fresh requests are leased, or the pick would have got them."""
        ready_at = None
        if model is not None and tally.waiting:
            ready_at = self._connection.execute(
                "select min(ready_at) from requests indexed by requests_waiting"
                " where id >> 24 = ? and model = ? and state = 0 and ready_at > 0 and ready_at > ?",
                (tally.stored.num, model, self._now),
            ).get
        return None if ready_at is None else moment(ready_at)


def _due(connection: apsw.Connection, tally: Tally, model: int, moment: int, limit: int) -> list[int]:
    """Return due retries in the order of the requests; a range of the index requests_waiting, oldest due first."""
    return _decode_numbers(
        connection.execute(
            "select json_group_array(id) from (select id from (select id from requests indexed by requests_waiting"
            " where id >> 24 = ? and model = ? and state = 0 and ready_at > 0 and ready_at <= ? order by ready_at"
            " limit ?) order by id limit ?)",
            (tally.stored.num, model, moment, max(DUE_AT_ONCE, limit), limit),
        ).get
    )


def lease(
    connection: apsw.Connection, owner: int | None, chosen: "array[int]", tallies: Mapping[str, Tally]
) -> Sequence[Lease]:
    """Lease the chosen requests, which are pending."""
    if not chosen:
        return []
    rows = _decode_rows(
        connection.execute(
            'select json_group_array(json_array(r.id, r.attempt, r."offset", r.length, r.crc, r.model, r.paid,'
            " r.failures, r.unknowns, r.deaths)) from carray(?) c cross join requests r on r.id = c.value",
            (apsw.carray(chosen),),
        ).get
    )
    connection.execute(
        "update requests set state = 1, owner = ?, attempt = attempt + 1 where state = 0"
        " and id in (select value from carray(?))",
        (owner, apsw.carray(chosen)),
    )
    assert connection.changes() == len(chosen), f"{connection.changes()} of {len(chosen)} chosen requests were pending"
    by_id = {row[0]: row for row in rows}
    by_num = {tally.stored.num: tally.stored for tally in tallies.values()}
    return [_a_lease(by_num[id_ >> SEQ_BITS], by_id[id_]) for id_ in chosen]


def held_of(connection: apsw.Connection, stored: StoredBatch, owner: int) -> Sequence[Lease]:
    """Return what of the batch is leased to the owner, in the order of the requests."""
    rows = connection.execute(
        'select json_group_array(json_array(id, attempt - 1, "offset", length, crc, model, paid, failures, unknowns,'
        " deaths)) from (select * from requests where id between ? and ? and state = 1 and owner = ? order by id)",
        (stored.first, stored.last, owner),
    ).get
    return [_a_lease(stored, row) for row in _decode_rows(rows)]


def _a_lease(stored: StoredBatch, row: _Row) -> Lease:
    """Return the lease that follows on a row's attempt."""
    id_, attempt, offset, length, crc, model, paid, failures, unknowns, deaths = row
    at = ParamsAt(stored.body, offset, length, crc)
    return Lease(stored.id, id_ & SEQ_MASK, attempt + 1, at, stored.models[model], paid, failures, unknowns, deaths)
