"""Requests that were in trouble before, and calls that are: none of them may take the slots of the others.

failed, may be billed ──> tried again within the lane's budget, else later
stalled ──> cut where others want its slot ──> once more behind them, with all the time the operator allows
in flight at three deaths of ours ──> alone
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from batchyard.dispatch.lanes import Lane
from batchyard.dispatch.running import Attempt, Running
from batchyard.dispatch.slots import Slots
from batchyard.domain.outcome import Retry, Trace
from batchyard.domain.retry import delay_seconds

ALONE_FROM = 3
"""Deaths of ours with a request in flight from which on it runs alone: it may be what killed us."""
WANTED_SHARE, IDLE_SHARE = 0.05, 0.5
"""Of a lane's slots, how many are for requests that stalled or broke before: while others want them, and else."""
KEPT_SHARE = 0.01
"""Of a lane's slots, how many calls that stall are left alone: the longest answer of all may be among them."""
LONGEST_BACKLOG = 300.0
"""Seconds that a stalled request waits at most behind the others: they may be gone sooner than it seemed."""
LONGEST_PUT_OFF = 15.0
"""Seconds after which one without a slot is looked at again: then nobody else may want it."""
LOOK_EVERY = 0.1
"""Seconds between looks for calls that stall."""


class Claims(Protocol):
    """What waits for the slots of a lane, as far as is known."""

    def is_wanted(self, lane: Lane) -> bool:
        """Whether a request that is due would use a slot of it now."""

    def waiting_for(self, lane: Lane) -> int:
        """Return how many requests may come to it."""


class Troubled:
    """Of one owner."""

    def __init__(self, running: Running, claims: Claims) -> None:
        self._running, self._claims = running, claims
        self._suspects: Counter[Lane] = Counter()
        self._lonely = 0
        self._one = asyncio.Lock()
        self._changed = asyncio.Event()
        self._look_at = 0.0

    @property
    def wants_quiet(self) -> bool:
        return self._lonely > 0

    def may_begin(self, attempt: Attempt) -> bool:
        """Whether there is a slot for it: always, unless an earlier attempt stalled or broke."""
        if not attempt.lease.unknowns:
            return True
        lane = attempt.lane
        share = WANTED_SHARE if self._claims.is_wanted(lane) else IDLE_SHARE
        if self._suspects[lane] >= max(1, int(share * lane.slots.limiter.usual_limit)):
            return False
        self._suspects[lane] += 1
        attempt.suspect = True
        return True

    def put_off(self, attempt: Attempt, now: datetime, jitter: float) -> Retry:
        """Return the settlement of an attempt that did not begin: nothing was sent, nothing is counted.

        It is looked at again ever more rarely.
        """
        lease = attempt.lease
        ready_at = now + timedelta(seconds=min(LONGEST_PUT_OFF, delay_seconds(lease.attempt, None, jitter)))
        trace = Trace("notstarted", attempt.started_at, now, "put_off")
        return Retry(lease, ready_at, trace, lease.paid, lease.failures, lease.unknowns)

    def in_time(self, attempt: Attempt, retry: Retry, now: float) -> Retry:
        """Return the retry as the lane can bear it: within its budget; after a stall, behind what waits."""
        if retry.paid == attempt.lease.paid:
            return retry
        slots = attempt.lane.slots
        seconds = slots.budget.put_off(slots.limiter.good_rate, now)
        if attempt.stalled:
            seconds += min(LONGEST_BACKLOG, self._claims.waiting_for(attempt.lane) / _answers_a_second(slots))
        return (
            retry
            if not seconds
            else msgspec.structs.replace(retry, ready_at=retry.ready_at + timedelta(seconds=seconds))
        )

    def ended(self, attempt: Attempt) -> None:
        """An attempt is over."""
        if attempt.suspect:
            self._suspects[attempt.lane] -= 1
        if self._lonely:
            self._changed.set()

    def cut_stalled(self, now: float) -> None:
        """Cut calls that stall, the oldest first, where their lane is full and others wait for it.

        A request that stalled before has all the time that the operator allows: it may just be long.
        """
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY
        stalled: dict[Lane, list[Attempt]] = {}
        for attempt in self._running.stalled(now):
            stalled.setdefault(attempt.lane, []).append(attempt)
        for lane, attempts in stalled.items():
            slots = lane.slots
            if slots.limiter.is_probing or slots.room(now) > 0 or not self._claims.is_wanted(lane):
                continue
            for attempt in attempts[: max(0, len(attempts) - int(KEPT_SHARE * slots.limiter.limit))]:
                attempt.stalled = True
                if attempt.task is not None:
                    attempt.task.cancel()

    @asynccontextmanager
    async def alone(self, attempt: Attempt) -> AsyncIterator[None]:
        """Wait until nothing else runs, where the request has seen too many deaths; then nothing else begins."""
        if attempt.lease.deaths < ALONE_FROM:
            yield
            return
        self._lonely += 1
        self._changed.set()  # this may be the last that another one waits for
        try:
            async with self._one:
                while len(self._running) > self._lonely:
                    self._changed.clear()
                    await self._changed.wait()
                yield
        finally:
            self._lonely -= 1


def _answers_a_second(slots: Slots) -> float:
    """How quickly the lane works off what waits while it is well: what was measured over an outage is far less."""
    return slots.limiter.usual_limit / max(0.001, slots.patience.all_but(0.5) or 1.0)
