"""Leasing in the PostgreSQL store: due retries, then slices of fresh requests, of batches that are open for it.

Nobody waits for what another owner's turn has taken: its rows are skipped (``skip locked``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchyard.domain.request import Lease
from batchyard.ports import Pick, Short
from batchyard.store.postgres_rows import LEASED_COLUMNS, a_lease
from batchyard.store.postgres_tally import Tally, columns, pending
from batchyard.store.rows import SEQ_BITS, moment

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

_DUE = """
with wanted as (
    select * from unnest($1::bigint[], $2::int[], $3::int[]) with ordinality w (batch, model, wanted, nth)
), held as (
    select w.nth, d.request from wanted w cross join lateral (
        select w1.request from waiting w1 join (
            select request from waiting where batch = w.batch and model = w.model and ready_at <= $4
            order by ready_at limit greatest(1000, w.wanted)
        ) oldest on oldest.request = w1.request
        order by w1.request limit w.wanted for update of w1 skip locked
    ) d
), gone as (
    delete from waiting using held where waiting.request = held.request
)
select nth, request from held order by nth, request
"""
"""Of the 1,000 that are due longest, in the order of the requests; index waiting_due."""
_FRESH = """
with wanted as (
    select * from unnest($1::bigint[], $2::int[], $3::int[]) with ordinality w (batch, model, wanted, nth)
), held as (
    select w.nth, w.wanted, p.* from wanted w cross join lateral (
        select batch, model, part, seqs, taken, cardinality(seqs) - taken as had from parts
        where batch = w.batch and model = w.model order by part limit 1 + (w.wanted + 126) / 128
        for update skip locked
    ) p
), cut as (
    select *, least(had, greatest(0, wanted - coalesce(sum(had) over
        (partition by nth order by part rows between unbounded preceding and 1 preceding), 0)))::int as took
    from held
), gone as (
    delete from parts p using cut c
    where p.batch = c.batch and p.model = c.model and p.part = c.part and c.took = c.had
), kept as (
    update parts p set taken = c.taken + c.took from cut c
    where p.batch = c.batch and p.model = c.model and p.part = c.part and c.took between 1 and c.had - 1
)
select nth, seqs[taken + 1 : taken + took] from cut where took > 0 order by nth, part
"""
"""Slices of the first parts that nobody else is taking from; the primary key of parts."""
_LEASE = f"""
with l as (
    insert into leases (request, owner, attempt)
    select r.id, $2, r.attempt + 1 from unnest($1::bigint[]) v (id) join requests r on r.id = v.id
    returning request, attempt
)
select {LEASED_COLUMNS} from l join requests r on r.id = l.request
"""  # noqa: S608
_NEXT = "select min(ready_at) from waiting where batch = $1 and model = $2"


@dataclass(slots=True)
class _Wish:
    """All that a turn's picks want of one batch and model, and what it got."""

    tally: Tally
    model: int
    wanted: int = 0
    got: list[int] = field(default_factory=list)


class Chosen:
    """What the picks of one turn come to: the requests to lease, and the picks that got less than they asked for."""

    def __init__(self, tallies: Mapping[str, Tally], now: int) -> None:
        self.requests: list[int] = []
        self._tallies, self._now = tallies, now
        self._short: list[Pick] = []

    async def take(self, db: "PoolConnectionProxy", picks: Sequence[Pick]) -> None:
        """Take what is picked out of waiting and parts: due retries first, then fresh ones in their order."""
        wishes = self._wishes(picks)
        await self._take_due(db, list(wishes.values()))
        await self._take_fresh(db, list(wishes.values()))
        for pick in picks:
            tally = self._tallies.get(pick.batch)
            if tally is None or not tally.stored.leasable(self._now):
                continue
            wish = wishes.get((pick.batch, pick.model))
            got = [] if wish is None else wish.got[: pick.limit]
            if wish is not None:
                del wish.got[: pick.limit]
            self.requests += got
            tally.leased += len(got)
            if len(got) < pick.limit:
                self._short.append(pick)

    def _wishes(self, picks: Sequence[Pick]) -> dict[tuple[str, str], _Wish]:
        wishes: dict[tuple[str, str], _Wish] = {}
        for pick in picks:
            tally = self._tallies.get(pick.batch)
            if tally is None or not tally.stored.leasable(self._now) or pick.model not in tally.models:
                continue
            wish = wishes.setdefault((pick.batch, pick.model), _Wish(tally, tally.models.index(pick.model)))
            wish.wanted += pick.limit
        return wishes

    async def _take_due(self, db: "PoolConnectionProxy", wishes: Sequence[_Wish]) -> None:
        wishes = [wish for wish in wishes if wish.wanted]
        if not wishes:
            return
        asked = [(wish.tally.stored.num, wish.model, wish.wanted) for wish in wishes]
        for nth, request in await db.fetch(_DUE, *columns(asked, 3), self._now):
            wishes[nth - 1].got.append(request)
        for wish in wishes:
            wish.tally.move(wish.model, waiting=-len(wish.got))

    async def _take_fresh(self, db: "PoolConnectionProxy", wishes: Sequence[_Wish]) -> None:
        wishes = [wish for wish in wishes if len(wish.got) < wish.wanted]
        if not wishes:
            return
        asked = [(wish.tally.stored.num, wish.model, wish.wanted - len(wish.got)) for wish in wishes]
        for nth, seqs in await db.fetch(_FRESH, *columns(asked, 3)):
            wish = wishes[nth - 1]
            wish.got += [wish.tally.stored.first + seq for seq in seqs]
            wish.tally.move(wish.model, fresh=-len(seqs))

    async def short(self, db: "PoolConnectionProxy") -> Sequence[Short]:
        """Return the picks that got too little, as it is once the turn is written."""
        if not self._short:
            return []
        left = await pending(db, {self._tallies[pick.batch].stored.num for pick in self._short})
        short = []
        for pick in self._short:
            tally = self._tallies[pick.batch]
            model = tally.models.index(pick.model) if pick.model in tally.models else -1
            fresh, waiting = left.get((tally.stored.num, model), (0, 0))
            next_ready_at = None
            if fresh:  # another owner's turn has just taken from it: there is more, at once
                next_ready_at = moment(tally.stored.created_at)
            elif waiting and (ready_at := await db.fetchval(_NEXT, tally.stored.num, model)) is not None:
                next_ready_at = moment(ready_at)
            short.append(Short(pick.batch, pick.model, next_ready_at))
        return short


async def lease(
    db: "PoolConnectionProxy", owner: int | None, chosen: Sequence[int], tallies: Mapping[str, Tally]
) -> Sequence[Lease]:
    """Lease the chosen requests, which are pending."""
    if not chosen:
        return []
    by_id = {row["id"]: row for row in await db.fetch(_LEASE, chosen, owner)}
    assert len(by_id) == len(chosen), f"{len(by_id)} of {len(chosen)} chosen requests were leased"
    by_num = {tally.stored.num: tally for tally in tallies.values()}
    leases = []
    for id_ in chosen:
        tally = by_num[id_ >> SEQ_BITS]
        leases.append(a_lease(tally.stored, tally.models, by_id[id_]))
    return leases
