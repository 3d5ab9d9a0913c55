"""What ends batches in the PostgreSQL store, and keeps it small."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from batchyard.domain.batch import Batch, Counts, Sealed
from batchyard.store import postgres_views
from batchyard.store.postgres_owners import CLOCK, NEWS, OWNERS
from batchyard.store.postgres_rows import StoredBatch, batches
from batchyard.store.rows import KINDS, SEQ_BITS, SEQ_MASK, micros, open_kind

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

_RELEASE = """
with gone as (
    delete from leases where owner = $1 returning request, attempt
), changed as (
    update requests r set attempt = g.attempt, paid = r.paid + $2, deaths = r.deaths + $3
    from gone g where r.id = g.request returning r.id, r.model
), again as (
    insert into waiting (request, batch, model, ready_at) select id, id >> 24, model, $4 from changed
)
select id >> 24 as batch, model, count(*) as number from changed group by 1, 2 order by 1, 2
"""
_LOCK = "select batch from tallies where batch = any($1::bigint[]) order by batch for update"
_COUNT = """
with t as (
    update tallies set leased = leased - m.number
    from (select batch, sum(number)::int as number from unnest($1::bigint[], $3::int[]) v (batch, number) group by 1) m
    where tallies.batch = m.batch
)
update streams s set waiting = s.waiting + m.number from unnest($1::bigint[], $2::int[], $3::int[])
    m (batch, model, number) where s.batch = m.batch and s.model = m.model
"""


async def reclaim(
    db: "PoolConnectionProxy", owner: str, now: datetime, *, judged_at: int | None, lease_micros: int | None
) -> int:
    """Return a dead owner's leases to pending. Its row's lock waits for a turn of it that is under way.

    With ``lease_micros`` an owner that has beaten since it was found dead (it was frozen, or cut off) stays as it is.
    """
    num = await db.fetchval(
        "select num from owners where id = $1 and beat > 0"  # noqa: S608
        f" and ($3::bigint is null or coalesce($2::bigint, {CLOCK}) - beat > $3) for update",
        owner,
        judged_at,
        lease_micros,
    )
    if num is None:
        return 0
    taken = await release(db, num, now, paid=1, deaths=1)
    await db.execute("delete from owners where num = $1", num)
    return taken


async def leave(db: "PoolConnectionProxy", owner: str, now: datetime) -> int:
    """Forget an owner that says so itself, and tell the others, whose share of every limit is larger from now on."""
    taken = await reclaim(db, owner, now, judged_at=None, lease_micros=None)
    await db.execute(f"notify {NEWS}, '{OWNERS}'")
    if taken:
        await db.execute(f"notify {NEWS}")
    return taken


async def release(db: "PoolConnectionProxy", owner: int, now: datetime, *, paid: int, deaths: int) -> int:
    """Return all leases of an owner to pending, due now; return how many."""
    rows = await db.fetch(_RELEASE, owner, paid, deaths, micros(now))
    if not rows:
        return 0
    nums, models, numbers = ([row[column] for row in rows] for column in ("batch", "model", "number"))
    await db.fetch(_LOCK, nums)
    await db.execute(_COUNT, nums, models, numbers)
    return sum(numbers)


async def expire(db: "PoolConnectionProxy", now: datetime) -> Sequence[str]:
    """Close every batch past its deadline; only the batch's own row changes. Waits for turns that are under way."""
    rows = await db.fetch(
        "with due as materialized (select num from batches where ended_at is null and closing is null"
        " and expires_at <= $1 order by num for update)"
        " update batches b set closing = 'expired' from due where b.num = due.num returning b.id",
        micros(now),
    )
    return [row["id"] for row in rows]


async def ripe(db: "PoolConnectionProxy") -> Sequence[Batch]:
    """Return what can be sealed; index batches_live."""
    rows = await batches(db, "b.ended_at is null and (t.open = 0 or (b.closing is not null and t.leased = 0))")
    return [stored.batch() for stored in rows]


async def ended(db: "PoolConnectionProxy", since: datetime) -> Sequence[Batch]:
    """Return what ended then or later."""
    rows = await batches(db, "b.ended_at >= $1", micros(since), tail="order by ended_at, num limit 1000")
    return [stored.batch() for stored in rows]


async def due(db: "PoolConnectionProxy", before: datetime) -> Sequence[Batch]:
    """Return what runs and has its deadline before then; index batches_live."""
    rows = await batches(db, "b.ended_at is null and b.closing is null and b.expires_at < $1", micros(before))
    return [stored.batch() for stored in rows]


