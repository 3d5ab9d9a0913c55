"""Carriers in the SQLite store: rows of ``carriers``, and the leases of their members under owners of their own.

A carrier's row in ``owners`` has the heartbeat 0, which is none: it neither lives nor dies. ``carriers.owner`` is the
dispatcher that tends it; numbers of owners are never used twice, so that of a forgotten one names nobody.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import apsw
import msgspec

from batchyard.domain.request import Lease, ParamsAt
from batchyard.ports import Carrier, CarrierState, NewCarrier, Pick
from batchyard.store.rows import SEQ_BITS, SEQ_MASK, micros, moment
from batchyard.store.sqlite_rows import batches, encode
from batchyard.store.sqlite_work import turn

_OPEN = "c.state in ('made', 'sent')"
_HELD = f"{_OPEN} and c.nonce = ? and c.owner = (select num from owners where id = ?)"  # noqa: S608


class _Row(msgspec.Struct, array_like=True):
    """A row of ``carriers`` with what is shown of its batch."""

    nonce: str
    lane: str
    state: str
    upstream_id: str | None
    members: int
    created_at: int
    ends_by: int
    expires_at: int | None
    batch: str | None
    version: str | None
    betas: tuple[str, ...] | None
    closing: bool


_decode_carriers = msgspec.json.Decoder(list[_Row]).decode
_decode_members = msgspec.json.Decoder(list[tuple[int, int, int, int, int, int, int, int, int, int]]).decode


def make(
    connection: apsw.Connection, tender: str, new: NewCarrier, pick: Pick
) -> tuple[Carrier, Sequence[Lease]] | None:
    """Lease the members to the carrier, and note who tends it."""
    leases = _lease(connection, new, pick)
    if not leases:
        return None
    connection.execute("update owners set beat = 0 where id = ?", (new.id,))
    num = connection.execute(
        "insert into carriers (batch, lane, nonce, owner, state, created_at, ends_by)"
        " select num, ?, ?, ?, 'made', ?, ? from batches where id = ? returning num",
        (
            *(new.lane, new.id, _known(connection, tender, new.created_at)),
            *(micros(new.created_at), micros(new.ends_by), pick.batch),
        ),
    ).get
    connection.execute(
        "insert into carrier_members (carrier, request)"
        " select ?, b.num << ? | s.value from batches b, json_each(?) s where b.id = ?",
        (num, SEQ_BITS, encode(lease.seq for lease in leases), pick.batch),
    )
    [carrier] = _carriers(connection, "c.num = ?", (num,))
    return carrier, leases


def _lease(connection: apsw.Connection, new: NewCarrier, pick: Pick) -> Sequence[Lease]:
    """Lease what fits. How much that is shows once it is leased: where it is too much, that is undone."""
    connection.execute("savepoint picked")
    leases = turn(connection, new.id, [], [pick], new.created_at).leases
    fitting = new.fitting(lease.params.length for lease in leases)
    if fitting < len(leases):
        connection.execute("rollback to picked")
        leases = turn(connection, new.id, [], [replace(pick, limit=fitting)], new.created_at).leases
    connection.execute("release picked")
    return sorted(leases, key=lambda lease: lease.seq)


def sent(connection: apsw.Connection, tender: str, carrier: str, upstream_id: str) -> bool:
    """Note the id that the upstream gave."""
    connection.execute(
        f"update carriers as c set state = 'sent', upstream_id = ? where {_HELD}"  # noqa: S608
        " and (upstream_id is null or upstream_id = ?)",
        (upstream_id, carrier, tender, upstream_id),
    )
    return connection.changes() == 1


def tended(connection: apsw.Connection, tender: str) -> Sequence[Carrier]:
    """Return the owner's carriers that are not finished."""
    tends = f"{_OPEN} and c.owner = (select num from owners where id = ?)"  # noqa: S608
    return _carriers(connection, tends, (tender,))


def adopt(connection: apsw.Connection, tender: str, now: datetime, lease_micros: int) -> Sequence[Carrier]:
    """Take the carriers of owners that are forgotten or whose heartbeat is too old."""
    owner = _known(connection, tender, now)
    taken = connection.execute(
        "select json_group_array(num) from (select c.num from carriers c left join owners o on o.num = c.owner"  # noqa: S608
        f" where {_OPEN} and c.owner is not ? and (o.num is null or ? - o.beat > ?) order by c.num)",
        (owner, micros(now), lease_micros),
    ).get
    connection.execute("update carriers set owner = ? where num in (select value from json_each(?))", (owner, taken))
    return _carriers(connection, "c.num in (select value from json_each(?))", (taken,))


