"""Random lives of a store beside its model: every answer, and all that can be seen after every step, must agree."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from batchyard.domain.batch import Batch, Counts
from batchyard.domain.errors import BatchyardError
from batchyard.domain.ids import batch_id
from batchyard.domain.outcome import Settlement
from batchyard.domain.request import Lease
from batchyard.ports import Page, Pick, Store, Turn
from batchyard.testing.factories import NOW, a_batch, drafts, errored, failed, origin, retried, sealed_files, succeeded
from tests.contract.store_table import StoreFactory
from tests.contract.yard import recount

WORKSPACES = ("w1", "w2")
OWNERS = ("o1", "o2", "o3")
STRANGER = batch_id(NOW, 12345)
SECONDS = (0.0, 0.000001, 0.7, 5.3, 29.1, 61.7, 599.2, 43_201.9, 86_399.4)
"""Steps of the clock, about the size of every limit that a store knows."""

Verb = Callable[[Store], Coroutine[Any, Any, Any]]

workspaces = st.sampled_from(WORKSPACES)
owners = st.sampled_from(OWNERS)


@dataclass
class Held:
    """A lease that was given once, and to whom: it may be stale by now."""

    owner: str
    lease: Lease


def plain(answer: object) -> object:
    """Return an answer without what the contract leaves open: the kind of sequence, the order of sets."""
    match answer:
        case Turn(leases, stale, ripe):
            return (sorted(leases, key=lambda lease: lease.key), list(stale), sorted(ripe))
        case Page(batches, has_more):
            return (list(batches), has_more)
        case list() | tuple():
            return sorted(answer, key=repr)
        case _:
            return answer


async def first_page(workspace: str, store: Store) -> Page:
    return await store.page(workspace, after=None, before=None, limit=1000)


class StoreMachine(RuleBasedStateMachine):
    """Subclasses say which stores: the one under test, and its model."""

    real_factory: StoreFactory
    model_factory: StoreFactory
    survives_close = False

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.entropy = 0
        self.now = NOW
        self.real = self.open(type(self).real_factory, "real")
        self.model = self.open(type(self).model_factory, "model")
        self.batches: list[Batch] = []
        self.held: list[Held] = []
        self.seen: dict[str, Batch] = {}

    def open(self, factory: StoreFactory, name: str) -> Store:
        folder = Path(self.folder.name, name)
        folder.mkdir(exist_ok=True)
        return self.runner.run(factory(folder, lambda: self.entropy))

    def teardown(self) -> None:
        self.runner.run(self.real.close())
        self.runner.run(self.model.close())
        self.runner.close()
        self.folder.cleanup()

    def ask(self, store: Store, verb: Verb) -> tuple[str, Any]:
        try:
            return "answered", self.runner.run(verb(store))
        except (BatchyardError, AssertionError) as refusal:
            return type(refusal).__name__, None

    def both(self, verb: Verb) -> Any:
        """Make both stores do it; return the answer they agree on, None where they refuse."""
        (how, real), (expected_how, expected) = self.ask(self.real, verb), self.ask(self.model, verb)
        assert (how, plain(real)) == (expected_how, plain(expected))
        return real

    def any_batch(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from([STRANGER, *[batch.id for batch in self.batches]]), label="batch")

    @initialize(entropy=st.integers(0, 2**80))
    def begin(self, entropy: int) -> None:
        self.entropy = entropy

    @rule(seconds=st.sampled_from(SECONDS))
    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(
        workspace=workspaces,
        requests=st.integers(1, 4),
        sent=st.sampled_from(["x", "y"]),
        caller=st.sampled_from(["key-1", "key-1", "key-2"]),
        retry=st.sampled_from([0, 0, 1]),
        key=st.sampled_from([None, None, "mine"]),
        lasts=st.sampled_from([30.3, 86_400.0]),
        took=st.sampled_from([0.0, 6.1, 610.3]),
        behind=st.sampled_from([0.0, 0.0, 3.3]),
        defend=st.booleans(),
        entropy=st.integers(0, 3),
    )
    def create(
        self,
        *,
        workspace: str,
        requests: int,
        sent: str,
        caller: str,
        retry: int,
        key: str | None,
        lasts: float,
        took: float,
        behind: float,
        defend: bool,
        entropy: int,
    ) -> None:
        self.entropy = entropy
        at = self.now - timedelta(seconds=behind)
        new = a_batch(
            workspace, created_at=at, expires_after=timedelta(seconds=lasts), body=f"{len(self.batches)}.body"
        )
        came = origin(caller, sent=sent, began_at=at - timedelta(seconds=took), retry=retry, idempotency_key=key)
        batch = self.both(lambda store: store.create(new, drafts(requests), came, defend=defend))
        if batch is not None and batch.id not in self.seen:
            self.batches.append(batch)
            self.now = max(self.now, batch.created_at)

    @rule(data=st.data(), workspace=workspaces)
    def cancel(self, data: st.DataObject, workspace: str) -> None:
        batch = self.any_batch(data)
        self.both(lambda store: store.cancel(workspace, batch, self.now))

    @rule(data=st.data(), workspace=workspaces)
    def delete(self, data: st.DataObject, workspace: str) -> None:
        batch = self.any_batch(data)
        self.both(lambda store: store.delete(workspace, batch))

    @rule(
        data=st.data(), workspace=workspaces, limit=st.integers(1, 3), cursors=st.tuples(st.booleans(), st.booleans())
    )
    def page(self, data: st.DataObject, workspace: str, limit: int, cursors: tuple[bool, bool]) -> None:
        after, before = (self.any_batch(data) if given else None for given in cursors)
        self.both(lambda store: store.page(workspace, after=after, before=before, limit=limit))

    @rule(owner=owners)
    def beat(self, owner: str) -> None:
        self.both(lambda store: store.beat(owner, self.now))

    @rule(data=st.data(), owner=owners, behind=st.sampled_from([0.0, 0.0, 0.0, 20.2]))
    def turn(self, data: st.DataObject, owner: str, behind: float) -> None:
        newest = max([NOW, *[batch.created_at for batch in self.batches]])
        now = max(newest, self.now - timedelta(seconds=behind))
        picks = self.some_picks(data)
        settlements = self.some_settlements(data, owner)
        turn = self.both(lambda store: store.turn(owner, settlements, picks, now))
        self.held += [Held(owner, lease) for lease in turn.leases]

    def some_picks(self, data: st.DataObject) -> Sequence[Pick]:
        if not self.batches:
            return [Pick(STRANGER, 2)]
        newest = [batch.id for batch in self.batches[-3:]]
        limits = data.draw(st.dictionaries(st.sampled_from(newest), st.integers(0, 4)), label="picks")
        return [Pick(batch, limit) for batch, limit in limits.items()]

    def some_settlements(self, data: st.DataObject, owner: str) -> Sequence[Settlement]:
        """Draw settlements mostly of the owner's own leases, now and then of another's, an older or a newer attempt."""
        recent = [held for held in self.held[-12:] if held.owner == owner] or self.held[-4:]
        if not recent:
            return []
        chosen = data.draw(st.lists(st.sampled_from(recent), max_size=4), label="settled")
        return [self.a_settlement(data, held.lease) for held in chosen]

    def a_settlement(self, data: st.DataObject, lease: Lease) -> Settlement:
        lease = replace(lease, attempt=lease.attempt + data.draw(st.sampled_from([0, 0, 0, 0, 1, -1]), label="off"))
        ready_at = self.now + timedelta(seconds=data.draw(st.sampled_from([0.0, 5.3, 90.9]), label="wait"))
        match data.draw(st.sampled_from(["succeeded", "succeeded", "errored", "retried", "failed"]), label="how"):
            case "succeeded":
                return succeeded(lease, b'{"attempt":%d}' % lease.attempt, at=self.now)
            case "errored":
                return errored(lease, at=self.now)
            case "retried":
                return retried(lease, ready_at, at=self.now)
        return failed(lease, ready_at, at=self.now)

    @rule(owner=owners)
    def reclaim(self, owner: str) -> None:
        self.both(lambda store: store.reclaim(owner, self.now))

    @rule()
    def expire(self) -> None:
        self.both(lambda store: store.expire(self.now))

    @rule(data=st.data(), right=st.sampled_from([True, True, True, False]))
    def seal(self, data: st.DataObject, right: bool) -> None:
        ripe = [batch.id for batch in self.runner.run(self.model.ripe())]
        batch = data.draw(st.sampled_from(ripe)) if ripe else self.any_batch(data)
        counts = recount(self.finals_of(self.model, batch)) if ripe else Counts(succeeded=1)
        if not right:
            counts = replace(counts, expired=counts.expired + 1, canceled=max(0, counts.canceled - 1))
        self.both(lambda store: store.seal(batch, sealed_files(batch), counts, self.now))

    @rule(limit=st.integers(1, 5))
    def sweep(self, limit: int) -> None:
        self.both(lambda store: store.sweep(limit))

    @rule(seconds=st.sampled_from(SECONDS))
    def archive(self, seconds: float) -> None:
        self.both(lambda store: store.archive(self.now - timedelta(seconds=seconds), self.now))

    @precondition(lambda self: self.survives_close)
    @rule()
    def reopen(self) -> None:
        self.runner.run(self.real.close())
        self.real = self.open(type(self).real_factory, "real")

    def finals_of(self, store: Store, batch: str) -> list[Any]:
        async def gather() -> list[Any]:
            return [replace(final, traces=tuple(final.traces)) async for part in store.finals(batch) for final in part]

        return self.runner.run(gather())

    @invariant()
    def all_that_can_be_seen_agrees(self) -> None:
        for workspace in WORKSPACES:
            page = self.both(partial(first_page, workspace))
            for batch in page.batches:
                assert self.runner.run(self.real.get(workspace, batch.id)) == batch
                self.check_against_the_past(batch)
        self.both(lambda store: store.backlog(self.now))
        self.both(lambda store: store.dead(self.now))
        self.both(lambda store: store.blobs())
        for batch in self.both(lambda store: store.ripe()):
            assert self.finals_of(self.real, batch.id) == self.finals_of(self.model, batch.id)

    def check_against_the_past(self, batch: Batch) -> None:
        past = self.seen.get(batch.id, batch)
        now, before = batch.counts, past.counts
        assert now.total == before.total
        assert now.processing <= before.processing
        assert all(
            getattr(now, word) >= getattr(before, word) for word in ("succeeded", "errored", "canceled", "expired")
        )
        assert (now.processing == 0) == (batch.ended_at is not None)
        assert past.ended_at in (None, batch.ended_at)
        self.seen[batch.id] = batch
