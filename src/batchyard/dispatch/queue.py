"""The dispatcher's view of the backlog: which batches have requests that are due, and whose turn it is.

The store is the truth; this is a memory of it, refreshed when something changed or it grew old. Being wrong costs
nothing but an empty pick: the store decides what is leased.
"""

from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from batchyard.dispatch.in_sight import in_sight
from batchyard.dispatch.lanes import Lane, Lanes
from batchyard.domain.fairness import Claimant, FairShare
from batchyard.domain.request import Lease
from batchyard.ports import Clock, Ready, Turn, Work

Picked = dict[tuple[str, str], list[Lane]]
"""For each batch and model that was picked: a lane for each request, with a slot of it taken."""


_ALWAYS = datetime.min.replace(tzinfo=UTC)
PAUSE, PAUSES = 0.1, 4.0
"""Seconds, and times what it took, that pass between two readings of a backlog that is not all in sight."""


@dataclass(slots=True)
class Waiting:
    """One batch and model of the backlog: ``pending`` requests, the first of them due at ``due_at``; None: unknown."""

    batch: Ready
    pending: int
    due_at: datetime | None


class Queue:
    """Chooses the requests of a turn, and the lanes where they run."""

    def __init__(
        self,
        work: Work,
        lanes: Lanes,
        clock: Clock,
        refresh_seconds: float,
        *,
        weight: Callable[[str], float],
        stopped: Container[str] = (),
        may_start: Callable[[str], bool] = lambda _workspace: True,
    ) -> None:
        self._work, self._lanes, self._clock = work, lanes, clock
        self._refresh_seconds = refresh_seconds
        self._stopped = stopped
        self._may_start = may_start
        self._fair = FairShare(weight)
        self._waiting: dict[tuple[str, str], Waiting] = {}
        self._beyond: Mapping[str, int] = {}
        self._is_partial, self._readings = False, 0
        self._refresh_at = self._readable_at = float("-inf")

    def stale(self) -> None:
        """Read the backlog again before the next pick, or soon where that takes long."""
        self._refresh_at = self._readable_at

    def seconds_until_due(self) -> float:
        """Return how long nothing could be leased, as far as is known: 0 if something is due, or may be."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        if monotonic >= self._refresh_at:
            return 0.0
        due = [
            waiting.due_at
            for (batch, model), waiting in self._waiting.items()
            if waiting.due_at
            and waiting.pending > 0
            and waiting.due_at < waiting.batch.expires_at > now  # what no pick takes must not wake us
            and batch not in self._stopped
            and self._lanes.has_room(model, monotonic)
            and self._may_start(waiting.batch.workspace)
        ]
        until_refresh = self._refresh_at - monotonic
        return min(until_refresh, max(0.0, (min(due) - now).total_seconds())) if due else until_refresh

    async def picks(self) -> Picked:
        """Return what to lease, batch by batch and model by model: the lanes with a slot taken for each request."""
        if self._clock.monotonic() >= self._refresh_at:
            await self._refresh()
        now, monotonic = self._clock.now(), self._clock.monotonic()
        claimants = [
            Claimant(waiting.batch.workspace, batch, model, waiting.batch.expires_at, waiting.pending)
            for (batch, model), waiting in self._waiting.items()
            if waiting.pending > 0
            and waiting.due_at is not None
            and waiting.due_at <= now < waiting.batch.expires_at
            and batch not in self._stopped
            and self._may_start(waiting.batch.workspace)
        ]
        if self._is_partial and len(claimants) * 2 < len(self._waiting):
            self._refresh_at = min(self._refresh_at, self._readable_at)
        return self._fair.pick(claimants, lambda claimant, most: self._lanes.pick(claimant.model, most, monotonic))

    def leased(self, picked: Picked, turn: Turn) -> list[tuple[Lease, Ready, Lane]]:
        """Learn what the picks brought; return each lease with what the backlog said of it, and its lane.

        The slots of picks that leased nothing are free again.
        """
        began = []
        for lease in turn.leases:
            key = (lease.batch, lease.model)
            waiting = self._waiting[key]
            waiting.pending -= 1
            began.append((lease, waiting.batch, picked[key].pop()))
        for short in turn.short:
            self._waiting[short.batch, short.model].due_at = short.next_ready_at
        self.unpick(picked)
        return began

    def unpick(self, picked: Picked) -> None:
        """Give back the slots of picks that leased nothing, and what they were charged. Empties what was picked."""
        for key, lanes in picked.items():
            self._fair.give_back(self._waiting[key].batch.workspace, key[0], len(lanes))
            while lanes:
                lanes.pop().slots.unpick()

    def retried(self, batch: Ready, ready_at: datetime) -> None:
        """Learn that a request of this batch and model is pending again, from then on."""
        waiting = self._waiting.setdefault((batch.batch, batch.model), Waiting(batch, 0, None))
        waiting.pending += 1
        if waiting.due_at is None or ready_at < waiting.due_at:
            waiting.due_at = ready_at

    def is_wanted(self, lane: Lane) -> bool:
        """Whether a request that is due would use a slot of the lane now."""
        now = self._clock.now()
        return any(
            waiting.pending > 0
            and waiting.due_at is not None
            and waiting.due_at <= now
            and self._lanes.leads_to(model, lane)
            for (_, model), waiting in self._waiting.items()
        )

    def waiting_for(self, lane: Lane) -> int:
        """Return how many requests may come to the lane."""
        return sum(
            waiting.pending for (_, model), waiting in self._waiting.items() if self._lanes.leads_to(model, lane)
        )

    def pending(self) -> Mapping[str, int]:
        """Return how many requests are pending, by model."""
        pending: Counter[str] = Counter(self._beyond)
        for (_, model), waiting in self._waiting.items():
            pending[model] += max(0, waiting.pending)
        return pending

    def used(self, batch: Ready, slot_seconds: float) -> None:
        """Charge an attempt to its batch and workspace."""
        self._fair.used(batch.workspace, batch.batch, slot_seconds)

    async def _refresh(self) -> None:
        began = self._clock.monotonic()
        # also if it fails: a store in trouble is not asked again at once
        self._refresh_at = self._clock.monotonic() + self._refresh_seconds
        backlog = await self._work.backlog(self._clock.now())
        self._readings += 1
        seen, beyond = await in_sight(backlog, self._readings)
        self._beyond = {model: number for model, number in beyond.items() if self._lanes.carried_by(model) is None}
        self._waiting = {
            (ready.batch, ready.model): Waiting(ready, ready.pending, _due_at(ready))
            for ready in seen
            if ready.batch not in self._stopped and self._lanes.carried_by(ready.model) is None
        }
        self._readable_at, self._is_partial = float("-inf"), bool(beyond)
        if beyond:
            now = self._clock.monotonic()
            self._readable_at = now + max(PAUSE, PAUSES * (now - began))
            self._refresh_at = max(self._refresh_at, self._readable_at)


def _due_at(ready: Ready) -> datetime:
    """Return when the first request is due. One never tried is due now, though its batch was created later by this
    clock: then the clock was wrong, in a boot before."""
    return _ALWAYS if ready.next_ready_at <= ready.created_at else ready.next_ready_at
