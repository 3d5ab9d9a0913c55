"""Committing settlements in the PostgreSQL store: each names its lease, and takes effect only while that is held."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchyard.domain.outcome import Finish, Retry, Settlement
from batchyard.domain.result import pack
from batchyard.store.postgres_rows import plain
from batchyard.store.postgres_tally import Tally, columns
from batchyard.store.rows import STATES, micros, open_kind

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

Held = tuple[int, Settlement, Tally]
"""A settlement that takes effect: the id of its request, itself, its batch."""

_RELEASE = """
delete from leases l using unnest($2::bigint[], $3::int[]) s (request, attempt)
where l.request = s.request and l.attempt = s.attempt and l.owner = $1 returning l.request, l.attempt
"""
_RETRY = """
with changed as (
    update requests r set attempt = v.attempt, paid = v.paid, failures = v.failures, unknowns = v.unknowns
    from unnest($1::bigint[], $2::int[], $3::int[], $4::int[], $5::int[]) v (id, attempt, paid, failures, unknowns)
    where r.id = v.id
), traced as (
    insert into attempts (request, attempt, outcome, started_at, ended_at, reason)
    select * from unnest($6::bigint[], $7::int[], $8::text[], $9::bigint[], $10::bigint[], $11::text[])
)
insert into waiting (request, batch, model, ready_at)
select v.id, v.id >> 24, r.model, v.ready_at from unnest($12::bigint[], $13::bigint[]) v (id, ready_at)
join requests r on r.id = v.id returning request, model
"""


async def judge(
    db: "PoolConnectionProxy", owner: int | None, settlements: Sequence[Settlement], tallies: Mapping[str, Tally]
) -> tuple[list[Held], list[Settlement]]:
    """End the leases that settlements name, and tell these from stale ones."""
    wanted = [
        (tallies[settlement.lease.batch].stored.first + settlement.lease.seq, settlement.lease.attempt)
        for settlement in settlements
        if settlement.lease.batch in tallies
    ]
    released: set[tuple[int, int]] = set()
    if wanted and owner is not None:
        released = {(row[0], row[1]) for row in await db.fetch(_RELEASE, owner, *columns(wanted, 2))}
    held: list[Held] = []
    stale: list[Settlement] = []
    for settlement in settlements:
        lease, tally = settlement.lease, tallies.get(settlement.lease.batch)
        id_ = -1 if tally is None else tally.stored.first + lease.seq
        if tally is not None and (id_, lease.attempt) in released:
            released.discard((id_, lease.attempt))  # settled once: a second settlement of the same lease is stale
            held.append((id_, settlement, tally))
        else:
            stale.append(settlement)
    return held, stale


@dataclass(slots=True)
class _Settled:
    """The rows that a turn's settlements become."""

    results: list[list[Any]] = field(default_factory=list)
    changed: list[tuple[int, ...]] = field(default_factory=list)
    attempts: list[tuple[Any, ...]] = field(default_factory=list)
    waiting: list[tuple[int, int]] = field(default_factory=list)

    def add(self, id_: int, settlement: Settlement, tally: Tally) -> None:
        """Decide what becomes of one request, and count it."""
        tally.settled = True
        tally.leased -= 1
        attempt, trace = settlement.lease.attempt, settlement.trace
        traced = (plain(trace.outcome), micros(trace.started_at), micros(trace.ended_at), plain(trace.reason))
        match settlement:
            case Finish(result=result):
                kind, packed = pack(result)
                self._finish(tally, kind, id_, attempt, packed, *traced)
            case Retry(ready_at=ready_at, paid=paid, failures=failures, unknowns=unknowns):
                self.changed.append((id_, attempt, paid, failures, unknowns))
                if tally.stored.closing is None:
                    self.attempts.append((id_, attempt, *traced))
                    self.waiting.append((id_, micros(ready_at)))
                else:
                    self._finish(tally, open_kind(tally.stored.closing), id_, attempt, b"", *traced)

    def _finish(self, tally: Tally, kind: str, id_: int, *rest: Any) -> None:
        self.results.append([id_, tally.stored.num, tally.finish(kind), STATES[kind], *rest])


async def settle(db: "PoolConnectionProxy", held: Sequence[Held]) -> list[tuple[Any, ...]]:
    """Let the settlements take effect; return the rows of results, which are stored with the tallies."""
    settled = _Settled()
    for id_, settlement, tally in held:
        settled.add(id_, settlement, tally)
    if settled.changed:
        rows = await db.fetch(
            _RETRY, *columns(settled.changed, 5), *columns(settled.attempts, 6), *columns(settled.waiting, 2)
        )
        models = {row["request"]: row["model"] for row in rows}
        for id_, _, tally in held:
            if id_ in models:
                tally.move(models[id_], waiting=1)
    totals = {tally.stored.num: sum(tally.finished.values()) for _, _, tally in held}
    for row in settled.results:  # which of the turn's it is becomes how many come behind it
        row[2] = totals[row[1]] - row[2]
    return [tuple(row) for row in settled.results]
