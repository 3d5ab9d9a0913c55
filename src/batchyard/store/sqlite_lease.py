"""Leasing in the SQLite store: due retries, then fresh requests, of batches that are open for it."""

from array import array
from collections.abc import Mapping, Sequence
from datetime import datetime

import apsw
import msgspec

from batchyard.domain.request import Lease, ParamsAt
from batchyard.ports import Pick
from batchyard.store.sqlite_rows import SEQ_BITS, SEQ_MASK, StoredBatch, micros
from batchyard.store.sqlite_tally import Tally

DUE_AT_ONCE = 1000
"""Due retries that a pick looks at. Their order is exact among so many; a flood of them costs no more than that."""

_Row = tuple[int, int, int, int, int, int, int, int, int, int]
_decode_numbers = msgspec.json.Decoder(list[int]).decode
_decode_rows = msgspec.json.Decoder(list[_Row]).decode


def choose(
    connection: apsw.Connection, picks: Sequence[Pick], tallies: Mapping[str, Tally], now: datetime
) -> "array[int]":
    """Return the requests to lease: due retries first, then fresh ones, each in their order."""
    chosen = array("q")
    due: dict[str, list[int]] = {}
    for pick in picks:
        tally = tallies.get(pick.batch)
        if tally is None or not tally.stored.leasable(micros(now)):
            continue
        if pick.batch not in due:
            limit = sum(other.limit for other in picks if other.batch == pick.batch)
            due[pick.batch] = _due(connection, tally, micros(now), limit) if tally.waiting else []
        retries, due[pick.batch] = due[pick.batch][: pick.limit], due[pick.batch][pick.limit :]
        fresh = min(pick.limit - len(retries), tally.stored.total - tally.fresh)
        first = tally.stored.first + tally.fresh
        chosen.extend(retries)
        chosen.extend(range(first, first + fresh))
        tally.fresh += fresh
        tally.leased += len(retries) + fresh
    return chosen


def _due(connection: apsw.Connection, tally: Tally, moment: int, limit: int) -> list[int]:
    """Return due retries in the order of the requests; a range of the index requests_waiting, oldest due first."""
    return _decode_numbers(
        connection.execute(
            "select json_group_array(id) from (select id from (select id from requests indexed by requests_waiting"
            " where id >> 24 = ? and state = 0 and ready_at > 0 and ready_at <= ? order by ready_at limit ?)"
            " order by id limit ?)",
            (tally.stored.num, moment, max(DUE_AT_ONCE, limit), limit),
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


def _a_lease(stored: StoredBatch, row: _Row) -> Lease:
    id_, attempt, offset, length, crc, model, paid, failures, unknowns, deaths = row
    at = ParamsAt(stored.body, offset, length, crc)
    return Lease(stored.id, id_ & SEQ_MASK, attempt + 1, at, stored.models[model], paid, failures, unknowns, deaths)
