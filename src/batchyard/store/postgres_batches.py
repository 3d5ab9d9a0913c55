"""What API calls and a dispatcher's look-out ask of the PostgreSQL store."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from batchyard.domain.batch import Batch
from batchyard.domain.errors import NotFound
from batchyard.domain.quota import Load
from batchyard.ports import Page, Ready
from batchyard.store import postgres_owners, postgres_views
from batchyard.store.postgres_owners import NEWS
from batchyard.store.postgres_rows import BATCHES, StoredBatch, batches
from batchyard.store.rows import micros, moment

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy


async def find(db: "PoolConnectionProxy", workspace: str, batch_id: str, *, lock: bool = False) -> StoredBatch:
    """Return the batch if it is the workspace's own; with ``lock`` no turn is under way in it until we commit."""
    tail = "for update of b" if lock else ""
    rows = await batches(db, "b.workspace = $1 and b.id = $2", workspace, batch_id, tail=tail)
    if rows and lock:  # tallies are read again: what we waited for has changed them
        rows = await batches(db, "b.num = $1", rows[0].num)
    if not rows:
        raise NotFound(f"Message Batch {batch_id} not found.")
    return rows[0]


async def load(db: "PoolConnectionProxy", workspace: str) -> Load:
    """Return what the workspace has; indexes batches_live and batches_kept, so that no row of an ended one is read."""
    [(requests, running, bodies)] = await db.fetch(
        "select coalesce(sum(t.open), 0)::bigint, count(*), coalesce(sum(b.bytes), 0)::bigint from batches b"
        " join tallies t on t.batch = b.num where b.ended_at is null and b.workspace = $1",
        workspace,
    )
    kept = await db.fetchval(
        "select coalesce(sum(size + bytes), 0)::bigint from batches where results is not null and workspace = $1",
        workspace,
    )
    return Load(requests, running, bodies + kept)


async def page(db: "PoolConnectionProxy", workspace: str, after: str | None, before: str | None, limit: int) -> Page:
    """Return one page; a range of the index batches_of_workspace, walked from where the page adjoins."""
    return await chosen(db, "b.workspace = $1", [workspace], after=after, before=before, limit=limit)


async def chosen(
    db: "PoolConnectionProxy", where: str, values: list[Any], *, after: str | None, before: str | None, limit: int
) -> Page:
    """Return one page of the batches that fit ``where``, SQL of ours."""
    ascending = after is None and before is not None
    for cursor, than in ((before, ">"), (after, "<")):
        if cursor is not None:
            values.append(cursor)
            where += f" and b.id {than} ${len(values)}"
    tail = f"order by b.id {'asc' if ascending else 'desc'} limit {limit + 1:d}"
    found = await batches(db, where, *values, tail=tail)
    shown = sorted(found[:limit], key=lambda stored: stored.id, reverse=True)
    return Page([stored.batch() for stored in shown], has_more=len(found) > limit)


async def cancel(db: "PoolConnectionProxy", workspace: str, batch_id: str, now: datetime) -> Batch:
    """Begin to cancel; only the batch's own row changes. Waits for turns that lease of it, and those after see it."""
    batch = (await find(db, workspace, batch_id, lock=True)).batch()
    canceling = batch.begin_cancel(now)
    if canceling is not batch:
        await db.execute(
            "update batches set cancel_initiated_at = $1, closing = $2 where id = $3",
            micros(now),
            canceling.closing,
            batch_id,
        )
    if canceling.closing is not None:  # told again where it was canceled before: our answer promises the same
        await postgres_owners.withhold(db, batch_id)
    return canceling


async def pause(db: "PoolConnectionProxy", workspace: str, batch_id: str, *, paused: bool) -> Batch:
    """Pause or resume; only the batch's own row changes."""
    batch = (await find(db, workspace, batch_id, lock=True)).batch().pause(paused=paused)
    await db.execute("update batches set paused = $1 where id = $2 and paused <> $1", paused, batch_id)
    if paused:
        await postgres_owners.withhold(db, batch_id)
    else:
        await db.execute(f"notify {NEWS}")
    return batch


async def delete(db: "PoolConnectionProxy", workspace: str, batch_id: str) -> Batch:
    """Forget an ended batch. What is left of its rows has been the sweep's since its seal."""
    stored = await find(db, workspace, batch_id, lock=True)
    batch = stored.batch()
    batch.check_deletable()
    await db.execute("delete from creates where batch = $1", stored.num)
    await postgres_views.forget_batch(db, stored.num)
    await db.execute("delete from batches where num = $1", stored.num)
    return batch


_BACKLOG = f"""
with live as materialized (
    {BATCHES} where b.ended_at is null and b.closing is null and not b.paused and b.expires_at > $1
)
select s.model, s.fresh + s.waiting as pending,
    case when s.fresh > 0 then l.created_at else
        (select ready_at from waiting w where w.batch = s.batch and w.model = s.model order by ready_at limit 1)
    end as next_ready_at, l.*
from live l join streams s on s.batch = l.num where s.fresh + s.waiting > 0 order by l.num, s.model
"""  # noqa: S608


async def backlog(db: "PoolConnectionProxy", now: int) -> Sequence[Ready]:
    """Return what may be leased: one row a batch and model, however many requests that are."""
    found = []
    for model, pending, next_ready_at, *row in await db.fetch(_BACKLOG, now):
        stored = StoredBatch(*row)
        found.append(
            Ready(
                batch=stored.id,
                workspace=stored.workspace,
                created_at=moment(stored.created_at),
                expires_at=moment(stored.expires_at),
                version=stored.version,
                betas=stored.beta_names,
                model=stored.model_names[model],
                pending=pending,
                next_ready_at=moment(stored.created_at if next_ready_at is None else next_ready_at),
            )
        )
    return found
