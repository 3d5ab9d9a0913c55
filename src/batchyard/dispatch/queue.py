"""The dispatcher's view of the backlog: which batches have requests that are due, and whose turn it is.

The store is the truth; this is a memory of it, refreshed when something changed or it grew old. Being wrong costs
nothing but an empty pick: the store decides what is leased.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from batchyard.domain.fairness import Claimant, FairShare
from batchyard.domain.request import Lease
from batchyard.ports import Clock, Pick, Ready, Work


@dataclass(slots=True)
class Waiting:
    """A batch of the backlog: ``pending`` requests, the first of them due at ``due_at``; None: not known."""

    batch: Ready
    pending: int
    due_at: datetime | None


class Queue:
    """Chooses the requests of a turn."""

    def __init__(self, work: Work, clock: Clock, refresh_seconds: float) -> None:
        self._work, self._clock = work, clock
        self._refresh_seconds = refresh_seconds
        self._fair = FairShare()
        self._waiting: dict[str, Waiting] = {}
        self._refresh_at = float("-inf")

    def stale(self) -> None:
        """Read the backlog again before the next pick."""
        self._refresh_at = float("-inf")

    def seconds_until_due(self) -> float:
        """Return how long nothing could be leased, as far as is known: 0 if something is due, or may be."""
        if self._clock.monotonic() >= self._refresh_at:
            return 0.0
        now = self._clock.now()
        due = [waiting.due_at for waiting in self._waiting.values() if waiting.due_at and waiting.pending > 0]
        until_refresh = self._refresh_at - self._clock.monotonic()
        return min(until_refresh, max(0.0, (min(due) - now).total_seconds())) if due else until_refresh

    async def picks(self, slots: int) -> list[Pick]:
        """Return what to lease into so many slots."""
        if self._clock.monotonic() >= self._refresh_at:
            await self._refresh()
        now = self._clock.now()
        claimants = [
            Claimant(waiting.batch.workspace, waiting.batch.batch, waiting.batch.expires_at, waiting.pending)
            for waiting in self._waiting.values()
            if waiting.pending > 0 and waiting.due_at is not None and waiting.due_at <= now < waiting.batch.expires_at
        ]
        return [Pick(batch, limit) for batch, limit in self._fair.pick(claimants, slots).items()]

    def batch(self, batch_id: str) -> Ready:
        """Return what the backlog said about a batch that was picked."""
        return self._waiting[batch_id].batch

    def leased(self, picks: Sequence[Pick], leases: Sequence[Lease]) -> None:
        """Learn what the picks brought. A batch that gave less than was asked has nothing due that we know of."""
        got = Counter(lease.batch for lease in leases)
        for pick in picks:
            waiting = self._waiting[pick.batch]
            waiting.pending -= got[pick.batch]
            missing = pick.limit - got[pick.batch]
            if missing > 0:
                waiting.due_at = None
                self._fair.give_back(waiting.batch.workspace, pick.batch, missing)

    def retried(self, batch: Ready, ready_at: datetime) -> None:
        """Learn that a request of the batch is pending again, from then on."""
        waiting = self._waiting.setdefault(batch.batch, Waiting(batch, 0, None))
        waiting.pending += 1
        if waiting.due_at is None or ready_at < waiting.due_at:
            waiting.due_at = ready_at

    def used(self, batch: Ready, slot_seconds: float) -> None:
        """Charge an attempt to its batch and workspace."""
        self._fair.used(batch.workspace, batch.batch, slot_seconds)

    async def _refresh(self) -> None:
        # also if it fails: a store in trouble is not asked again at once
        self._refresh_at = self._clock.monotonic() + self._refresh_seconds
        backlog = await self._work.backlog(self._clock.now())
        self._waiting = {ready.batch: Waiting(ready, ready.pending, ready.next_ready_at) for ready in backlog}
