"""Random lives of a store beside its model: every answer, and all that can be seen after every step, must agree."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import structs

from batchyard.domain.batch import Batch, Counts
from batchyard.domain.errors import BatchyardError
from batchyard.domain.ids import batch_id
from batchyard.domain.outcome import Settlement
from batchyard.domain.quota import Load
from batchyard.domain.request import Drafts, Lease, Origin
from batchyard.ports import NewBatch, NewCarrier, Page, Pick, Store, Turn
from batchyard.testing.factories import (
    MODEL,
    NOW,
    a_batch,
    drafts,
    errored,
    failed,
    origin,
    retried,
    sealed_files,
    succeeded,
)
from tests.contract.store_table import StoreFactory
from tests.contract.yard import recount

WORKSPACES = ("w1", "w2")
MODELS = (MODEL, "b", "c")
MIXES = ((MODEL,), (MODEL, "b"), ("b", "c", "b"))
OWNERS = ("o1", "o2", "o3")
STRANGER = batch_id(NOW, 12345)
SHORT = (0.0, 0.000001, 0.7, 5.3, 29.1, 61.7)
LONG = (599.2, 43_201.9, 86_399.4)
"""Steps of the clock, about the size of every limit that a store knows."""


MOVES = ["sent", "adopt", "members", "finish", "lost", "reclaim"]
Verb = Callable[[Store], Coroutine[Any, Any, Any]]

workspaces = st.sampled_from(WORKSPACES)
owners = st.sampled_from(OWNERS)


@dataclass
class Held:
    """A lease that was given, and to whom."""

    owner: str
    lease: Lease


def plain(answer: object) -> object:
    """Return an answer without what the contract leaves open: the kind of sequence, the order of sets."""
    match answer:
        case Turn(leases, stale, ripe, short):
            return (sorted(leases, key=lambda lease: lease.key), list(stale), sorted(ripe), list(short))
        case Page(batches, has_more):
            return (list(batches), has_more)
        case list() | tuple():
            return sorted(answer, key=repr)
        case _:
            return answer


async def create(new: NewBatch, packed: Drafts, came: Origin, defend: bool, store: Store) -> Batch:
    return await store.create(new, packed, came, defend=defend)


async def load(workspace: str, store: Store) -> Load:
    return await store.load(workspace)


async def cancel(workspace: str, batch: str, now: datetime, store: Store) -> Batch:
    return await store.cancel(workspace, batch, now)


async def held(owner: str, store: Store) -> Sequence[Lease]:
    return await store.held(owner)


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
        self.carriers = 0
        self.held: list[Held] = []
        self.spent: list[Held] = []
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

    @initialize(requests=st.lists(st.integers(1, 4), min_size=1, max_size=3), entropy=st.integers(0, 2**80))
    def begin(self, requests: list[int], entropy: int) -> None:
        self.entropy = entropy
        for workspace, number in zip(("w1", "w1", "w2"), requests, strict=False):
            new = a_batch(workspace, created_at=self.now, body=f"{len(self.batches)}.body")
            self.remember(self.both(partial(create, new, drafts(number), origin(began_at=self.now), False)))

    @rule(seconds=st.sampled_from(SHORT))
    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(seconds=st.sampled_from(LONG))
    def wait_long(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(
        workspace=workspaces,
        requests=st.integers(1, 4),
        models=st.sampled_from(MIXES),
        prefixes=st.sampled_from([(0,), (0,), (7, 0, 8), (7, 8)]),
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
        models: Sequence[str],
        prefixes: Sequence[int],
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
        packed = drafts(requests, models=models, prefixes=prefixes)
        self.remember(self.both(partial(create, new, packed, came, defend)))

    def remember(self, batch: Batch | None) -> None:
        if batch is not None and batch.id not in [known.id for known in self.batches]:
            self.batches.append(batch)
            self.now = max(self.now, batch.created_at)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancel a batch with calls in flight, if there is one."""
        busy = sorted({held.lease.batch for held in self.held})
        batch = data.draw(st.sampled_from(busy), label="busy") if busy else self.any_batch(data)
        for workspace in WORKSPACES:
            self.both(partial(cancel, workspace, batch, self.now))

    @rule(data=st.data(), workspace=workspaces, paused=st.booleans())
    def pause(self, data: st.DataObject, workspace: str, paused: bool) -> None:
        batch = self.any_batch(data)
        self.both(lambda store: store.pause(workspace, batch, paused=paused))

    @rule(data=st.data(), workspace=workspaces)
    def delete(self, data: st.DataObject, workspace: str) -> None:
        ended = [known.id for known in self.batches if known.id in self.seen and self.seen[known.id].ended_at]
        batch = data.draw(st.sampled_from(ended), label="ended") if ended else self.any_batch(data)
        gone = self.both(lambda store: store.delete(workspace, batch))
        self.batches = [known for known in self.batches if gone is None or known.id != batch]

    @rule(
        data=st.data(), workspace=workspaces, limit=st.integers(1, 3), cursors=st.tuples(st.booleans(), st.booleans())
    )
    def page(self, data: st.DataObject, workspace: str, limit: int, cursors: tuple[bool, bool]) -> None:
        after, before = (self.any_batch(data) if given else None for given in cursors)
        self.both(lambda store: store.page(workspace, after=after, before=before, limit=limit))

    @rule(owner=owners)
    def beat(self, owner: str) -> None:
        self.both(lambda store: store.beat(owner, self.now))

    def take_turn(self, owner: str, settlements: Sequence[Settlement], picks: Sequence[Pick], now: datetime) -> None:
        turn: Turn = self.both(lambda store: store.turn(owner, settlements, picks, now))
        settled = {settlement.lease for settlement in settlements} - {stale.lease for stale in turn.stale}
        self.spent += [held for held in self.held if held.lease in settled]
        self.held = [held for held in self.held if held.lease not in settled]
        self.held += [Held(owner, lease) for lease in turn.leases]

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), owner=owners, limit=st.integers(1, 3))
    def lease(self, data: st.DataObject, owner: str, limit: int) -> None:
        ready = [(ready.batch, ready.model) for ready in self.runner.run(self.model.backlog(self.now))]
        one = st.sampled_from(ready) if ready else st.tuples(st.just(self.any_batch(data)), st.sampled_from(MODELS))
        batch, model = data.draw(one, label="ready")
        self.take_turn(owner, [], [Pick(batch, model, limit)], self.now)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """Settle some of what an owner holds, as it should."""
        owner = data.draw(st.sampled_from(self.held), label="holder").owner
        own = [held.lease for held in self.held if held.owner == owner]
        leases = data.draw(st.lists(st.sampled_from(own), min_size=1, max_size=4, unique=True), label="settled")
        self.take_turn(owner, [self.a_settlement(data, lease) for lease in leases], [], self.now)

    @rule(data=st.data(), owner=owners, behind=st.sampled_from([0.0, 0.0, 20.2]))
    def turn(self, data: st.DataObject, owner: str, behind: float) -> None:
        """Settle and pick in one turn, now and then what the owner does not hold, or by a clock that is behind."""
        newest = max([NOW, *[batch.created_at for batch in self.batches]])
        now = max(newest, self.now - timedelta(seconds=behind))
        self.take_turn(owner, self.some_settlements(data, owner), self.some_picks(data), now)

    def some_picks(self, data: st.DataObject) -> Sequence[Pick]:
        names = [STRANGER, *[batch.id for batch in self.batches[-3:]]]
        keys = st.tuples(st.sampled_from(names), st.sampled_from(MODELS))
        limits = data.draw(st.dictionaries(keys, st.integers(0, 4)), label="picks")
        return [Pick(batch, model, limit) for (batch, model), limit in limits.items()]

    def some_settlements(self, data: st.DataObject, owner: str) -> Sequence[Settlement]:
        own = [held.lease for held in self.held if held.owner == owner]
        others = [held.lease for held in [*self.held, *self.spent[-6:]] if held.lease not in own]
        wrong = [structs.replace(lease, attempt=lease.attempt + step) for lease in own for step in (1, -1)]
        chosen = [
            *data.draw(st.lists(st.sampled_from(own), max_size=3) if own else st.just([]), label="own"),
            *data.draw(st.lists(st.sampled_from(others + wrong), max_size=2) if others + wrong else st.just([])),
        ]
        return [self.a_settlement(data, lease) for lease in data.draw(st.permutations(chosen), label="settled")]

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), owner=owners, kept=st.integers(0, 2))
    def run_out(self, data: st.DataObject, owner: str, kept: int) -> None:
        """Settle all that a batch still has, but for ``kept`` requests."""
        batch = data.draw(st.sampled_from(self.batches), label="batch").id
        self.take_turn(owner, [], [Pick(batch, model, 9) for model in MODELS], self.now)
        for holder in sorted({held.owner for held in self.held}):
            own = [held.lease for held in self.held if held.owner == holder and held.lease.batch == batch]
            self.take_turn(holder, [self.a_settlement(data, lease) for lease in own[kept:]], [], self.now)

    def a_settlement(self, data: st.DataObject, lease: Lease) -> Settlement:
        ready_at = self.now + timedelta(seconds=data.draw(st.sampled_from([0.0, 5.3, 90.9]), label="wait"))
        match data.draw(st.sampled_from(["succeeded", "succeeded", "errored", "retried", "failed"]), label="how"):
            case "succeeded":
                return succeeded(lease, b'{"attempt":%d}' % lease.attempt, at=self.now)
            case "errored":
                return errored(lease, at=self.now)
            case "retried":
                return retried(lease, ready_at, at=self.now)
        return failed(lease, ready_at, at=self.now)

    @rule(data=st.data())
    def reclaim(self, data: st.DataObject) -> None:
        busy = [held.owner for held in self.held if held.owner in OWNERS]
        owner = data.draw(st.sampled_from(busy or OWNERS), label="owner")
        if data.draw(st.booleans(), label="leaves"):
            self.both(lambda store: store.leave(owner, self.now))
        else:
            self.both(lambda store: store.reclaim(owner, self.now))
        self.spend(owner)

    def spend(self, owner: str) -> None:
        self.spent += [held for held in self.held if held.owner == owner]
        self.held = [held for held in self.held if held.owner != owner]

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), tender=owners, limit=st.integers(1, 3), most=st.sampled_from([None, 1, 150, 10_000]))
    def make(self, data: st.DataObject, tender: str, limit: int, most: int | None) -> None:
        """Make a carrier; its members are held by its id, and settled as any owner's."""
        ready = [(ready.batch, ready.model) for ready in self.runner.run(self.model.backlog(self.now))]
        one = st.sampled_from(ready) if ready else st.tuples(st.just(self.any_batch(data)), st.sampled_from(MODELS))
        batch, model = data.draw(one, label="ready")
        new = NewCarrier(f"carrier{self.carriers}", "lane", self.now, self.now + timedelta(hours=1), most)
        self.carriers += 1
        made = self.both(lambda store: store.make(tender, new, Pick(batch, model, limit)))
        self.held += [Held(new.id, lease) for lease in made[1]] if made else []

    @precondition(lambda self: self.carriers)
    @rule(
        data=st.data(), tender=owners, what=st.sampled_from(["sent", "adopt", "members", "finish", "lost", "reclaim"])
    )
    def tend(self, data: st.DataObject, tender: str, what: str) -> None:
        """Move a carrier, now and then one that another tends."""
        carrier = f"carrier{data.draw(st.integers(0, self.carriers - 1), label='carrier')}"
        match what:
            case "sent":
                self.both(lambda store: store.sent(tender, carrier, "up-1"))
            case "adopt":
                self.both(lambda store: store.adopt(tender, self.now))
            case "members":
                self.both(lambda store: store.members(carrier))
            case "reclaim":
                self.both(lambda store: store.reclaim(carrier, self.now))
            case _:
                if self.both(lambda store: store.finish(tender, carrier, lost=what == "lost", now=self.now)):
                    self.spend(carrier)
        self.both(lambda store: store.tended(tender))

    @rule()
    def expire(self) -> None:
        self.both(lambda store: store.expire(self.now))

    @rule(data=st.data(), closing=st.booleans(), right=st.sampled_from([True, True, True, False]))
    def seal(self, data: st.DataObject, *, closing: bool, right: bool) -> None:
        """Seal a ripe batch, canceled first where ``closing``, or try to seal one that is not ripe."""
        batch = self.any_batch(data)
        if closing:
            for workspace in WORKSPACES:
                self.both(partial(cancel, workspace, batch, self.now))
        ripe = [known.id for known in self.runner.run(self.model.ripe())]
        batch = data.draw(st.sampled_from(ripe), label="ripe") if ripe else batch
        counts = recount(self.finals_of(self.model, batch)) if ripe else Counts(succeeded=1)
        if not right:
            counts = replace(counts, expired=counts.expired + 1, canceled=max(0, counts.canceled - 1))
        self.both(lambda store: store.seal(batch, sealed_files(batch), counts, self.now))

    @rule(limit=st.integers(1, 5))
    def sweep(self, limit: int) -> None:
        self.both(lambda store: store.sweep(limit))

    @rule(seconds=st.sampled_from(SHORT + LONG))
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
            self.both(partial(load, workspace))
            for batch in page.batches:
                assert self.runner.run(self.real.get(workspace, batch.id)) == batch
                self.check_against_the_past(batch)
        self.both(lambda store: store.backlog(self.now))
        self.both(lambda store: store.dead(self.now))
        for owner in OWNERS:
            self.both(partial(held, owner))
        self.both(lambda store: store.owners(self.now))
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
