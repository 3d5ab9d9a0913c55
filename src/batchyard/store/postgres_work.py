"""A dispatcher's turn in the PostgreSQL store: about six statements, however many requests it settles and leases.

What several owners share is locked in one order (owners, batches, tallies), and is not waited for where there is more
of it: slices of fresh requests, due retries.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from batchyard.domain.outcome import Settlement
from batchyard.domain.request import Lease
from batchyard.ports import Pick, Turn
from batchyard.store import postgres_views
from batchyard.store.postgres_lease import Chosen, lease
from batchyard.store.postgres_rows import LEASED_COLUMNS, a_lease, batches
from batchyard.store.postgres_settle import judge, settle
from batchyard.store.postgres_tally import look, write
from batchyard.store.rows import SEQ_BITS, micros

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy


async def turn(
    db: "PoolConnectionProxy", owner: str, settlements: Sequence[Settlement], picks: Sequence[Pick], now: datetime
) -> Turn:
    """Commit the settlements, then lease what is picked."""
    names = {settlement.lease.batch for settlement in settlements} | {pick.batch for pick in picks}
    if not names:
        return Turn([], [], [])
    # Held until the commit: a reclaim of this owner waits for us, and one that came before has taken its number.
    owner_num = await db.fetchval("select num from owners where id = $1 for key share", owner)
    tallies = await look(db, names)
    held, stale = await judge(db, owner_num, settlements, tallies)
    results = await settle(db, held)
    chosen = Chosen(tallies, micros(now))
    await chosen.take(db, picks)
    if chosen.requests and owner_num is None:
        owner_num = await known(db, owner, now)
    leases = await lease(db, owner_num, chosen.requests, tallies)
    done = await write(db, tallies.values(), results) if held or leases else ()
    await postgres_views.count(db, owner_num, held)
    ripe = [tally.stored.id for tally in tallies.values() if tally.settled and tally.stored.num in done]
    return Turn(leases, stale, ripe, await chosen.short(db))


async def known(db: "PoolConnectionProxy", owner: str, now: datetime) -> int:
    """Return the owner's number; one that is not known begins to live."""
    await db.execute("insert into owners (id, beat) values ($1, $2) on conflict (id) do nothing", owner, micros(now))
    return int(await db.fetchval("select num from owners where id = $1 for key share", owner))


async def held(db: "PoolConnectionProxy", owner: str) -> Sequence[Lease]:
    """Return the owner's leases, in the order of batches and requests; index leases_of_owner."""
    rows = await db.fetch(
        f"select {LEASED_COLUMNS} from leases l join requests r on r.id = l.request"  # noqa: S608
        " where l.owner = (select num from owners where id = $1) order by r.id",
        owner,
    )
    stored = await batches(db, "b.num = any($1::bigint[])", list({row["id"] >> SEQ_BITS for row in rows}))
    by_num = {one.num: (one, one.model_names) for one in stored}
    return [a_lease(*by_num[row["id"] >> SEQ_BITS], row) for row in rows]


async def pause_lane(db: "PoolConnectionProxy", lane: str, *, paused: bool) -> None:
    """Note that a lane is paused, or is not."""
    if paused:
        await db.execute("insert into paused_lanes (lane) values ($1) on conflict do nothing", lane)
    else:
        await db.execute("delete from paused_lanes where lane = $1", lane)


async def paused_lanes(db: "PoolConnectionProxy") -> Sequence[str]:
    """Return the names of the lanes that are paused, in order."""
    return [row["lane"] for row in await db.fetch("select lane from paused_lanes order by lane")]