async def seal(db: "PoolConnectionProxy", batch_id: str, sealed: Sealed, counts: Counts, now: datetime) -> Batch | None:
    """Recount, then end the batch and leave its rows to the sweep."""
    num = await db.fetchval("select num from batches where id = $1 and ended_at is null for update", batch_id)
    if num is None:
        return None
    [stored] = await batches(db, "b.num = $1", num)
    recount = await _recount(db, stored) if stored.ripe else stored.counts
    assert counts == recount, f"sealing {batch_id} as {counts}, but its rows show {recount}"
    ended = stored.batch().end(counts, sealed, now)
    await db.execute(
        "update batches set succeeded = $1, errored = $2, canceled = $3, expired = $4, ended_at = $5, results = $6,"
        " positions = $7, ledger = $8, size = $9, sha256 = $10 where num = $11",
        *(counts.succeeded, counts.errored, counts.canceled, counts.expired, micros(now)),
        *(sealed.results, sealed.index, sealed.ledger, sealed.size, sealed.sha256, num),
    )
    await db.execute("delete from tallies where batch = $1", num)
    await db.execute("insert into sweeps (batch) values ($1)", num)
    return ended


async def _recount(db: "PoolConnectionProxy", stored: StoredBatch) -> Counts:
    """Count the requests by their rows, the open ones as what ``closing`` makes of them."""
    rows = await db.fetch(
        "select s.state, count(*) as number from requests r left join results s on s.request = r.id"
        " where r.id between $1 and $2 group by s.state",
        stored.first,
        stored.last,
    )
    counts = Counts()
    for state, number in rows:
        assert state is not None or stored.closing is not None, f"{stored.id} has {number} open requests"
        kind = open_kind(stored.closing) if state is None else KINDS[state]
        counts = replace(counts, **{kind: getattr(counts, kind) + number})
    return counts


async def sweep(db: "PoolConnectionProxy", limit: int) -> int:
    """Delete up to ``limit`` requests of ended batches with all that hangs on them. Sweeps beside each other share."""
    swept = 0
    while swept < limit:
        num = await db.fetchval("select batch from sweeps order by batch limit 1 for update skip locked")
        if num is None:
            break
        swept += await _sweep_batch(db, num, limit - swept)
    return swept


async def _sweep_batch(db: "PoolConnectionProxy", num: int, limit: int) -> int:
    first = num << SEQ_BITS
    ids = await db.fetch(
        "select id from requests where id between $1 and $2 order by id limit $3", first, first | SEQ_MASK, limit
    )
    if ids:
        for table, column in (
            ("results", "request"),
            ("attempts", "request"),
            ("waiting", "request"),
            ("requests", "id"),
        ):
            await db.execute(
                f"delete from {table} where {column} between $1 and $2",  # noqa: S608
                ids[0]["id"],
                ids[-1]["id"],
            )
    if len(ids) < limit:
        for table in ("parts", "streams"):
            await db.execute(f"delete from {table} where batch = $1", num)  # noqa: S608
        await db.execute("delete from carriers where batch = $1 and state in ('collected', 'lost')", num)
        await db.execute("delete from sweeps where batch = $1", num)
    return len(ids)


async def archive(db: "PoolConnectionProxy", created_before: datetime, now: datetime) -> Sequence[Batch]:
    """Take the results from old batches; index batches_with_results."""
    await postgres_views.forget_old_minutes(db)
    nums = await db.fetch(
        "select num from batches where results is not null and created_at < $1 order by num for update skip locked",
        micros(created_before),
    )
    taken = await batches(db, "b.num = any($1::bigint[])", [row["num"] for row in nums], tail="order by b.created_at")
    if taken:
        await db.execute(
            "update batches set archived_at = $1, results = null, positions = null, ledger = null, size = null,"
            " sha256 = null where num = any($2::bigint[])",
            micros(now),
            [stored.num for stored in taken],
        )
    return [stored.batch() for stored in taken]


async def blobs(db: "PoolConnectionProxy") -> set[str]:
    """Return the names of all blobs in use; indexes batches_live and batches_with_results."""
    rows = await db.fetch(
        "select body as name from batches where ended_at is null"
        " union all select body from batches where results is not null"
        " union all select results from batches where results is not null"
        " union all select positions from batches where results is not null"
        " union all select ledger from batches where results is not null"
    )
    return {row["name"] for row in rows}
