"""Batches that this process touches no more, so that one that is broken stops itself and not the server.

What broke may be an invariant, which is a bug of ours, or bytes of the store. Either way the batch is left as it is:
its answers that could not be stored are lost with it, and the next start tries again.
"""

from collections.abc import Iterable

from batchyard.domain.errors import StoreDamaged
from batchyard.domain.events import BatchStopped, BugFound, DamageFound, Emit
from batchyard.ports import Turn

DATABASE = "database"


class Stopped:
    """Which they are. Shared by all parts of a process."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._batches: set[str] = set()

    def __contains__(self, batch: object) -> bool:
        return batch in self._batches

    def stop(self, batch: str, doing: str, broken: Exception) -> None:
        """Stop it, and say so. Stopping twice says nothing new."""
        if batch in self._batches:
            return
        self._batches.add(batch)
        if isinstance(broken, StoreDamaged):
            self._emit(DamageFound(DATABASE, str(broken)))
        else:
            self._emit(BugFound(f"{doing} of {batch}", broken))
        self._emit(BatchStopped(batch, f"{doing}: {str(broken) or type(broken).__name__}"))


def merged(turns: Iterable[Turn]) -> Turn:
    """Return what several turns did as one."""
    whole = Turn([], [], [])
    for turn in turns:
        whole = Turn(
            [*whole.leases, *turn.leases],
            [*whole.stale, *turn.stale],
            [*whole.ripe, *turn.ripe],
            [*whole.short, *turn.short],
        )
    return whole
