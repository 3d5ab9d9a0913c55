"""What ends batches in the SQLite store, and keeps it small."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import apsw
import msgspec

from batchyard.domain.batch import Batch, Counts, Sealed
from batchyard.store import sqlite_streams
from batchyard.store.rows import KINDS, SEQ_BITS, SEQ_MASK, micros, open_kind
from batchyard.store.sqlite_rows import StoredBatch, batches, encode

_decode_numbers = msgspec.json.Decoder(list[int]).decode
_decode_pairs = msgspec.json.Decoder(list[tuple[int, int]]).decode
_decode_names = msgspec.json.Decoder(list[str]).decode


def reclaim(connection: apsw.Connection, owner: str, now: datetime) -> int:
    """Return a dead owner's leases to pending.

    Looks through the rows of every live batch with leases: an index on the owner would cost two entries for each
    attempt, to save some 10 ms per 100,000 requests when a process has died.
    """
    num = connection.execute("delete from owners where id = ? and beat > 0 returning num", (owner,)).get
    if num is None:
        return 0
    taken = 0
    for stored in batches(connection, "ended_at is null and leased > 0"):
        connection.execute(
            "update requests set state = 0, owner = null, paid = paid + 1, deaths = deaths + 1, ready_at = ?"
            " where id between ? and ? and state = 1 and owner = ?",
            (micros(now), stored.first, stored.last, num),
        )
        if leases := connection.changes():
            connection.execute("update batches set leased = leased - ? where num = ?", (leases, stored.num))
            taken += leases
    return taken


def expire(connection: apsw.Connection, now: datetime) -> Sequence[str]:
    """Close every batch past its deadline; only the batch's own row changes."""
    closed = batches(connection, "ended_at is null and closing is null and expires_at <= ?", (micros(now),))
    if closed:
        connection.execute(
            "update batches set closing = 'expired' where num in (select value from json_each(?))",
            (encode(stored.num for stored in closed),),
        )
    return [stored.id for stored in closed]


def ripe(connection: apsw.Connection) -> Sequence[Batch]:
    """Return what can be sealed; index batches_live."""
    rows = batches(connection, "ended_at is null and (open = 0 or (closing is not null and leased = 0))")
    return [stored.batch() for stored in rows]


def ended(connection: apsw.Connection, since: datetime) -> Sequence[Batch]:
    """Return what ended then or later; a look at each batch that is kept, some thousands of short rows."""
    rows = batches(connection, "ended_at >= ?", (micros(since),), tail="order by ended_at, num limit 1000")
    return [stored.batch() for stored in rows]


def due(connection: apsw.Connection, before: datetime) -> Sequence[Batch]:
    """Return what runs and has its deadline before then; index batches_live."""
    rows = batches(connection, "ended_at is null and closing is null and expires_at < ?", (micros(before),))
    return [stored.batch() for stored in rows]


def seal(connection: apsw.Connection, batch_id: str, sealed: Sealed, counts: Counts, now: datetime) -> Batch | None:
    """Recount, then end the batch and leave its rows to the sweep."""
    rows = batches(connection, "id = ? and ended_at is null", (batch_id,))
    if not rows:
        return None
    [stored] = rows
    recount = _recount(connection, stored) if stored.ripe else stored.counts
    assert counts == recount, f"sealing {batch_id} as {counts}, but its rows show {recount}"
    ended = stored.batch().end(counts, sealed, now)
    connection.execute(
        "update batches set succeeded = ?, errored = ?, canceled = ?, expired = ?, open = 0, ended_at = ?,"
        " results = ?, positions = ?, ledger = ?, size = ?, sha256 = ? where num = ?",
        (
            *(counts.succeeded, counts.errored, counts.canceled, counts.expired, micros(now)),
            *(sealed.results, sealed.index, sealed.ledger, sealed.size, sealed.sha256, stored.num),
        ),
    )
    connection.execute("insert into sweeps (batch) values (?)", (stored.num,))
    return ended


def _recount(connection: apsw.Connection, stored: StoredBatch) -> Counts:
    """Count the requests by their rows, the open ones as what ``closing`` makes of them."""
    by_state = connection.execute(
        "select json_group_array(json_array(state, n)) from"
        " (select state, count(*) as n from requests where id between ? and ? group by state)",
        (stored.first, stored.last),
    ).get
    counts = Counts()
    for state, number in _decode_pairs(by_state):
        kind = KINDS.get(state) or open_kind(stored.closing)
        assert state in KINDS or stored.closing is not None, f"{stored.id} has {number} open requests"
        counts = replace(counts, **{kind: getattr(counts, kind) + number})
    return counts


def sweep(connection: apsw.Connection, limit: int) -> int:
    """Delete up to ``limit`` requests of ended batches with all that hangs on them."""
    swept = 0
    while swept < limit:
        num = connection.execute("select batch from sweeps order by batch limit 1").get
        if num is None:
            break
        swept += _sweep_batch(connection, num, limit - swept)
    return swept


def _sweep_batch(connection: apsw.Connection, num: int, limit: int) -> int:
    first = num << SEQ_BITS
    [(count, last)] = connection.execute(
        "select count(*), max(id) from (select id from requests where id between ? and ? order by id limit ?)",
        (first, first | SEQ_MASK, limit),
    )
    assert isinstance(count, int)
    if count:
        connection.execute("delete from results where request between ? and ?", (first, last))
        connection.execute("delete from attempts where request between ? and ?", (first, last))
        connection.execute("delete from requests where id between ? and ?", (first, last))
    if count < limit:
        sqlite_streams.delete(connection, num)
        connection.execute("delete from carriers where batch = ? and state in ('collected', 'lost')", (num,))
        connection.execute("delete from sweeps where batch = ?", (num,))
    return count


def archive(connection: apsw.Connection, created_before: datetime, now: datetime) -> Sequence[Batch]:
    """Take the results from old batches; index batches_with_results."""
    taken = batches(
        connection, "results is not null and created_at < ?", (micros(created_before),), tail="order by created_at"
    )
    if taken:
        connection.execute(
            "update batches set archived_at = ?, results = null, positions = null, ledger = null, size = null,"
            " sha256 = null where num in (select value from json_each(?))",
            (micros(now), encode(stored.num for stored in taken)),
        )
    return [stored.batch() for stored in taken]


def blobs(connection: apsw.Connection) -> set[str]:
    """Return the names of all blobs in use; indexes batches_live and batches_with_results."""
    names = connection.execute(
        "select json_group_array(name) from ("
        " select body as name from batches where ended_at is null"
        " union all select body from batches where results is not null"
        " union all select results from batches where results is not null"
        " union all select positions from batches where results is not null"
        " union all select ledger from batches where results is not null)"
    ).get
    return set(_decode_names(names))
