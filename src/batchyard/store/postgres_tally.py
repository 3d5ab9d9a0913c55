"""What one turn changes of batches' tallies and streams: gathered in memory, written by one statement at its end.

Every turn of a batch changes these rows. As the last statement does it, turns wait for each other's commit alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchyard.store.postgres_rows import BATCHES, StoredBatch

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

KINDS = ("succeeded", "errored", "canceled", "expired")


@dataclass(slots=True)
class Tally:
    """What a turn changes of one batch: requests that became final, by kind; leases more or fewer; streams."""

    stored: StoredBatch
    models: tuple[str, ...]
    finished: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    last: str | None = None
    leased: int = 0
    settled: bool = False
    moved: dict[int, list[int]] = field(default_factory=dict)
    """Model -> how many more are fresh, and waiting."""

    def finish(self, kind: str) -> int:
        """Count one more final request; return which of this turn's it is."""
        self.finished[kind] += 1
        self.last = kind
        return sum(self.finished.values())

    def move(self, model: int, *, fresh: int = 0, waiting: int = 0) -> None:
        """Count how many more requests of a model are fresh, and waiting."""
        moved = self.moved.setdefault(model, [0, 0])
        moved[0] += fresh
        moved[1] += waiting


_LOOK = f"{BATCHES} where b.id = any($1::text[]) order by b.num for share of b"
_STREAMS = "select batch, model, fresh, waiting from streams where batch = any($1::bigint[])"
_WRITE = """
with locked as materialized (
    select batch from tallies where batch = any($1::bigint[]) order by batch for update
), counted as (
    update tallies t set open = t.open - c.finished, leased = t.leased + c.leased, arrived = t.arrived + c.finished,
        succeeded = t.succeeded + c.succeeded - (t.open = c.finished and c.last = 'succeeded')::int,
        errored = t.errored + c.errored - (t.open = c.finished and c.last = 'errored')::int,
        canceled = t.canceled + c.canceled - (t.open = c.finished and c.last = 'canceled')::int,
        expired = t.expired + c.expired - (t.open = c.finished and c.last = 'expired')::int
    from locked l join unnest($1::bigint[], $2::int[], $3::int[], $4::int[], $5::int[], $6::int[], $7::int[],
        $8::text[]) c (batch, finished, leased, succeeded, errored, canceled, expired, last) on c.batch = l.batch
    where t.batch = l.batch
    returning t.batch, t.open, t.leased, t.arrived
), moved as (
    update streams s set fresh = s.fresh + m.fresh, waiting = s.waiting + m.waiting
    from locked l join unnest($9::bigint[], $10::int[], $11::int[], $12::int[]) m (batch, model, fresh, waiting)
        on m.batch = l.batch
    where s.batch = m.batch and s.model = m.model
), arrived as (
    insert into results (request, arrival, state, attempt, packed, outcome, started_at, ended_at, reason)
    select r.request, c.arrived - r.before_end, r.state, r.attempt, r.packed, r.outcome, r.started_at, r.ended_at,
        r.reason
    from unnest($13::bigint[], $14::bigint[], $15::int[], $16::int[], $17::int[], $18::bytea[], $19::text[],
        $20::bigint[], $21::bigint[], $22::text[])
        r (request, batch, before_end, state, attempt, packed, outcome, started_at, ended_at, reason)
    join counted c on c.batch = r.batch
)
select batch, open, leased from counted
"""
"""Locks the tallies in one order first: two turns with the same batches must not each wait for the other."""


async def look(db: "PoolConnectionProxy", names: Collection[str]) -> dict[str, Tally]:
    """Return the batches by id, held against a cancel until we commit; unknown ones are missing."""
    rows = [StoredBatch(*row) for row in await db.fetch(_LOOK, list(names))]
    return {stored.id: Tally(stored, stored.model_names) for stored in rows}


async def pending(db: "PoolConnectionProxy", nums: Collection[int]) -> Mapping[tuple[int, int], tuple[int, int]]:
    """Return how many requests are fresh, and waiting, by batch and model."""
    rows = await db.fetch(_STREAMS, list(nums))
    return {(batch, model): (fresh, waiting) for batch, model, fresh, waiting in rows}


async def write(
    db: "PoolConnectionProxy", tallies: Collection[Tally], results: Sequence[tuple[Any, ...]]
) -> Collection[int]:
    """Bring tallies and streams up to date, and store what arrived; return the numbers of batches that are ripe.

    A batch that the turn named, but changes nothing of (a stale settlement, a pick of nothing), is left alone: its
    tally may show no open request, and then it has no last one to hold back.

    A row of ``results`` is (request, batch, how many of its batch come behind it in this turn, state, attempt, packed,
    outcome, started_at, ended_at, reason).
    """
    changed = [
        (tally.stored.num, sum(tally.finished.values()), tally.leased, *tally.finished.values(), tally.last)
        for tally in tallies
        if tally.settled or tally.leased
    ]
    moved = [(tally.stored.num, model, *more) for tally in tallies for model, more in tally.moved.items()]
    rows = await db.fetch(_WRITE, *columns(changed, 8), *columns(moved, 4), *columns(results, 10))
    closing = {tally.stored.num for tally in tallies if tally.stored.closing is not None}
    return {batch for batch, open_, leased in rows if open_ == 0 or (batch in closing and leased == 0)}


def columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Return rows as the columns that ``unnest`` takes."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
