"""Carriers of the naive store: a flat list, and leases under the carrier's id."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from batchyard.domain.batch import Status
from batchyard.domain.request import Lease
from batchyard.ports import Carrier, CarrierState, NewCarrier, Owner, Pick
from tests.contract.naive import NaiveStore


class NaiveStoreWithCarriers(NaiveStore):
    """A ``Store`` for a handful of requests."""

    carriers: tuple[tuple[str, Carrier], ...] = ()
    """Who tends it, and the carrier."""

    async def make(self, tender: str, new: NewCarrier, pick: Pick) -> tuple[Carrier, Sequence[Lease]] | None:
        leases = self.lease(new.id, pick, new.created_at, new)
        self.beats.pop(new.id, None)
        if not leases:
            return None
        [batch] = [batch for batch in self.batches if batch.id == pick.batch]
        carrier = Carrier(
            new.id,
            new.lane,
            CarrierState.MADE,
            None,
            batch.id,
            batch.version,
            batch.betas,
            len(leases),
            new.created_at,
            new.ends_by,
            batch.expires_at,
            closing=False,
        )
        self.beats.setdefault(tender, new.created_at)
        self.carriers += ((tender, carrier),)
        return carrier, await self.members(new.id)

    async def reclaim(self, owner: str, now: datetime) -> int:
        if owner in self.beats:
            self.carriers = tuple(("" if who == owner else who, carrier) for who, carrier in self.carriers)
        return await super().reclaim(owner, now)

    async def owners(self, now: datetime) -> Sequence[Owner]:
        tenders = [who for who, _ in self.carriers]
        return [replace(owner, carriers=tenders.count(owner.id)) for owner in await super().owners(now)]

    async def sent(self, tender: str, carrier: str, upstream_id: str) -> bool:
        for who, known in self.carriers:
            if (who, known.id) == (tender, carrier) and known.upstream_id in {None, upstream_id}:
                changed = replace(known, state=CarrierState.SENT, upstream_id=upstream_id)
                self.carriers = tuple((w, changed if c is known else c) for w, c in self.carriers)
                return True
        return False

    async def tended(self, tender: str) -> Sequence[Carrier]:
        return [self.as_it_is(carrier) for who, carrier in self.carriers if who == tender]

    async def adopt(self, tender: str, now: datetime) -> Sequence[Carrier]:
        self.beats.setdefault(tender, now)
        living = {owner for owner, beat in self.beats.items() if now - beat <= self.lease_time}
        taken = [carrier for who, carrier in self.carriers if who not in {*living, tender}]
        self.carriers = tuple((tender if carrier in taken else who, carrier) for who, carrier in self.carriers)
        return [self.as_it_is(carrier) for carrier in taken]

    async def members(self, carrier: str) -> Sequence[Lease]:
        rows = [row for row in self.requests if row.owner == carrier]
        return [
            Lease(
                row.batch, row.seq, row.attempt, row.params, row.model, row.paid, row.failures, row.unknowns, row.deaths
            )
            for row in sorted(rows, key=lambda row: row.seq)
        ]

    async def finish(self, tender: str, carrier: str, *, lost: bool, now: datetime) -> bool:
        left = tuple((who, known) for who, known in self.carriers if (who, known.id) != (tender, carrier))
        if left == self.carriers:
            return False
        self.carriers = left
        for row in self.requests:
            if row.owner == carrier:
                row.owner, row.ready_at = None, now
                row.paid += 0 if lost else 1
        return True

    def as_it_is(self, carrier: Carrier) -> Carrier:
        for batch in self.batches:
            if batch.id == carrier.batch:
                return replace(carrier, closing=batch.closing is not None or batch.status is Status.ENDED)
        return replace(carrier, batch="", version="", betas=(), closing=True)
