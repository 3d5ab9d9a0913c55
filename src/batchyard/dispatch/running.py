"""The attempts in flight: one task each, found by request, cut when their batch's time is over."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from batchyard.dispatch.lanes import Lane
from batchyard.domain.patience import LEAST
from batchyard.domain.request import Lease
from batchyard.ports import Ready


@dataclass(slots=True)
class Attempt:
    """One attempt in flight. ``cut``: our deadline ended it, not a shutdown. ``withheld``: its batch was canceled or
    paused before it was sent. ``sent``: the upstream was asked, at that monotonic time, when so many calls were there,
    this one included (``position``). ``waits``: for its turn, before anything is sent; ``given_up``: cut as it waited,
    for it may not be sent any more. ``must_begin_by``: the end of the batch's time, monotonic. ``heard``: the first
    token of its answer has come. ``named``: its model, where the lease does not tell it."""

    lease: Lease
    batch: Ready
    lane: Lane
    started_at: datetime
    started: float
    must_begin_by: float
    task: "asyncio.Task[None] | None" = None
    cut: bool = False
    withheld: bool = False
    waits: bool = False
    given_up: bool = False
    sent: float | None = None
    position: int = 0
    heard: bool = False
    answers_before: int = 0
    stalled: bool = False
    suspect: bool = False
    named: str = ""

    def give_up(self) -> None:
        """Wait no longer, where it waits: the request is as it was, and its batch can end."""
        if self.waits and self.task is not None:
            self.waits, self.given_up = False, True
            self.task.cancel()


class Running:
    """Every attempt from its lease until its outcome is known."""

    def __init__(self) -> None:
        self._attempts: dict[tuple[str, int], Attempt] = {}

    def __len__(self) -> int:
        return len(self._attempts)

    def has(self, request: tuple[str, int]) -> bool:
        return request in self._attempts

    def begin(self, attempt: Attempt) -> bool:
        """Add an attempt and return True. Where a call for the request runs already, it takes the new lease over.

        That happens to an owner that was frozen past its lease: the request was reclaimed, then leased to it anew
        while its first call still runs. Sending a second one would pay twice for nothing.
        """
        running = self._attempts.get(attempt.lease.key)
        if running is not None:
            running.lease = attempt.lease
            return False
        self._attempts[attempt.lease.key] = attempt
        return True

    def end(self, attempt: Attempt) -> None:
        """Remove it: its outcome is known."""
        del self._attempts[attempt.lease.key]

    def cut_overdue(self, now: datetime, grace_seconds: float) -> int:
        """Cancel the calls of batches past their deadline by more than the grace; return how many.

        What has not begun by the deadline itself waits no longer.
        """
        overdue = []
        for attempt in self._attempts.values():
            late = (now - attempt.batch.expires_at).total_seconds()
            if late >= grace_seconds and not attempt.cut:
                overdue.append(attempt)
            elif late >= 0.0:
                attempt.give_up()
        for attempt in overdue:
            attempt.cut = True
            if attempt.task is not None:
                attempt.task.cancel()
        return len(overdue)

    def withhold(self, batch: str) -> None:
        """Let no call of the batch begin that has not."""
        for attempt in self._attempts.values():
            if attempt.lease.batch == batch:
                attempt.withheld = True
                attempt.give_up()

    def stalled(self, now: float) -> list[Attempt]:
        """Return the attempts that take far longer than their lane's, oldest first; those cut already are none."""
        found = []
        for attempt in self._attempts.values():
            if now - attempt.started < LEAST:
                break  # they are in the order of their beginning
            if attempt.sent is None or attempt.stalled or attempt.cut or attempt.lease.unknowns:
                continue
            patience, limit = attempt.lane.slots.patience, attempt.lane.slots.limiter.usual_limit
            if patience.is_over(now - attempt.sent, patience.answers - attempt.answers_before, limit):
                found.append(attempt)
        return found

    def abandon(self) -> Iterable["asyncio.Task[None]"]:
        """Cancel everything, as a death would: the leases stay, for a reclaim. Return the tasks to wait for."""
        tasks = [attempt.task for attempt in self._attempts.values() if attempt.task is not None]
        for task in tasks:
            task.cancel()
        return tasks
