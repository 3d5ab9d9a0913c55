"""Carriers in the PostgreSQL store: rows of ``carriers``, and the leases of their members under owners of their own.

A carrier's row in ``owners`` has the heartbeat 0, which is none: it neither lives nor dies. ``carriers.owner`` is the
dispatcher that tends it; numbers of owners are never used twice, so that of a forgotten one names nobody.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from batchyard.domain.request import Lease
from batchyard.ports import Carrier, CarrierState, NewCarrier, Pick
from batchyard.store.postgres_owners import CLOCK
from batchyard.store.postgres_rows import plain
from batchyard.store.postgres_upkeep import release
from batchyard.store.postgres_work import held, known, turn
from batchyard.store.rows import micros, moment

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

_OPEN = "c.state in ('made', 'sent')"
_HELD = f"{_OPEN} and c.nonce = $1 and c.owner = (select num from owners where id = $2 for key share)"  # noqa: S608
_decode_betas = msgspec.json.Decoder(tuple[str, ...]).decode


async def make(
    db: "PoolConnectionProxy", tender: str, new: NewCarrier, pick: Pick
) -> tuple[Carrier, Sequence[Lease]] | None:
    """Lease the members to the carrier, and note who tends it."""
    leases = await _lease(db, new, pick)
    if not leases:
        return None
    await db.execute("update owners set beat = 0 where id = $1", new.id)
    num = await db.fetchval(
        "insert into carriers (batch, lane, nonce, owner, state, members, created_at, ends_by)"
        " select num, $1, $2, $3, 'made', $4, $5, $6 from batches where id = $7 returning num",
        new.lane,
        new.id,
        await known(db, tender, new.created_at),
        len(leases),
        micros(new.created_at),
        micros(new.ends_by),
        pick.batch,
    )
    [carrier] = await _carriers(db, "c.num = $1", num)
    return carrier, leases


async def _lease(db: "PoolConnectionProxy", new: NewCarrier, pick: Pick) -> Sequence[Lease]:
    """Lease what fits. How much that is shows once it is leased: where it is too much, that is undone."""
    picked = db.transaction()
    await picked.start()
    leases = (await turn(db, new.id, [], [pick], new.created_at)).leases
    fitting = new.fitting(lease.params.length for lease in leases)
    if fitting == len(leases):
        await picked.commit()
    else:
        await picked.rollback()
        leases = (await turn(db, new.id, [], [replace(pick, limit=fitting)], new.created_at)).leases
    return sorted(leases, key=lambda lease: lease.seq)


async def sent(db: "PoolConnectionProxy", tender: str, carrier: str, upstream_id: str) -> bool:
    """Note the id that the upstream gave."""
    changed = await db.fetchval(
        f"update carriers as c set state = 'sent', upstream_id = $3 where {_HELD}"  # noqa: S608
        " and (upstream_id is null or upstream_id = $3) returning 1",
        carrier,
        tender,
        plain(upstream_id),
    )
    return changed is not None


async def tended(db: "PoolConnectionProxy", tender: str) -> Sequence[Carrier]:
    """Return the owner's carriers that are not finished."""
    tends = f"{_OPEN} and c.owner = (select num from owners where id = $1)"  # noqa: S608
    return await _carriers(db, tends, tender)


async def adopt(
    db: "PoolConnectionProxy", tender: str, now: datetime, *, judged_at: int | None, lease_micros: int
) -> Sequence[Carrier]:
    """Take the carriers of owners that are forgotten or whose heartbeat is too old."""
    owner = await known(db, tender, now)
    rows = await db.fetch(
        f"""
        with orphans as materialized (
            select c.num from carriers c left join owners o on o.num = c.owner
            where {_OPEN} and c.owner <> $1 and (o.num is null or coalesce($2::bigint, {CLOCK}) - o.beat > $3)
            order by c.num for update of c skip locked
        )
        update carriers c set owner = $1 from orphans where c.num = orphans.num returning c.num
        """,  # noqa: S608
        owner,
        judged_at,
        lease_micros,
    )
    return await _carriers(db, "c.num = any($1::bigint[])", [row["num"] for row in rows])


async def members(db: "PoolConnectionProxy", carrier: str) -> Sequence[Lease]:
    """Return the leases that are left."""
    is_open = await db.fetchval(f"select 1 from carriers c where {_OPEN} and c.nonce = $1", carrier)  # noqa: S608
    return await held(db, carrier) if is_open else []


async def finish(db: "PoolConnectionProxy", tender: str, carrier: str, *, lost: bool, now: datetime) -> bool:
    """Return what the carrier still holds to pending, and forget who its members were."""
    num = await db.fetchval(
        f"select c.num from carriers c where {_HELD} for update of c",  # noqa: S608
        carrier,
        tender,
    )
    if num is None:
        return False
    owner = await db.fetchval("select num from owners where id = $1 for update", carrier)
    await release(db, owner, now, paid=int(not lost), deaths=0)
    await db.execute("update carriers set state = $1 where num = $2", "lost" if lost else "collected", num)
    await db.execute("delete from owners where num = $1", owner)
    return True


async def _carriers(db: "PoolConnectionProxy", where: str, *values: Any) -> Sequence[Carrier]:
    """Return the carriers that fit. ``where`` is SQL of ours, never a caller's. A batch may be gone before them."""
    rows = await db.fetch(
        "select c.nonce, c.lane, c.state, c.upstream_id, c.members, c.created_at, c.ends_by,"  # noqa: S608
        " coalesce(b.expires_at, c.ends_by) as expires_at, b.id as batch, b.version,"
        " b.betas, b.closing is not null or b.ended_at is not null or b.num is null as closing"
        f" from carriers c left join batches b on b.num = c.batch where {where} order by c.num",
        *values,
    )
    return [
        Carrier(
            id=row["nonce"],
            lane=row["lane"],
            state=CarrierState(row["state"]),
            upstream_id=row["upstream_id"],
            batch=row["batch"] or "",
            version=row["version"] or "",
            betas=() if row["betas"] is None else _decode_betas(row["betas"]),
            members=row["members"],
            created_at=moment(row["created_at"]),
            ends_by=moment(row["ends_by"]),
            expires_at=moment(row["expires_at"]),
            closing=row["closing"],
        )
        for row in rows
    ]
