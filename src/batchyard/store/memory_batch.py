"""One batch in memory with its requests: what is pending, leased and final. Knows no clock and no other batch."""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, islice

from msgspec import structs

from batchyard.domain.batch import Batch, Closing, Counts, Status
from batchyard.domain.outcome import Finish, Retry, Settlement, Trace
from batchyard.domain.request import Drafts, Lease, Origin, ParamsAt
from batchyard.domain.result import Canceled, Expired, Result, kind
from batchyard.domain.run_order import run_orders
from batchyard.ports import Final

SLICE = 1000
"""Requests in one slice of ``finals``: small beside a batch of 100,000, large beside the cost of a slice."""


@dataclass(slots=True)
class Row:
    """One request. ``owner`` is set while it is leased, ``result`` once it is final."""

    lease: Lease
    custom_id: str
    owner: str | None = None
    result: Result | None = None
    arrival: int = 0
    traces: list[Trace] = field(default_factory=list)

    def final(self, closing: Closing | None) -> Final:
        """Return the request as the seal shows it; ``closing`` is the fate of an open one."""
        result = self.result or (Expired() if closing is Closing.EXPIRED else Canceled())
        lease = self.lease
        return Final(
            seq=lease.seq,
            custom_id=self.custom_id,
            result=result,
            arrival=self.arrival,
            traces=tuple(self.traces),
            attempts=lease.attempt,
            paid=lease.paid,
            deaths=lease.deaths,
            params=lease.params,
        )


class StoredBatch:
    """A batch and its rows. A request is fresh (never leased), waiting for a retry, leased or final."""

    def __init__(self, batch: Batch, drafts: Drafts, origin: Origin) -> None:
        self.batch = batch
        self.origin = origin
        self.bytes = drafts.bytes
        self.traceparent = ""
        models = list(drafts.model_names)
        self.rows = [
            Row(Lease(batch.id, seq, 0, ParamsAt(batch.body, offset, length, crc), models[model]), custom_id)
            for seq, (custom_id, offset, length, crc, _, model) in enumerate(drafts.rows())
        ]
        orders = run_orders(drafts)
        self._fresh = {models[model]: deque(order) for model, order in orders.items()}
        # heaps: when a retry is due, and of which request
        self._waiting: dict[str, list[tuple[datetime, int]]] = {model: [] for model in self._fresh}
        self._leased = 0
        self._arrived = 0

    @property
    def open(self) -> int:
        """How many requests are not final."""
        return len(self.rows) - self._arrived

    @property
    def pending(self) -> int:
        return sum(pending for _, pending, _ in self.ready())

    def ready(self) -> Iterator[tuple[str, int, datetime]]:
        """Yield, for each model with pending requests, how many they are and when the first of them is ready."""
        for model, fresh in self._fresh.items():
            waiting = self._waiting[model]
            if fresh or waiting:
                yield model, len(fresh) + len(waiting), self.batch.created_at if fresh else waiting[0][0]

    def next_ready_at(self, model: str) -> datetime | None:
        """Return when the next request of a model is ready, None if none is pending."""
        return next((ready_at for name, _, ready_at in self.ready() if name == model), None)

    @property
    def ripe(self) -> bool:
        """Nothing is left to wait for: the batch can be sealed."""
        return (
            self.batch.status is not Status.ENDED
            and self._leased == 0
            and (self.pending == 0 or self.batch.closing is not None)
        )

    def leasable(self, now: datetime) -> bool:
        """Whether requests of the batch may be leased at all at that time."""
        batch = self.batch
        is_open = batch.closing is None and batch.status is not Status.ENDED
        return is_open and not batch.paused and now < batch.expires_at

    def next_lengths(self, model: str, limit: int, now: datetime) -> Iterator[int]:
        """Yield how long the params are of what ``lease`` would lease now."""
        if not self.leasable(now):  # once it has ended, what it never leased has no row any more
            return
        due = sorted(seq for ready_at, seq in self._waiting.get(model, ()) if ready_at <= now)
        for seq in islice(chain(due, self._fresh.get(model, ())), limit):
            yield self.rows[seq].lease.params.length

    def lease(self, owner: str, model: str, limit: int, now: datetime) -> Iterator[Row]:
        """Lease up to ``limit`` requests: due retries as they stand, then fresh ones in the order in which they run."""
        if not self.leasable(now) or model not in self._fresh:
            return
        fresh, waiting = self._fresh[model], self._waiting[model]
        due = []
        while waiting and waiting[0][0] <= now:
            due.append(heapq.heappop(waiting))
        due.sort(key=lambda entry: entry[1])
        for entry in due[limit:]:
            heapq.heappush(waiting, entry)
        seqs = [seq for _, seq in due[:limit]]
        seqs += [fresh.popleft() for _ in range(min(len(fresh), limit - len(seqs)))]
        for row in [self.rows[seq] for seq in seqs]:
            row.owner = owner
            row.lease = structs.replace(row.lease, attempt=row.lease.attempt + 1)
            self._leased += 1
            yield row

    def settle(self, row: Row, settlement: Settlement) -> None:
        """Let the settlement of the row's lease take effect."""
        row.owner = None
        self._leased -= 1
        row.traces.append(settlement.trace)
        match settlement:
            case Finish(result=result):
                self._finish(row, result)
            case Retry():
                row.lease = structs.replace(
                    row.lease, paid=settlement.paid, failures=settlement.failures, unknowns=settlement.unknowns
                )
                if self.batch.closing is None:
                    heapq.heappush(self._waiting[row.lease.model], (settlement.ready_at, row.lease.seq))
                else:
                    self._finish(row, Expired() if self.batch.closing is Closing.EXPIRED else Canceled())

    def _finish(self, row: Row, result: Result) -> None:
        self._arrived += 1
        row.result, row.arrival = result, self._arrived
        self.batch = replace(self.batch, counts=self.batch.counts.settled(kind(result)))

    def reclaim(self, row: Row, now: datetime) -> None:
        """Take the row back from a dead owner: it may have been sent, and paid."""
        row.lease = structs.replace(row.lease, deaths=row.lease.deaths + 1)
        self.release(row, now, paid=1)

    def release(self, row: Row, now: datetime, *, paid: int) -> None:
        """Take the row back from whom it was leased to; ``paid`` more attempts of it may have been billed."""
        row.owner = None
        self._leased -= 1
        row.lease = structs.replace(row.lease, paid=row.lease.paid + paid)
        heapq.heappush(self._waiting[row.lease.model], (now, row.lease.seq))

    def finals(self) -> Iterator[Sequence[Final]]:
        """Yield the requests in order, in slices."""
        for start in range(0, len(self.rows), SLICE):
            yield [row.final(self.batch.closing) for row in self.rows[start : start + SLICE]]

    def recount(self) -> Counts:
        """Return the counts that the rows show; what a batch that is not ripe still waits for is processing."""
        if not self.ripe:
            return self.batch.counts
        numbers: dict[str, int] = {}
        for final in (final for part in self.finals() for final in part):
            numbers[kind(final.result)] = numbers.get(kind(final.result), 0) + 1
        return Counts(**numbers)


def ended_since(stored: Iterable[StoredBatch], since: datetime) -> Sequence[Batch]:
    """Return up to 1,000 batches that ended then or later, in the order of their ends."""
    ended = [(one.batch.ended_at, one.batch) for one in stored if one.batch.ended_at]
    return [batch for at, batch in sorted(ended, key=lambda one: one[0]) if at >= since][:1000]