def members(connection: apsw.Connection, carrier: str) -> Sequence[Lease]:
    """Return the leases that are left; one look for each member by its key."""
    connection.execute("begin")
    stored = batches(
        connection, "num = (select batch from carriers where nonce = ? and state in ('made', 'sent'))", (carrier,)
    )
    if not stored:
        return []
    [batch] = stored
    rows = connection.execute(
        'select json_group_array(json_array(r.id, r.attempt, r."offset", r.length, r.crc, r.model, r.paid, r.failures,'
        " r.unknowns, r.deaths)) from (select r.* from carriers c join carrier_members m on m.carrier = c.num"
        " cross join requests r on r.id = m.request where c.nonce = ? and r.state = 1"
        " and r.owner = (select num from owners where id = c.nonce) order by r.id) r",
        (carrier,),
    ).get
    return [
        Lease(
            batch=batch.id,
            seq=id_ & SEQ_MASK,
            attempt=attempt,
            params=ParamsAt(batch.body, offset, length, crc),
            model=batch.models[model],
            paid=paid,
            failures=failures,
            unknowns=unknowns,
            deaths=deaths,
        )
        for id_, attempt, offset, length, crc, model, paid, failures, unknowns, deaths in _decode_members(rows)
    ]


def finish(connection: apsw.Connection, tender: str, carrier: str, *, lost: bool, now: datetime) -> bool:
    """Return what the carrier still holds to pending, and forget who its members were."""
    held = connection.execute(
        f"select json_array(c.num, c.batch) from carriers c where {_HELD}",  # noqa: S608
        (carrier, tender),
    ).get
    if held is None:
        return False
    num, batch = msgspec.json.decode(held, type=tuple[int, int])
    connection.execute(
        "update requests set state = 0, owner = null, paid = paid + ?, ready_at = ? where state = 1"
        " and id in (select request from carrier_members where carrier = ?)"
        " and owner = (select num from owners where id = ?)",
        (int(not lost), micros(now), num, carrier),
    )
    connection.execute("update batches set leased = leased - ? where num = ?", (connection.changes(), batch))
    connection.execute("update carriers set state = ? where num = ?", ("lost" if lost else "collected", num))
    connection.execute("delete from carrier_members where carrier = ?", (num,))
    connection.execute("delete from owners where id = ?", (carrier,))
    return True


def _known(connection: apsw.Connection, owner: str, now: datetime) -> int:
    """Return the owner's number; one that is not known begins to live."""
    connection.execute("insert into owners (id, beat) values (?, ?) on conflict (id) do nothing", (owner, micros(now)))
    return int(connection.execute("select num from owners where id = ?", (owner,)).get)


def _carriers(connection: apsw.Connection, where: str, bindings: Sequence[Any]) -> Sequence[Carrier]:
    """Return the carriers that fit. ``where`` is SQL of ours, never a caller's. A batch may be gone before them."""
    rows = connection.execute(
        "select json_group_array(json_array(nonce, lane, state, upstream_id, members, created_at, ends_by,"  # noqa: S608
        " expires_at, id, version, json(betas), json(iif(closing, 'true', 'false'))))"
        " from (select c.nonce, c.lane, c.state, c.upstream_id,"
        " (select count(*) from carrier_members where carrier = c.num) as members, c.created_at, c.ends_by,"
        " b.expires_at, b.id, b.version, b.betas,"
        " b.closing is not null or b.ended_at is not null or b.num is null as closing"
        f" from carriers c left join batches b on b.num = c.batch where {where} order by c.num)",
        bindings,
    ).get
    return [
        Carrier(
            id=row.nonce,
            lane=row.lane,
            state=CarrierState(row.state),
            upstream_id=row.upstream_id,
            batch=row.batch or "",
            version=row.version or "",
            betas=row.betas or (),
            members=row.members,
            created_at=moment(row.created_at),
            ends_by=moment(row.ends_by),
            expires_at=moment(row.ends_by if row.expires_at is None else row.expires_at),
            closing=row.closing,
        )
        for row in _decode_carriers(rows)
    ]
