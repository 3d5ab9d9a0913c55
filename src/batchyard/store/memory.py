"""The reference store: batches in memory, gone with the process. Every other store answers as this one does.

No verb awaits, so each is one transaction. Tests and simulations run on it; the server does not.
"""

import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta

from batchyard.domain.batch import Batch, Counts, Sealed, Status
from batchyard.domain.errors import NotFound
from batchyard.domain.ids import batch_id
from batchyard.domain.labels import Wanted
from batchyard.domain.outcome import Settlement
from batchyard.domain.quota import Load
from batchyard.domain.request import Drafts, Lease, Origin
from batchyard.domain.result import Succeeded
from batchyard.ports import Carrier, Final, NewBatch, NewCarrier, Owner, Page, Pick, Ready, Short, Turn
from batchyard.store.memory_batch import Row, StoredBatch, ended_since
from batchyard.store.memory_carriers import MemoryCarriers
from batchyard.store.memory_lanes import MemoryLaneHistory, MemoryLanePauses
from batchyard.store.memory_repeats import earlier_create
from batchyard.store.memory_views import MemoryViews

_MICROSECOND = timedelta(microseconds=1)


class MemoryStore(MemoryLanePauses):
    """A ``Store``. ``entropy`` gives the random part of ids, so that a test can replay them."""

    def __init__(
        self, *, lease_seconds: float = 30.0, entropy: Callable[[], int] = lambda: secrets.randbits(80)
    ) -> None:
        super().__init__()
        self._lease_time = timedelta(seconds=lease_seconds)
        self._entropy = entropy
        self._batches: dict[str, StoredBatch] = {}  # in the order of creation, which is the order of ids
        self._running: dict[str, StoredBatch] = {}  # those that have not ended
        self._owners: dict[str, datetime] = {}
        self._leased: dict[str, dict[tuple[str, int], Row]] = {}  # owner -> what it holds
        self._doomed: deque[Row] = deque()
        self._last_created_at: datetime | None = None
        self.views = MemoryViews(self._batches)
        self.lane_history = MemoryLaneHistory()
        self._carriers = MemoryCarriers(self._batches, self._owners, self._leased, self._lease_time)

    async def close(self) -> None:
        """Nothing is held."""

    async def create(self, new: NewBatch, drafts: Drafts, origin: Origin, *, defend: bool) -> Batch:
        earlier = earlier_create(self._batches, new, origin, defend=defend)
        if earlier is not None:
            return earlier.batch
        new.quota.check(self._load(new.workspace), len(drafts), drafts.bytes)
        created_at = new.created_at
        if self._last_created_at is not None:
            created_at = max(created_at, self._last_created_at + _MICROSECOND)
        self._last_created_at = created_at
        batch = Batch(
            id=batch_id(created_at, self._entropy()),
            workspace=new.workspace,
            status=Status.IN_PROGRESS,
            counts=Counts(processing=len(drafts)),
            created_at=created_at,
            expires_at=new.expires_at + (created_at - new.created_at),
            version=new.version,
            betas=new.betas,
            body=new.body,
            labels=new.labels,
        )
        self._batches[batch.id] = self._running[batch.id] = StoredBatch(batch, drafts, origin)
        self._batches[batch.id].traceparent = new.traceparent
        return batch

    async def load(self, workspace: str) -> Load:
        return self._load(workspace)

    def _load(self, workspace: str) -> Load:
        own = [stored for stored in self._batches.values() if workspace == stored.batch.workspace]
        running = [stored for stored in own if stored.batch.status is not Status.ENDED]
        kept = sum(stored.bytes + stored.batch.sealed.size for stored in own if stored.batch.sealed)
        requests = sum(stored.open for stored in running)
        return Load(requests, len(running), kept + sum(stored.bytes for stored in running))

    async def get(self, workspace: str, batch_id: str) -> Batch:
        return self._find(workspace, batch_id).batch

    def _find(self, workspace: str, batch_id: str) -> StoredBatch:
        stored = self._batches.get(batch_id)
        if stored is None or stored.batch.workspace != workspace:
            raise NotFound(f"Message Batch {batch_id} not found.")
        return stored

    async def page(self, workspace: str, *, after: str | None, before: str | None, limit: int) -> Page:
        return await self.views.search(workspace, Wanted(), after=after, before=before, limit=limit)

    async def cancel(self, workspace: str, batch_id: str, now: datetime) -> Batch:
        stored = self._find(workspace, batch_id)
        stored.batch = stored.batch.begin_cancel(now)
        return stored.batch

    async def pause(self, workspace: str, batch_id: str, *, paused: bool) -> Batch:
        stored = self._find(workspace, batch_id)
        stored.batch = stored.batch.pause(paused=paused)
        return stored.batch

    async def delete(self, workspace: str, batch_id: str) -> Batch:
        stored = self._find(workspace, batch_id)
        stored.batch.check_deletable()
        del self._batches[batch_id]
        self.views.deleted(batch_id)
        return stored.batch

    async def beat(self, owner: str, now: datetime) -> int:
        self._owners[owner] = now
        return sum(now - beaten_at < self._lease_time for beaten_at in self._owners.values())

    async def backlog(self, now: datetime) -> Sequence[Ready]:
        return [
            Ready(
                batch=stored.batch.id,
                workspace=stored.batch.workspace,
                created_at=stored.batch.created_at,
                expires_at=stored.batch.expires_at,
                version=stored.batch.version,
                betas=stored.batch.betas,
                model=model,
                pending=pending,
                next_ready_at=next_ready_at,
            )
            for stored in self._running.values()
            if stored.leasable(now)
            for model, pending, next_ready_at in stored.ready()
        ]

    async def turn(self, owner: str, settlements: Sequence[Settlement], picks: Sequence[Pick], now: datetime) -> Turn:
        stale: list[Settlement] = []
        touched: dict[str, StoredBatch] = {}
        for settlement in settlements:
            if self._settle(owner, settlement):
                touched[settlement.lease.batch] = self._running[settlement.lease.batch]
            else:
                stale.append(settlement)
        ripe = [name for name, stored in touched.items() if stored.ripe]
        leases: list[Lease] = []
        short: list[Short] = []
        for pick in picks:
            stored = self._running.get(pick.batch)
            if stored is None or not stored.leasable(now):
                continue
            got = self._lease(owner, stored, pick, now)
            leases += got
            if len(got) < pick.limit:
                short.append(Short(pick.batch, pick.model, stored.next_ready_at(pick.model)))
        return Turn(leases, stale, ripe, short)

    def _settle(self, owner: str, settlement: Settlement) -> bool:
        held = self._leased.get(owner, {})
        row = held.get(settlement.lease.key)
        if row is None or row.lease.attempt != settlement.lease.attempt:
            return False
        del held[settlement.lease.key]
        stored = self._running[settlement.lease.batch]
        stored.settle(row, settlement)
        good = isinstance(row.result, Succeeded)
        self.views.settled(stored.batch.workspace, settlement, final=row.result is not None, good=good)
        return True

    def _lease(self, owner: str, stored: StoredBatch, pick: Pick, now: datetime) -> Sequence[Lease]:
        rows = list(stored.lease(owner, pick.model, pick.limit, now))
        if rows:
            self._owners.setdefault(owner, now)
            self._leased.setdefault(owner, {}).update((row.lease.key, row) for row in rows)
        return [row.lease for row in rows]

    async def held(self, owner: str) -> Sequence[Lease]:
        return sorted((row.lease for row in self._leased.get(owner, {}).values()), key=lambda lease: lease.key)

    async def reclaim(self, owner: str, now: datetime) -> int:
        if self._owners.pop(owner, None) is None:
            return 0
        self._carriers.forget(owner)
        rows = self._leased.pop(owner, {})
        for row in rows.values():
            self._running[row.lease.batch].reclaim(row, now)
        return len(rows)

    async def leave(self, owner: str, now: datetime) -> int:
        return await self.reclaim(owner, now)

    async def dead(self, now: datetime) -> Sequence[str]:
        return [owner for owner, beaten_at in self._owners.items() if now - beaten_at > self._lease_time]

    async def owners(self, now: datetime) -> Sequence[Owner]:
        return self._carriers.owners(now)

    async def expire(self, now: datetime) -> Sequence[str]:
        closed = []
        for stored in self._running.values():
            batch = stored.batch.begin_expiry(now)
            if batch is not stored.batch:
                stored.batch = batch
                closed.append(batch.id)
        return closed

    async def ripe(self) -> Sequence[Batch]:
        return [stored.batch for stored in self._running.values() if stored.ripe]

    async def ended(self, since: datetime) -> Sequence[Batch]:
        return ended_since(self._batches.values(), since)

    async def due(self, before: datetime) -> Sequence[Batch]:
        return [one.batch for one in self._running.values() if not one.batch.closing and one.batch.expires_at < before]

    async def finals(self, batch_id: str) -> AsyncIterator[Sequence[Final]]:
        if batch_id in self._running:
            for part in self._running[batch_id].finals():
                yield part

    async def seal(self, batch_id: str, sealed: Sealed, counts: Counts, now: datetime) -> Batch | None:
        stored = self._running.get(batch_id)
        if stored is None:
            return None
        recount = stored.recount()
        assert counts == recount, f"sealing {batch_id} as {counts}, but its rows show {recount}"
        stored.batch = stored.batch.end(counts, sealed, now)
        del self._running[batch_id]
        self._doomed.extend(stored.rows)
        stored.rows = []
        return stored.batch

    async def sweep(self, limit: int) -> int:
        swept = min(limit, len(self._doomed))
        for _ in range(swept):
            self._doomed.popleft()
        return swept

    async def archive(self, created_before: datetime, now: datetime) -> Sequence[Batch]:
        taken = []
        for stored in self._batches.values():
            if stored.batch.has_results and stored.batch.created_at < created_before:
                taken.append(stored.batch)
                stored.batch = stored.batch.archive(now)
        return taken

    async def blobs(self) -> set[str]:
        return {name for stored in self._batches.values() for name in _needed(stored.batch)}

    async def make(self, tender: str, new: NewCarrier, pick: Pick) -> tuple[Carrier, Sequence[Lease]] | None:
        return self._carriers.make(tender, new, pick)

    async def sent(self, tender: str, carrier: str, upstream_id: str) -> bool:
        return self._carriers.sent(tender, carrier, upstream_id)

    async def tended(self, tender: str) -> Sequence[Carrier]:
        return self._carriers.tended(tender)

    async def adopt(self, tender: str, now: datetime) -> Sequence[Carrier]:
        return self._carriers.adopt(tender, now)

    async def members(self, carrier: str) -> Sequence[Lease]:
        return self._carriers.members(carrier)

    async def finish(self, tender: str, carrier: str, *, lost: bool, now: datetime) -> bool:
        return self._carriers.finish(tender, carrier, lost=lost, now=now)


def _needed(batch: Batch) -> set[str]:
    if batch.status is not Status.ENDED:
        return {batch.body}
    if batch.sealed is None:
        return set()
    return {batch.body, batch.sealed.results, batch.sealed.index, batch.sealed.ledger}
