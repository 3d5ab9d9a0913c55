"""Creating a batch in the PostgreSQL store: one transaction for the batch, its requests, and how the create looked.

The requests go in first, by COPY. Only then the time is given: from there to the commit, which is short, creates wait
for each other, so that ids sort in the order in which batches become visible.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from batchyard.domain.batch import Batch
from batchyard.domain.errors import InvalidRequest
from batchyard.domain.ids import batch_id
from batchyard.domain.request import Drafts, Origin
from batchyard.domain.run_order import run_orders
from batchyard.ports import NewBatch
from batchyard.store.postgres_batches import load
from batchyard.store.postgres_owners import NEWS
from batchyard.store.postgres_rows import batches, plain
from batchyard.store.rows import SEQ_BITS, SEQ_MASK, micros, moment

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

REPEAT_WINDOW = timedelta(minutes=10)
IDEMPOTENCY_WINDOW = timedelta(hours=24)
PART = 128
"""Seqs in a row of parts: about as many as a turn leases, so that owners side by side take rows of their own."""
_FORGOTTEN_AT_ONCE = 16
_REQUEST = ("id", "custom_id", "offset", "length", "crc", "prefix", "model")


class _Repeated(Exception):
    """This create repeats an earlier one, whose batch has the number ``num``: what was begun is to be undone."""

    def __init__(self, num: int) -> None:
        super().__init__(num)
        self.num = num


async def create(
    db: "PoolConnectionProxy",
    new: NewBatch,
    drafts: Drafts,
    origin: Origin,
    *,
    defend: bool,
    entropy: Callable[[], int],
) -> Batch:
    """Store the batch, or return the earlier one that this create repeats."""
    try:
        async with db.transaction():  # what was begun is undone where a repeat shows itself late
            num = await _create(db, new, drafts, origin, defend=defend, entropy=entropy)
    except _Repeated as repeated:
        num = repeated.num
    [stored] = await batches(db, "b.num = $1", num)
    return stored.batch()


async def _create(
    db: "PoolConnectionProxy",
    new: NewBatch,
    drafts: Drafts,
    origin: Origin,
    *,
    defend: bool,
    entropy: Callable[[], int],
) -> int:
    await _refuse_repeated(db, new, origin, defend=defend)  # before the work of storing it
    num = int(await db.fetchval("select nextval('batch_nums')"))
    await _insert_requests(db, num, drafts)
    created_at = await db.fetchval(
        "update given set created_at = greatest($1, created_at + 1) returning created_at", micros(new.created_at)
    )
    await _refuse_repeated(db, new, origin, defend=defend)  # and of those that were stored meanwhile
    if new.quota.is_limit:
        new.quota.check(await load(db, new.workspace), len(drafts), drafts.bytes)
    await _insert_batch(db, num, batch_id(moment(created_at), entropy()), new, drafts, created_at=created_at)
    await _remember(db, num, new, origin, created_at)
    await db.execute(f"notify {NEWS}")
    return num


async def _refuse_repeated(db: "PoolConnectionProxy", new: NewBatch, origin: Origin, *, defend: bool) -> None:
    earlier = await _same_key(db, new, origin)
    if earlier is None and defend:
        earlier = await _repeated(db, new, origin)
    if earlier is not None:
        raise _Repeated(earlier)


async def _same_key(db: "PoolConnectionProxy", new: NewBatch, origin: Origin) -> int | None:
    """Return the batch of this idempotency key; index creates_by_key."""
    if origin.idempotency_key is None:
        return None
    row = await db.fetchrow(
        "select batch, body_sha256 from creates where workspace = $1 and caller = $2 and idempotency_key = $3"
        " and created_at >= $4 order by created_at desc limit 1 for key share",
        new.workspace,
        origin.caller,
        plain(origin.idempotency_key),
        micros(new.created_at - IDEMPOTENCY_WINDOW),
    )
    if row is None:
        return None
    if row["body_sha256"] != origin.body_sha256:
        raise InvalidRequest(
            "idempotency-key: this key was used in the last 24 hours with another body; "
            "send the same body, or another key."
        )
    return int(row["batch"])


async def _repeated(db: "PoolConnectionProxy", new: NewBatch, origin: Origin) -> int | None:
    """Return the newest batch that this create repeats, or that overtook it; index creates_by_body."""
    found = await db.fetchval(
        "select batch from creates where workspace = $1 and caller = $2 and body_sha256 = $3 and created_at >= $4"
        " and ($5::int >= 1 or (retry >= 1 and created_at >= $6)) order by created_at desc limit 1 for key share",
        new.workspace,
        origin.caller,
        origin.body_sha256,
        micros(new.created_at - REPEAT_WINDOW),
        origin.retry,
        origin.began_at,
    )
    return None if found is None else int(found)


async def _insert_requests(db: "PoolConnectionProxy", num: int, drafts: Drafts) -> None:
    assert len(drafts) <= SEQ_MASK, f"{len(drafts)} requests in one batch"
    first = num << SEQ_BITS
    rows = ((first + seq, *row) for seq, row in enumerate(drafts.rows()))
    await db.copy_records_to_table("requests", records=rows, columns=_REQUEST)
    orders = run_orders(drafts)
    await db.executemany(
        "insert into streams (batch, model, fresh) values ($1, $2, $3)",
        [(num, model, len(order)) for model, order in orders.items()],
    )
    parts = (
        (num, model, start // PART, list(order[start : start + PART]))
        for model, order in orders.items()
        for start in range(0, len(order), PART)
    )
    await db.copy_records_to_table("parts", records=parts, columns=("batch", "model", "part", "seqs"))


async def _insert_batch(
    db: "PoolConnectionProxy", num: int, name: str, new: NewBatch, drafts: Drafts, *, created_at: int
) -> None:
    moved = created_at - micros(new.created_at)
    await db.execute(
        "insert into batches (num, id, workspace, created_at, expires_at, version, betas, models, body, total,"
        " bytes, name, labels, traceparent) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
        " $13::text::jsonb, $14)",
        num,
        name,
        new.workspace,
        created_at,
        micros(new.expires_at) + moved,
        new.version,
        msgspec.json.encode(new.betas).decode(),
        msgspec.json.encode(list(drafts.model_names)).decode(),
        new.body,
        len(drafts),
        drafts.bytes,
        new.labels.name,
        msgspec.json.encode(dict(new.labels.pairs)).decode(),
        new.traceparent,
    )
    await db.execute("insert into tallies (batch, open) values ($1, $2)", num, len(drafts))


async def _remember(db: "PoolConnectionProxy", num: int, new: NewBatch, origin: Origin, created_at: int) -> None:
    await db.execute(
        "insert into creates (batch, workspace, caller, body_sha256, retry, idempotency_key, created_at)"
        " values ($1, $2, $3, $4, $5, $6, $7)",
        num,
        new.workspace,
        origin.caller,
        origin.body_sha256,
        origin.retry,
        None if origin.idempotency_key is None else plain(origin.idempotency_key),
        created_at,
    )
    # looking at the oldest few forgets faster than they come
    await db.execute(
        "delete from creates where batch in (select batch from creates where created_at < $1 order by created_at"
        " limit $2)",
        created_at - IDEMPOTENCY_WINDOW // timedelta(microseconds=1),
        _FORGOTTEN_AT_ONCE,
    )
