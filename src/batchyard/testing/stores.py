"""Stores that are slow or fail, around any other: a store that is only fast and kind hides bugs of order."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from enum import Enum
from typing import TypeVar

from batchyard.domain.batch import Batch, Counts, Sealed
from batchyard.domain.errors import StoreUnavailable
from batchyard.domain.outcome import Settlement
from batchyard.domain.quota import Load
from batchyard.domain.request import Drafts, Lease, Origin
from batchyard.ports import (
    Carrier,
    Final,
    LaneHistory,
    NewBatch,
    NewCarrier,
    Owner,
    Page,
    Pick,
    Ready,
    Store,
    Turn,
    Views,
)

T = TypeVar("T")


class StoreAround:
    """Hands every verb on to another store, by way of ``_call``: its one place to wait or to fail."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner

    async def _call(self, verb: str, act: Callable[[], Awaitable[T]]) -> T:  # noqa: ARG002  (for subclasses)
        return await act()

    @property
    def views(self) -> Views:
        return self._inner.views

    @property
    def lane_history(self) -> LaneHistory:
        return self._inner.lane_history

    async def close(self) -> None:
        await self._call("close", self._inner.close)

    async def create(self, new: NewBatch, drafts: Drafts, origin: Origin, *, defend: bool) -> Batch:
        return await self._call("create", lambda: self._inner.create(new, drafts, origin, defend=defend))

    async def load(self, workspace: str) -> Load:
        return await self._call("load", lambda: self._inner.load(workspace))

    async def get(self, workspace: str, batch_id: str) -> Batch:
        return await self._call("get", lambda: self._inner.get(workspace, batch_id))

    async def page(self, workspace: str, *, after: str | None, before: str | None, limit: int) -> Page:
        return await self._call("page", lambda: self._inner.page(workspace, after=after, before=before, limit=limit))

    async def cancel(self, workspace: str, batch_id: str, now: datetime) -> Batch:
        return await self._call("cancel", lambda: self._inner.cancel(workspace, batch_id, now))

    async def pause(self, workspace: str, batch_id: str, *, paused: bool) -> Batch:
        return await self._call("pause", lambda: self._inner.pause(workspace, batch_id, paused=paused))

    async def delete(self, workspace: str, batch_id: str) -> Batch:
        return await self._call("delete", lambda: self._inner.delete(workspace, batch_id))

    async def beat(self, owner: str, now: datetime) -> int:
        return await self._call("beat", lambda: self._inner.beat(owner, now))

    async def backlog(self, now: datetime) -> Sequence[Ready]:
        return await self._call("backlog", lambda: self._inner.backlog(now))

    async def turn(self, owner: str, settlements: Sequence[Settlement], picks: Sequence[Pick], now: datetime) -> Turn:
        return await self._call("turn", lambda: self._inner.turn(owner, settlements, picks, now))

    async def held(self, owner: str) -> Sequence[Lease]:
        return await self._call("held", lambda: self._inner.held(owner))

    async def leave(self, owner: str, now: datetime) -> int:
        return await self._call("leave", lambda: self._inner.leave(owner, now))

    async def pause_lane(self, lane: str, *, paused: bool) -> None:
        await self._call("pause_lane", lambda: self._inner.pause_lane(lane, paused=paused))

    async def paused_lanes(self) -> Sequence[str]:
        return await self._call("paused_lanes", self._inner.paused_lanes)

    async def reclaim(self, owner: str, now: datetime) -> int:
        return await self._call("reclaim", lambda: self._inner.reclaim(owner, now))

    async def dead(self, now: datetime) -> Sequence[str]:
        return await self._call("dead", lambda: self._inner.dead(now))

    async def owners(self, now: datetime) -> Sequence[Owner]:
        return await self._call("owners", lambda: self._inner.owners(now))

    async def expire(self, now: datetime) -> Sequence[str]:
        return await self._call("expire", lambda: self._inner.expire(now))

    async def ended(self, since: datetime) -> Sequence[Batch]:
        return await self._call("ended", lambda: self._inner.ended(since))

    async def due(self, before: datetime) -> Sequence[Batch]:
        return await self._call("due", lambda: self._inner.due(before))

    async def ripe(self) -> Sequence[Batch]:
        return await self._call("ripe", self._inner.ripe)

    async def finals(self, batch_id: str) -> AsyncIterator[Sequence[Final]]:
        slices = aiter(self._inner.finals(batch_id))

        async def following() -> Sequence[Final] | None:
            return await anext(slices, None)

        while (part := await self._call("finals", following)) is not None:
            yield part

    async def seal(self, batch_id: str, sealed: Sealed, counts: Counts, now: datetime) -> Batch | None:
        return await self._call("seal", lambda: self._inner.seal(batch_id, sealed, counts, now))

    async def sweep(self, limit: int) -> int:
        return await self._call("sweep", lambda: self._inner.sweep(limit))

    async def archive(self, created_before: datetime, now: datetime) -> Sequence[Batch]:
        return await self._call("archive", lambda: self._inner.archive(created_before, now))

    async def blobs(self) -> set[str]:
        return await self._call("blobs", self._inner.blobs)

    async def make(self, tender: str, new: NewCarrier, pick: Pick) -> tuple[Carrier, Sequence[Lease]] | None:
        return await self._call("make", lambda: self._inner.make(tender, new, pick))

    async def sent(self, tender: str, carrier: str, upstream_id: str) -> bool:
        return await self._call("sent", lambda: self._inner.sent(tender, carrier, upstream_id))

    async def tended(self, tender: str) -> Sequence[Carrier]:
        return await self._call("tended", lambda: self._inner.tended(tender))

    async def adopt(self, tender: str, now: datetime) -> Sequence[Carrier]:
        return await self._call("adopt", lambda: self._inner.adopt(tender, now))

    async def members(self, carrier: str) -> Sequence[Lease]:
        return await self._call("members", lambda: self._inner.members(carrier))

    async def finish(self, tender: str, carrier: str, *, lost: bool, now: datetime) -> bool:
        return await self._call("finish", lambda: self._inner.finish(tender, carrier, lost=lost, now=now))


