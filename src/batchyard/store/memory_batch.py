"""One batch in memory with its requests: what is pending, leased and final. Knows no clock and no other batch."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from msgspec import structs

from batchyard.domain.batch import Batch, Closing, Counts, Status
from batchyard.domain.outcome import Finish, Retry, Settlement, Trace
from batchyard.domain.request import Drafts, Lease, Origin, ParamsAt
from batchyard.domain.result import Canceled, Expired, Result, kind
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
        )


class StoredBatch:
    """A batch and its rows. A request is fresh (``rows`` from ``fresh`` on), waiting for a retry, leased or final."""

    def __init__(self, batch: Batch, drafts: Drafts, origin: Origin) -> None:
        self.batch = batch
        self.origin = origin
        models = list(drafts.model_names)
        self.rows = [
            Row(Lease(batch.id, seq, 0, ParamsAt(batch.body, offset, length, crc), models[model]), custom_id)
            for seq, (custom_id, offset, length, crc, _, model) in enumerate(drafts.rows())
        ]
        self._fresh = 0
        self._waiting: list[tuple[datetime, int]] = []  # a heap: when a retry is due, and of which request
        self._leased = 0
        self._arrived = 0

    @property
    def pending(self) -> int:
        return len(self.rows) - self._fresh + len(self._waiting)

    @property
    def next_ready_at(self) -> datetime | None:
        if self._fresh < len(self.rows):
            return self.batch.created_at
        return self._waiting[0][0] if self._waiting else None

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
        return self.batch.closing is None and self.batch.status is not Status.ENDED and now < self.batch.expires_at

    def lease(self, owner: str, limit: int, now: datetime) -> Iterator[Row]:
        """Lease up to ``limit`` requests: due retries, then fresh ones, each in the order of the requests."""
        if not self.leasable(now):
            return
        due = []
        while self._waiting and self._waiting[0][0] <= now:
            due.append(heapq.heappop(self._waiting))
        due.sort(key=lambda entry: entry[1])
        for entry in due[limit:]:
            heapq.heappush(self._waiting, entry)
        retries = [self.rows[seq] for _, seq in due[:limit]]
        fresh = list(islice(self.rows, self._fresh, self._fresh + limit - len(retries)))
        self._fresh += len(fresh)
        for row in retries + fresh:
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
                    heapq.heappush(self._waiting, (settlement.ready_at, row.lease.seq))
                else:
                    self._finish(row, Expired() if self.batch.closing is Closing.EXPIRED else Canceled())

    def _finish(self, row: Row, result: Result) -> None:
        self._arrived += 1
        row.result, row.arrival = result, self._arrived
        self.batch = replace(self.batch, counts=self.batch.counts.settled(kind(result)))

    def reclaim(self, row: Row, now: datetime) -> None:
        """Take the row back from a dead owner: it may have been sent, and paid."""
        row.owner = None
        self._leased -= 1
        row.lease = structs.replace(row.lease, paid=row.lease.paid + 1, deaths=row.lease.deaths + 1)
        heapq.heappush(self._waiting, (now, row.lease.seq))

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
