"""Room on the disk for creates under way: each holds what it has yet to write, so that two do not count on the same."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from batchyard.domain.errors import Overloaded
from batchyard.ports import Space, Spending
from batchyard.web.bodies import Budget
from batchyard.web.shares import Shares

ROW_BYTES = 400
"""What a request takes in the store until its batch ends: a row of about 100 bytes, twice in the WAL while it is
stored, and its traces."""


@dataclass(frozen=True, slots=True)
class Means:
    """What creates share: why none can be taken now, or ""; the disk; the memory, which they share with messages;
    who watches what is spent, if anybody does."""

    not_ready: Callable[[], str]
    space: Space
    budget: Budget
    spending: Spending | None = None


class Promises:
    """All that creates under way have yet to write."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._shares = Shares()

    @contextmanager
    def body(self, workspace: str, length: int) -> Iterator["Promise"]:
        """Promise room for a body of that length, 0 where it is not known; raise ``Overloaded`` where there is none."""
        promise = Promise(self, workspace)
        try:
            promise.grow(length)
            yield promise
        finally:
            self._shares.add(workspace, -promise.left)

    def take(self, workspace: str, own: int, more: int) -> None:
        """Hold so much more, or raise ``Overloaded``; the create holds ``own`` already."""
        if more > 0:
            left = self._space.spare() - self._shares.all
            if not self._shares.has_room(workspace, more, own=own, left=left):
                raise Overloaded(
                    "This server's disk has no room for this batch now. Nothing was stored; try again later."
                )
        self._shares.add(workspace, more)


class Promise:
    """What one create may still write."""

    def __init__(self, promises: Promises, workspace: str) -> None:
        self._promises, self._workspace = promises, workspace
        self.left = 0

    def grow(self, more: int) -> None:
        """Promise more, or raise ``Overloaded``."""
        self._promises.take(self._workspace, self.left, more)
        self.left += more

    def writes(self, count: int) -> None:
        """So much is about to be written: what was not promised is asked for now."""
        self.grow(max(0, count - self.left))
        self.left -= count
        self._promises.take(self._workspace, self.left, -count)
