"""What each workspace has in the PostgreSQL store."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from batchyard.domain.standing import Standing
from batchyard.store.sqlite_standing import merged

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

_LIVE = """
select b.workspace, count(*) filter (where b.cancel_initiated_at is null and not b.paused),
    count(*) filter (where b.cancel_initiated_at is null and b.paused),
    count(*) filter (where b.cancel_initiated_at is not null),
    sum(t.open)::bigint, sum(t.leased)::bigint, min(b.created_at), min(b.expires_at), sum(b.bytes)::bigint
from batches b join tallies t on t.batch = b.num where b.ended_at is null group by b.workspace
"""
_KEPT = """
select workspace, count(*), sum(size + bytes)::bigint from batches where results is not null group by workspace
"""


async def standing(db: "PoolConnectionProxy") -> Sequence[Standing]:
    """Return it; indexes batches_live and batches_kept."""
    live, kept = await db.fetch(_LIVE), await db.fetch(_KEPT)
    return merged({row[0]: tuple(row)[1:] for row in live}, {row[0]: tuple(row)[1:] for row in kept})
