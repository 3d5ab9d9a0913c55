"""Owners in the PostgreSQL store: who lives, who does not, and what they hold, by the database's time if wanted."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from batchyard.ports import Owner
from batchyard.store.rows import SEQ_BITS, moment

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

CLOCK = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
"""The database's own time, in microseconds since 1970."""
NEWS = "batchyard"
"""The channel on which other processes are told that there is something to do."""
OWNERS = "owner"
"""What is told there when an owner came, or left."""
WITHHOLD = "withhold"
"""What is told there, with its id, when a batch was canceled or paused."""


async def beat(db: "PoolConnectionProxy", owner: str, now: int | None, lease_micros: int) -> int:
    """Note the owner's heartbeat, at the database's own time without ``now``; return how many owners live."""
    is_new = await db.fetchval(
        f"insert into owners (id, beat) values ($1, coalesce($2::bigint, {CLOCK}))"  # noqa: S608
        " on conflict (id) do update set beat = excluded.beat returning xmax = 0",
        owner,
        now,
    )
    if is_new:  # the others have a smaller share from now on
        await db.execute(f"notify {NEWS}, '{OWNERS}'")
    return int(
        await db.fetchval(
            f"select count(*) from owners where coalesce($1::bigint, {CLOCK}) - beat < $2",  # noqa: S608
            now,
            lease_micros,
        )
    )


async def dead(db: "PoolConnectionProxy", now: int | None, lease_micros: int) -> Sequence[str]:
    """Return the owners whose last heartbeat is older than the lease; carriers have none (0)."""
    rows = await db.fetch(
        f"select id from owners where beat > 0 and coalesce($1::bigint, {CLOCK}) - beat > $2 order by num",  # noqa: S608
        now,
        lease_micros,
    )
    return [row["id"] for row in rows]


async def owners(db: "PoolConnectionProxy", now: int | None, lease_micros: int) -> Sequence[Owner]:
    """Return all owners; indexes leases_of_owner and carriers_open."""
    rows = await db.fetch(
        f"""
        select o.id, o.beat, coalesce($1::bigint, {CLOCK}) - o.beat < $2 as lives,
            (select count(*) from leases l where l.owner = o.num) as leases,
            (select count(*) from carriers c where c.owner = o.num and c.state in ('made', 'sent')) as carriers
        from owners o where o.beat > 0 order by o.num
        """,  # noqa: S608
        now,
        lease_micros,
    )
    return [Owner(row["id"], moment(row["beat"]), row["lives"], row["leases"], row["carriers"]) for row in rows]


async def withhold(db: "PoolConnectionProxy", batch_id: str) -> None:
    """Tell all owners to begin no call of a batch."""
    await db.execute("select pg_notify($1, $2)", NEWS, f"{WITHHOLD} {batch_id}")


async def holders(db: "PoolConnectionProxy", batch_id: str, now: int | None, lease_micros: int) -> Collection[str]:
    """Return the living owners that hold requests of a batch; a range of the primary key of leases."""
    rows = await db.fetch(
        f"""
        select distinct o.id from batches b
        join leases l on l.request >= b.num << {SEQ_BITS} and l.request < (b.num + 1) << {SEQ_BITS}
        join owners o on o.num = l.owner
        where b.id = $3 and o.beat > 0 and coalesce($1::bigint, {CLOCK}) - o.beat < $2
        """,  # noqa: S608
        now,
        lease_micros,
        batch_id,
    )
    return [row["id"] for row in rows]
