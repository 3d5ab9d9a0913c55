"""Carriers of the reference store: their members lie among the leases, under the carrier's own id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from batchyard.domain.batch import Status
from batchyard.domain.request import Lease
from batchyard.ports import Carrier, CarrierState, NewCarrier, Owner, Pick
from batchyard.store.memory_batch import Row, StoredBatch

Held = dict[str, dict[tuple[str, int], Row]]


NOBODY = ""
"""The tender of a carrier whose own was reclaimed; no owner is called so."""


@dataclass(slots=True)
class _Tended:
    carrier: Carrier
    tender: str


class MemoryCarriers:
    """The port ``Carriers`` over what the store holds: batches, owners and their leases."""

    def __init__(
        self, batches: Mapping[str, StoredBatch], owners: dict[str, datetime], leased: Held, lease_time: timedelta
    ) -> None:
        self._batches, self._owners, self._leased, self._lease_time = batches, owners, leased, lease_time
        self._open: dict[str, _Tended] = {}
        self._used: set[str] = set()

    def make(self, tender: str, new: NewCarrier, pick: Pick) -> tuple[Carrier, Sequence[Lease]] | None:
        assert new.id not in self._used, f"carrier {new.id} is made twice"
        stored = self._batches.get(pick.batch)
        if stored is None:
            return None
        limit = new.fitting(stored.next_lengths(pick.model, pick.limit, new.created_at))
        rows = list(stored.lease(new.id, pick.model, limit, new.created_at))
        if not rows:
            return None
        batch = stored.batch
        carrier = Carrier(
            id=new.id,
            lane=new.lane,
            state=CarrierState.MADE,
            upstream_id=None,
            batch=batch.id,
            version=batch.version,
            betas=batch.betas,
            members=len(rows),
            created_at=new.created_at,
            ends_by=new.ends_by,
            expires_at=batch.expires_at,
            closing=False,
        )
        self._used.add(new.id)
        self._owners.setdefault(tender, new.created_at)
        self._open[new.id] = _Tended(carrier, tender)
        self._leased[new.id] = {row.lease.key: row for row in rows}
        return carrier, sorted((row.lease for row in rows), key=lambda lease: lease.seq)

    def sent(self, tender: str, carrier: str, upstream_id: str) -> bool:
        held = self._of(tender, carrier)
        if held is None or held.carrier.upstream_id not in {None, upstream_id}:
            return False
        held.carrier = replace(held.carrier, state=CarrierState.SENT, upstream_id=upstream_id)
        return True

    def tended(self, tender: str) -> Sequence[Carrier]:
        return [self._now(held.carrier) for held in self._open.values() if held.tender == tender]

    def adopt(self, tender: str, now: datetime) -> Sequence[Carrier]:
        self._owners.setdefault(tender, now)
        orphans = [held for held in self._open.values() if held.tender != tender and self._is_dead(held.tender, now)]
        for held in orphans:
            held.tender = tender
        return [self._now(held.carrier) for held in orphans]

    def members(self, carrier: str) -> Sequence[Lease]:
        rows = self._leased.get(carrier, {}) if carrier in self._open else {}
        return sorted((row.lease for row in rows.values()), key=lambda lease: lease.seq)

    def finish(self, tender: str, carrier: str, *, lost: bool, now: datetime) -> bool:
        held = self._of(tender, carrier)
        if held is None:
            return False
        del self._open[carrier]
        for row in self._leased.pop(carrier).values():
            self._batches[row.lease.batch].release(row, now, paid=0 if lost else 1)
        return True

    def owners(self, now: datetime) -> Sequence[Owner]:
        """Return every owner, with the carriers that it tends."""
        return [
            Owner(
                id=owner,
                beaten_at=beaten_at,
                lives=now - beaten_at < self._lease_time,
                leases=len(self._leased.get(owner, {})),
                carriers=len(self.tended(owner)),
            )
            for owner, beaten_at in self._owners.items()
        ]

    def forget(self, tender: str) -> None:
        """Its tender was reclaimed: whoever adopts them tends them, were it the same one, come back."""
        for held in self._open.values():
            if held.tender == tender:
                held.tender = NOBODY

    def _of(self, tender: str, carrier: str) -> _Tended | None:
        held = self._open.get(carrier)
        return held if held is not None and held.tender == tender else None

    def _is_dead(self, owner: str, now: datetime) -> bool:
        beaten_at = self._owners.get(owner)
        return beaten_at is None or now - beaten_at > self._lease_time

    def _now(self, carrier: Carrier) -> Carrier:
        stored = self._batches.get(carrier.batch)
        if stored is None:
            return replace(carrier, batch="", version="", betas=(), expires_at=carrier.ends_by, closing=True)
        return replace(carrier, closing=stored.batch.closing is not None or stored.batch.status is Status.ENDED)