class SlowStore(StoreAround):
    """Each call takes ``seconds(verb)`` of the running loop's time and takes effect in the middle of it.

    Calls overlap: a short one that begins later may take effect earlier, unless ``one_at_a_time`` is on.
    """

    def __init__(self, inner: Store, seconds: Callable[[str], float], *, one_at_a_time: bool = False) -> None:
        super().__init__(inner)
        self._seconds = seconds
        self._turns = asyncio.Semaphore(1) if one_at_a_time else None

    async def _call(self, verb: str, act: Callable[[], Awaitable[T]]) -> T:
        if self._turns is None:
            return await self._slowly(verb, act)
        async with self._turns:
            return await self._slowly(verb, act)

    async def _slowly(self, verb: str, act: Callable[[], Awaitable[T]]) -> T:
        half = self._seconds(verb) / 2
        await asyncio.sleep(half)
        answer = await act()
        await asyncio.sleep(half)
        return answer


class Fault(Enum):
    """When a call fails: before it took effect, or after, so that nobody learns that it did."""

    BEFORE = "before"
    AFTER = "after"


class FailingStore(StoreAround):
    """Raises ``StoreUnavailable`` where ``choose(verb, n)`` names a fault; ``n`` counts calls of that verb from 1."""

    def __init__(self, inner: Store, choose: Callable[[str, int], Fault | None]) -> None:
        super().__init__(inner)
        self._choose = choose
        self._calls: Counter[str] = Counter()

    async def _call(self, verb: str, act: Callable[[], Awaitable[T]]) -> T:
        self._calls[verb] += 1
        fault = self._choose(verb, self._calls[verb])
        if fault is Fault.BEFORE:
            raise StoreUnavailable(f"{verb} was made to fail before it took effect")
        answer = await act()
        if fault is Fault.AFTER:
            raise StoreUnavailable(f"{verb} was made to fail after it took effect")
        return answer
