"""Names and labels of batches in the PostgreSQL store: found, and edited."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from batchyard.domain.batch import Batch
from batchyard.domain.labels import Wanted, lower
from batchyard.ports import Page
from batchyard.store import postgres_batches

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

_STATUS = {
    "in_progress": " and b.ended_at is null and b.cancel_initiated_at is null",
    "canceling": " and b.ended_at is null and b.cancel_initiated_at is not null",
    "ended": " and b.ended_at is not null",
}


async def search(
    db: "PoolConnectionProxy", workspace: str, wanted: Wanted, *, after: str | None, before: str | None, limit: int
) -> Page:
    """Return one page of what fits. Reads the workspace's batches in their order until the page is full."""
    if wanted.is_of_nobody:  # and what PostgreSQL would not take
        return Page([], has_more=False)
    where, values = "b.workspace = $1", list[Any]((workspace,))
    if wanted.status is not None:
        where += _STATUS[wanted.status]
    if wanted.text:
        values.append(lower(wanted.text))
        part = f'strpos(lower(%s collate "C"), ${len(values)}) > 0'
        each = f"exists (select 1 from jsonb_each_text(b.labels) each where {part % 'each.value'})"  # noqa: S608 texts of ours
        where += f" and ({part % 'b.id'} or {part % 'b.name'} or {each})"
    for key, value in wanted.pairs:
        values.append(key)
        where += f" and b.labels ? ${len(values)}"
        if value is not None:
            values.append(value)
            where += f" and b.labels ->> ${len(values) - 1} = ${len(values)}"
    return await postgres_batches.chosen(db, where, values, after=after, before=before, limit=limit)


async def label(
    db: "PoolConnectionProxy", workspace: str, batch_id: str, name: str | None, changes: Mapping[str, str | None]
) -> Batch:
    """Edit them; only the batch's own row changes."""
    batch = (await postgres_batches.find(db, workspace, batch_id, lock=True)).batch()
    labels = batch.labels.edited(name, changes)
    await db.execute(
        "update batches set name = $1, labels = $2::text::jsonb where id = $3",
        labels.name,
        msgspec.json.encode(dict(labels.pairs)).decode(),
        batch_id,
    )
    return replace(batch, labels=labels)
