"""Whose request takes the next slot: workspaces share slot-seconds evenly, and so do the batches of each.

Every workspace, and every batch in its workspace, has a virtual time that grows by the slot-seconds it used. The one
that is furthest behind goes next; the earlier deadline breaks a tie. Who comes new, or back, starts level with the
one furthest behind: no debt, no credit. A pick is charged with what attempts usually take, and corrected when its
attempt ends.
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

    def __init__(self) -> None:
        self._workspaces: dict[str, float] = {}
        self._batches: dict[str, float] = {}
        self._mean = 0.01

    def pick(
        self, claimants: Sequence[Claimant], place: Callable[[Claimant], T | None]
    ) -> dict[tuple[str, str], list[T]]:
        """Return, for each batch and model, the slots that its requests get, and charge for them.

        ``place`` is asked for one slot at a time, for whoever is furthest behind; None says that there is none that
        this claimant could use now.
        """
        self._enter(claimants)
        picked: dict[tuple[str, str], list[T]] = {}
        queue = [
            (self._workspaces[c.workspace], self._batches[c.batch], c.deadline, number, c)
            for number, c in enumerate(claimants)
            if c.available > 0
        ]
        heapify(queue)
        while queue:
            seen_workspace, seen_batch, deadline, number, claimant = queue[0]
            behind = (self._workspaces[claimant.workspace], self._batches[claimant.batch])
            if behind != (seen_workspace, seen_batch):  # charged since it was queued: put it where it belongs now
                heapreplace(queue, (*behind, deadline, number, claimant))
                continue
            got = picked.get((claimant.batch, claimant.model), [])
            slot = place(claimant) if len(got) < claimant.available else None
            if slot is None:
                heappop(queue)
                continue
            got.append(slot)
            picked[claimant.batch, claimant.model] = got
            self._charge(claimant.workspace, claimant.batch, self._mean)
        return picked

    def give_back(self, workspace: str, batch: str, picks: int) -> None:
        """Undo the charge of picks that leased nothing."""
        self._charge(workspace, batch, -self._mean * picks)

    def used(self, workspace: str, batch: str, slot_seconds: float) -> None:
        """Correct the charge of one pick by what its attempt really took."""
        self._charge(workspace, batch, slot_seconds - self._mean)
        self._mean += SMOOTHING * (slot_seconds - self._mean)

    def _charge(self, workspace: str, batch: str, slot_seconds: float) -> None:
        if workspace in self._workspaces:
            self._workspaces[workspace] += slot_seconds
        if batch in self._batches:
            self._batches[batch] += slot_seconds

    def _enter(self, claimants: Sequence[Claimant]) -> None:
        """Let newcomers start level, and forget who is gone."""
        self._workspaces = _levelled(self._workspaces, [claimant.workspace for claimant in claimants])
        self._batches = _levelled(self._batches, [claimant.batch for claimant in claimants])


def _levelled(times: dict[str, float], present: Sequence[str]) -> dict[str, float]:
    known = [times[name] for name in present if name in times]
    level = min(known, default=0.0)
    return {name: times.get(name, level) for name in present}
