"""Whose request takes the next slot: workspaces share slot-seconds by weight, and the batches of each evenly.

Every workspace, and every batch in its workspace, has a virtual time that grows by the slot-seconds it used, divided by
its weight. The one that is furthest behind goes next; the earlier deadline breaks a tie. Who comes new, or back, starts
level with the one furthest behind: no debt, no credit. A pick is charged with what attempts usually take, and
corrected when its attempt ends. Whoever has attempts in flight is not forgotten, though nothing of it waits: else a
workspace could come back again and again, and pay for none of its slow requests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heappop, heapreplace
from typing import TypeVar

T = TypeVar("T")

SMOOTHING = 0.05
"""Weight of the newest attempt in the mean that picks are charged with."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """``available`` requests of one batch and model that could be leased now."""

    workspace: str
    batch: str
    model: str
    deadline: datetime
    available: int


class FairShare:
    """The virtual times. ``pick`` costs O(claimants + picks × log claimants)."""

    def __init__(self, weight: Callable[[str], float] = lambda _workspace: 1.0) -> None:
        self._weight = weight
        self._workspaces = _Times()
        self._batches = _Times()
        self._charged: dict[str, list[float]] = {}
        """Batch -> its picks that have not ended, and the slot-seconds they were charged together."""
        self._mean = 0.01

    def pick(
        self, claimants: Sequence[Claimant], place: Callable[[Claimant, int], Sequence[T]]
    ) -> dict[tuple[str, str], list[T]]:
        """Return, for each batch and model, the slots that its requests get, and charge for them.

        ``place`` is asked for one slot at a time, for whoever is furthest behind, and for many where nobody else
        waits; it gives as many as this claimant could use now, up to so many.
        """
        self._enter(claimants)
        picked: dict[tuple[str, str], list[T]] = {}
        queue = [
            (self._workspaces.at[c.workspace], self._batches.at[c.batch], c.deadline, number, c)
            for number, c in enumerate(claimants)
            if c.available > 0
        ]
        heapify(queue)
        while queue:
            seen_workspace, seen_batch, deadline, number, claimant = queue[0]
            behind = (self._workspaces.at[claimant.workspace], self._batches.at[claimant.batch])
            if behind != (seen_workspace, seen_batch):  # charged since it was queued: put it where it belongs now
                heapreplace(queue, (*behind, deadline, number, claimant))
                continue
            got = picked.get((claimant.batch, claimant.model), [])
            wanted = claimant.available - len(got)
            slots = place(claimant, wanted if len(queue) == 1 else 1) if wanted > 0 else ()
            if not slots:
                heappop(queue)
                continue
            got += slots
            picked[claimant.batch, claimant.model] = got
            self._begin(claimant.workspace, claimant.batch, len(slots))
        return picked

    def give_back(self, workspace: str, batch: str, picks: int) -> None:
        """Undo the charge of picks that leased nothing."""
        for _ in range(picks):
            self._end(workspace, batch, 0.0)

    def used(self, workspace: str, batch: str, slot_seconds: float) -> None:
        """Correct the charge of one pick by what its attempt really took."""
        self._end(workspace, batch, slot_seconds)
        self._mean += SMOOTHING * (slot_seconds - self._mean)

    def _begin(self, workspace: str, batch: str, picks: int) -> None:
        charged = self._charged.get(batch)
        if charged is None:
            charged = self._charged[batch] = [0, 0.0]
        charge = picks * self._mean
        charged[0] += picks
        charged[1] += charge
        self._workspaces.begin(workspace, picks, charge / self._weight(workspace))
        self._batches.begin(batch, picks, charge)

    def _end(self, workspace: str, batch: str, slot_seconds: float) -> None:
        """End one pick of the batch: take back its part of the charge, and charge what it took."""
        charged = self._charged.get(batch)
        if charged is None:
            return  # an attempt of which no pick is known: it was leased to an owner that froze and thawed
        part = charged[1] / charged[0]
        charged[0] -= 1
        charged[1] -= part
        if not charged[0]:
            del self._charged[batch]
        self._workspaces.end(workspace, (slot_seconds - part) / self._weight(workspace))
        self._batches.end(batch, slot_seconds - part)

    def _enter(self, claimants: Sequence[Claimant]) -> None:
        """Let newcomers start level, and forget who is gone."""
        self._workspaces.enter({claimant.workspace for claimant in claimants})
        self._batches.enter({claimant.batch for claimant in claimants})


class _Times:
    """Virtual times by name; ``in_flight`` are picks that have not ended."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self._in_flight: dict[str, int] = {}
        self._waiting: set[str] = set()

    def begin(self, name: str, picks: int, charge: float) -> None:
        self.at[name] += charge
        self._in_flight[name] = self._in_flight.get(name, 0) + picks

    def end(self, name: str, correction: float) -> None:
        self.at[name] += correction
        left = self._in_flight[name] - 1
        if left:
            self._in_flight[name] = left
        else:
            del self._in_flight[name]

    def enter(self, present: set[str]) -> None:
        """Level newcomers with the one furthest behind of those who waited before; keep those with work in flight."""
        times = {name: self.at[name] for name in self._in_flight}
        waited = [self.at[name] for name in present & self._waiting]
        level = min(waited or times.values(), default=0.0)
        for name in present:
            if name in self._waiting:
                times[name] = self.at[name]
            else:
                times[name] = max(level, times.get(name, level))
        self.at, self._waiting = times, present
