"""What the reference store shows of itself: sums kept while requests become final."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date

from batchyard.domain.batch import Batch, Status
from batchyard.domain.errors import NotFound
from batchyard.domain.labels import Wanted
from batchyard.domain.outcome import Finish, Settlement
from batchyard.domain.result import Errored, Succeeded
from batchyard.domain.standing import Standing
from batchyard.domain.usage import NO_USAGE, Minute, Usage, Used
from batchyard.ports import Arrived, Final, Page
from batchyard.store.memory_batch import StoredBatch

_Key = tuple[date, str, str, str]
"""Day, workspace, model, batch."""


class MemoryViews:
    """The ``Views`` of a memory store, over its batches."""

    def __init__(self, batches: Mapping[str, StoredBatch]) -> None:
        self._batches = batches
        self._requests: Counter[_Key] = Counter()
        self._usage: dict[_Key, Usage] = {}
        self._minutes: dict[tuple[str, int], Minute] = {}

    async def search(
        self, workspace: str, wanted: Wanted, *, after: str | None, before: str | None, limit: int
    ) -> Page:
        batches = [stored.batch for stored in self._batches.values() if stored.batch.workspace == workspace]
        mine = [batch for batch in batches if wanted.fits(batch.id, batch.status, batch.labels)]
        ids = [batch.id for batch in mine]
        newer_than = 0 if before is None else bisect_right(ids, before)
        older_than = len(ids) if after is None else bisect_left(ids, after)
        inside = mine[newer_than:older_than]
        shown = inside[:limit] if after is None and before is not None else inside[-limit:]
        return Page(shown[::-1], has_more=len(shown) < len(inside))

    async def arrivals(self, workspace: str, batch_id: str, *, after: int, limit: int) -> Sequence[Arrived]:
        came = sorted(
            (row for row in self._find(workspace, batch_id).rows if row.arrival > after), key=lambda row: row.arrival
        )
        return [Arrived(row.custom_id, row.final(None).result) for row in came[:limit]]

    async def rows(self, workspace: str, batch_id: str, *, first: int, limit: int) -> Sequence[Final]:
        stored = self._find(workspace, batch_id)
        return [row.final(stored.batch.closing) for row in stored.rows[first : first + limit]]

    async def errors(self, workspace: str, batch_id: str, *, limit: int) -> Sequence[Arrived]:
        rows = [row.final(None) for row in self._find(workspace, batch_id).rows if row.arrival]
        return [Arrived(row.custom_id, row.result) for row in rows if isinstance(row.result, Errored)][:limit]

    async def place(self, workspace: str, batch_id: str, custom_id: str) -> int | None:
        rows = self._find(workspace, batch_id).rows
        return next((row.lease.seq for row in rows if row.custom_id == custom_id), None)

    def _find(self, workspace: str, batch_id: str) -> StoredBatch:
        stored = self._batches.get(batch_id)
        if stored is None or stored.batch.workspace != workspace:
            raise NotFound(f"Message Batch {batch_id} not found.")
        return stored

    async def label(self, workspace: str, batch_id: str, name: str | None, changes: Mapping[str, str | None]) -> Batch:
        stored = self._find(workspace, batch_id)
        stored.batch = replace(stored.batch, labels=stored.batch.labels.edited(name, changes))
        return stored.batch

    def settled(self, workspace: str, settlement: Settlement, *, final: bool, good: bool) -> None:
        """Count a settlement that took effect."""
        if not final:
            return
        ended_at = settlement.trace.ended_at
        usage = settlement.usage if isinstance(settlement, Finish) else NO_USAGE
        minute = int(ended_at.timestamp()) // 60
        then = self._minutes.get((workspace, minute), Minute(minute, 0, 0, 0, 0))
        self._minutes[workspace, minute] = _plus(then, Minute(minute, 1, 0 if good else 1, *_tokens(usage)))
        if isinstance(settlement, Finish) and isinstance(settlement.result, Succeeded):
            self._add((ended_at.date(), workspace, settlement.model, settlement.lease.batch), 1, usage)

    def deleted(self, batch: str) -> None:
        """Keep what the batch used under no batch."""
        for key in [key for key in self._usage if key[3] == batch]:
            self._add((*key[:3], ""), self._requests.pop(key), self._usage.pop(key))

    def _add(self, key: _Key, requests: int, usage: Usage) -> None:
        self._requests[key] += requests
        self._usage[key] = self._usage.get(key, NO_USAGE) + usage

    async def usage(self, workspace: str | None, first: date, last: date, *, by_batch: bool) -> Sequence[Used]:
        sums: dict[_Key, Used] = {}
        for used in self._all():
            if first <= used.day <= last and workspace in (None, used.workspace):
                key = (used.day, used.workspace, used.model, used.batch if by_batch else "")
                sums[key] = _sum(sums.get(key), replace(used, batch=key[3]))
        return [sums[key] for key in sorted(sums)]

    async def batch_usage(self, workspace: str, batches: Sequence[str]) -> Sequence[Used]:
        return [used for used in self._all() if used.workspace == workspace and used.batch and used.batch in batches]

    async def traceparents(self, batches: Collection[str]) -> Mapping[str, str]:
        had = {batch: self._batches[batch].traceparent for batch in batches if batch in self._batches}
        return {batch: text for batch, text in had.items() if text}

    async def standing(self) -> Sequence[Standing]:
        every = sorted({stored.batch.workspace for stored in self._batches.values()})
        return [one for one in map(self._standing, every) if one != Standing(one.workspace)]

    def _standing(self, workspace: str) -> Standing:
        own = [stored for stored in self._batches.values() if workspace == stored.batch.workspace]
        live = [stored for stored in own if stored.batch.status is not Status.ENDED]
        going = [stored.batch for stored in live if stored.batch.status is Status.IN_PROGRESS]
        sealed = [stored for stored in own if stored.batch.sealed]
        return Standing(
            workspace,
            running=sum(not batch.paused for batch in going),
            paused=sum(batch.paused for batch in going),
            canceling=len(live) - len(going),
            open=sum(stored.open for stored in live),
            leased=sum(row.owner is not None for stored in live for row in stored.rows),
            oldest=min((stored.batch.created_at for stored in live), default=None),
            soonest=min((stored.batch.expires_at for stored in live), default=None),
            kept=len(sealed),
            bytes=sum(stored.bytes for stored in (*live, *sealed))
            + sum(stored.batch.sealed.size for stored in sealed if stored.batch.sealed),
        )

    async def minutes(self, workspace: str | None, first: int) -> Sequence[Minute]:
        sums: dict[int, Minute] = {}
        for (owner, at), minute in self._minutes.items():
            if at >= first and workspace in (None, owner):
                sums[at] = _plus(sums.get(at, Minute(at, 0, 0, 0, 0)), minute)
        return [sums[at] for at in sorted(sums)]

    def _all(self) -> list[Used]:
        return [
            Used(day, workspace, model, batch, self._requests[day, workspace, model, batch], usage)
            for (day, workspace, model, batch), usage in sorted(self._usage.items(), key=lambda one: one[0])
        ]


def _sum(one: Used | None, other: Used) -> Used:
    if one is None:
        return other
    return replace(one, requests=one.requests + other.requests, usage=one.usage + other.usage)


def _tokens(usage: Usage) -> tuple[int, int]:
    return usage.all_input_tokens, usage.output_tokens


def _plus(one: Minute, other: Minute) -> Minute:
    return Minute(
        one.minute,
        one.finished + other.finished,
        one.failed + other.failed,
        one.input_tokens + other.input_tokens,
        one.output_tokens + other.output_tokens,
    )
