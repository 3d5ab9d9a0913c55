"""A store, and the steps that a test of it is not about: verbs that wait, with arguments that fit most tests."""

from collections.abc import Coroutine, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from batchyard.domain.batch import Batch, Counts, Sealed
from batchyard.domain.outcome import Settlement
from batchyard.domain.quota import Load
from batchyard.domain.request import Lease, Origin
from batchyard.domain.result import kind
from batchyard.ports import Carrier, Final, NewBatch, NewCarrier, Owner, Page, Pick, Ready, Store, Turn
from batchyard.testing.factories import MODEL, a_batch, drafts, later, origin, sealed_files, succeeded

T = TypeVar("T")
SOON = later(60)
AT_SEAL = later(120)
AT_ARCHIVE = later(3600)


class Run(Protocol):
    """Runs a coroutine to its end on the test's one loop."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T: ...


class Yard:
    """One store under test. Times default to a minute after ``NOW``, when batches were created."""

    def __init__(self, store: Store, run: Run) -> None:
        self.store = store
        self.run = run

    def create(
        self,
        requests: int = 1,
        new: NewBatch | None = None,
        came: Origin | None = None,
        *,
        defend: bool = False,
        models: Sequence[str] = (MODEL,),
        prefixes: Sequence[int] = (0,),
    ) -> Batch:
        packed = drafts(requests, models=models, prefixes=prefixes)
        return self.run(self.store.create(new or a_batch(), packed, came or origin(), defend=defend))

    def load(self, workspace: str = "w1") -> Load:
        return self.run(self.store.load(workspace))

    def get(self, batch: Batch, workspace: str | None = None) -> Batch:
        return self.run(self.store.get(workspace or batch.workspace, batch.id))

    def page(
        self, workspace: str = "w1", *, after: str | None = None, before: str | None = None, limit: int = 20
    ) -> Page:
        page = self.run(self.store.page(workspace, after=after, before=before, limit=limit))
        return replace(page, batches=list(page.batches))

    def cancel(self, batch: Batch, now: datetime = SOON, workspace: str | None = None) -> Batch:
        return self.run(self.store.cancel(workspace or batch.workspace, batch.id, now))

    def pause(self, batch: Batch, workspace: str | None = None, *, paused: bool = True) -> Batch:
        return self.run(self.store.pause(workspace or batch.workspace, batch.id, paused=paused))

    def delete(self, batch: Batch, workspace: str | None = None) -> Batch:
        return self.run(self.store.delete(workspace or batch.workspace, batch.id))

    def beat(self, owner: str, now: datetime = SOON) -> int:
        return self.run(self.store.beat(owner, now))

    def backlog(self, now: datetime = SOON) -> list[Ready]:
        return list(self.run(self.store.backlog(now)))

    def turn(
        self,
        settlements: Sequence[Settlement] = (),
        picks: Sequence[Pick] = (),
        *,
        owner: str = "o1",
        now: datetime = SOON,
    ) -> Turn:
        turn = self.run(self.store.turn(owner, settlements, picks, now))
        return Turn(list(turn.leases), list(turn.stale), sorted(turn.ripe), list(turn.short))

    def lease(
        self, batch: Batch, limit: int = 1000, *, owner: str = "o1", now: datetime = SOON, model: str = MODEL
    ) -> list[Lease]:
        return list(self.turn([], [Pick(batch.id, model, limit)], owner=owner, now=now).leases)

    def settle(self, *settlements: Settlement, owner: str = "o1", now: datetime = SOON) -> Turn:
        return self.turn(settlements, [], owner=owner, now=now)

    def held(self, owner: str = "o1") -> list[Lease]:
        return list(self.run(self.store.held(owner)))

    def reclaim(self, owner: str = "o1", now: datetime = SOON) -> int:
        return self.run(self.store.reclaim(owner, now))

    def leave(self, owner: str = "o1", now: datetime = SOON) -> int:
        return self.run(self.store.leave(owner, now))

    def dead(self, now: datetime) -> list[str]:
        return sorted(self.run(self.store.dead(now)))

    def owners(self, now: datetime = SOON) -> list[Owner]:
        return list(self.run(self.store.owners(now)))

    def expire(self, now: datetime) -> list[str]:
        return sorted(self.run(self.store.expire(now)))

    def ripe(self) -> list[str]:
        return sorted(batch.id for batch in self.run(self.store.ripe()))

    def slices(self, batch: Batch) -> list[list[Final]]:
        async def gather() -> list[list[Final]]:
            return [list(part) async for part in self.store.finals(batch.id)]

        return self.run(gather())

    def finals(self, batch: Batch) -> list[Final]:
        return [final for part in self.slices(batch) for final in part]

    def seal(
        self,
        batch: Batch,
        counts: Counts | None = None,
        *,
        sealed: Sealed | None = None,
        now: datetime = AT_SEAL,
    ) -> Batch | None:
        recounted = counts or recount(self.finals(batch))
        return self.run(self.store.seal(batch.id, sealed or sealed_files(batch.id), recounted, now))

    def sweep(self, limit: int = 1_000_000) -> int:
        return self.run(self.store.sweep(limit))

    def archive(self, created_before: datetime, now: datetime = AT_ARCHIVE) -> list[Batch]:
        return sorted(self.run(self.store.archive(created_before, now)), key=lambda batch: batch.id)

    def blobs(self) -> set[str]:
        return self.run(self.store.blobs())

    def make(
        self,
        batch: Batch,
        limit: int = 1000,
        *,
        carrier: str = "c1",
        tender: str = "o1",
        now: datetime = SOON,
        max_bytes: int | None = None,
    ) -> tuple[Carrier, list[Lease]] | None:
        """Return a carrier of the batch's pending requests and its members; None where there are none."""
        new = NewCarrier(carrier, "up/simulator", now, batch.expires_at - timedelta(minutes=1), max_bytes)
        made = self.run(self.store.make(tender, new, Pick(batch.id, MODEL, limit)))
        return None if made is None else (made[0], list(made[1]))

    def made(
        self,
        batch: Batch,
        limit: int = 1000,
        *,
        carrier: str = "c1",
        tender: str = "o1",
        now: datetime = SOON,
        max_bytes: int | None = None,
    ) -> list[Lease]:
        """Make a carrier, which must be possible, and return its members."""
        made = self.make(batch, limit, carrier=carrier, tender=tender, now=now, max_bytes=max_bytes)
        assert made is not None
        return made[1]

    def sent(self, carrier: str = "c1", upstream_id: str = "up-1", *, tender: str = "o1") -> bool:
        return self.run(self.store.sent(tender, carrier, upstream_id))

    def tended(self, tender: str = "o1") -> list[Carrier]:
        return list(self.run(self.store.tended(tender)))

    def adopt(self, tender: str = "o2", now: datetime = SOON) -> list[str]:
        return [carrier.id for carrier in self.run(self.store.adopt(tender, now))]

    def members(self, carrier: str = "c1") -> list[Lease]:
        return list(self.run(self.store.members(carrier)))

    def finish(self, carrier: str = "c1", *, lost: bool = False, tender: str = "o1", now: datetime = SOON) -> bool:
        return self.run(self.store.finish(tender, carrier, lost=lost, now=now))

    def ended(self, requests: int = 1, new: NewBatch | None = None, came: Origin | None = None) -> Batch:
        """Return a batch that has ended, all its requests succeeded."""
        batch = self.create(requests, new, came)
        self.settle(*[succeeded(lease) for lease in self.lease(batch)])
        sealed = self.seal(batch)
        assert sealed is not None
        return sealed


def recount(finals: Sequence[Final]) -> Counts:
    """Return what a sealer counts while it writes the lines."""
    counts = Counts()
    for final in finals:
        word = kind(final.result)
        counts = replace(counts, **{word: getattr(counts, word) + 1})
    return counts
