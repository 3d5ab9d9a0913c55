"""From a lease to its settlement: each attempt reads its params, makes one call, and says what came of it."""

import asyncio
import zlib
from collections.abc import Callable, Iterable

import msgspec

from batchyard.dispatch.beside import beside, kept_model_of
from batchyard.dispatch.held import LARGE_BYTES, Held
from batchyard.dispatch.lanes import Lane
from batchyard.dispatch.running import Attempt, Running
from batchyard.dispatch.troubled import ALONE_FROM, Claims, Troubled
from batchyard.domain.echo import without_echo
from batchyard.domain.errors import StoreUnavailable
from batchyard.domain.events import AttemptFinished, BugFound, DamageFound, Emit, LaneHeld
from batchyard.domain.outcome import (
    Answered,
    Finish,
    Hung,
    NotStarted,
    Outcome,
    Refused,
    Retry,
    Settlement,
    Trace,
    Unknown,
)
from batchyard.domain.request import Lease
from batchyard.domain.result import Expired, RequestError
from batchyard.domain.retry import settle
from batchyard.domain.usage import NO_USAGE
from batchyard.ports import Blobs, Call, Clock, Damaged, Ready
from batchyard.ports.upstreams import nobody_listens

EXPIRY_GRACE = 30.0
"""Seconds that calls in flight get after their batch's deadline before they are cut."""

UNSENT = NotStarted(RequestError("api_error", "not sent: the lease or the batch's time was over"))
ROUNDING = 0.001
"""Seconds before the deadline from which on nothing begins: sums of floating point are not exact."""


class Attempts:
    """Every attempt of this owner. ``settled`` is told of each as it ends: its slot is not free before a commit.

    ``alive_until`` is monotonic: nothing is sent from then on, for the lease may be somebody else's.
    """

    def __init__(
        self,
        blobs: Blobs,
        clock: Clock,
        emit: Emit,
        *,
        jitter: Callable[[], float],
        settled: Callable[[Attempt, Settlement, float], None],
        claims: Claims,
    ) -> None:
        self._blobs, self._clock, self._emit = blobs, clock, emit
        self._jitter, self._settled = jitter, settled
        self._running = Running()
        self._held = Held()
        self._troubled = Troubled(self._running, claims)
        self.alive_until = float("-inf")

    def __len__(self) -> int:
        return len(self._running)

    def runs(self, request: tuple[str, int]) -> bool:
        """Whether an attempt of the request is in flight."""
        return self._running.has(request)

    def begin(self, leases: Iterable[tuple[Lease, Ready, Lane]]) -> None:
        """Start the attempts that these leases allow, each in the slot of its lane that was picked for it."""
        now, started = self._clock.now(), self._clock.monotonic()
        ends: dict[str, float] = {}
        for lease, batch, lane in leases:
            end = ends.get(lease.batch)
            if end is None:
                end = ends[lease.batch] = started + (batch.expires_at - now).total_seconds() - ROUNDING
            attempt = Attempt(lease, batch, lane, now, started, end)
            if not self._running.begin(attempt):
                lane.slots.unpick()
            elif self._troubled.may_begin(attempt):
                attempt.task = asyncio.create_task(self._attempt(attempt))
            else:
                outcome = NotStarted(RequestError("api_error", "put off"))
                self._settle(attempt, self._troubled.put_off(attempt, now, self._jitter()), outcome)

    @property
    def wants_quiet(self) -> bool:
        """Whether nothing may begin now: a request that was in flight at several deaths of ours runs alone."""
        return self._troubled.wants_quiet

    def cut_stalled(self) -> None:
        """Cut calls that take far longer than their lane's, where others want their slots."""
        self._troubled.cut_stalled(self._clock.monotonic())

    def cut_overdue(self) -> None:
        """Cut calls of batches that expired more than the grace ago; their requests become expired."""
        self._running.cut_overdue(self._clock.now(), EXPIRY_GRACE)

    def withhold(self, batch: str) -> None:
        """Let no call of the batch begin that has not: it was canceled, or paused. Calls in flight go on."""
        self._running.withhold(batch)

    async def abandon(self) -> None:
        """Cancel everything, as a death would: the leases stay, for a reclaim."""
        await asyncio.gather(*self._running.abandon(), return_exceptions=True)

    async def _attempt(self, attempt: Attempt) -> None:
        """Make the call and settle it. Only an abandon leaves the lease unsettled."""
        try:
            if attempt.lease.params.length < LARGE_BYTES and attempt.lease.deaths < ALONE_FROM:
                outcome = await self._call(attempt)  # nearly always: the other way costs more steps
            else:
                outcome = await self._call_with_room(attempt)
        except asyncio.CancelledError:
            if attempt.given_up:
                self._finish(attempt, UNSENT)
                return
            if attempt.stalled:
                outcome = Hung(RequestError("timeout_error", "cut: far slower than others of its lane"))
                self._finish(attempt, outcome)
                return
            if not attempt.cut:
                raise
            outcome = Hung(RequestError("timeout_error", "cut: the batch expired"))
            trace = Trace("cut", attempt.started_at, self._clock.now(), "expired")
            self._settle(attempt, Finish(attempt.lease, Expired(), trace), outcome)
            return
        except Exception as bug:  # noqa: BLE001 one bad answer must not stop its paid-for neighbours
            self._emit(BugFound("attempt", bug))
            outcome = Unknown(RequestError("api_error", "The server met a fault of its own while it made this call."))
        self._finish(attempt, outcome)

    def _finish(self, attempt: Attempt, outcome: Outcome) -> None:
        settlement = settle(attempt.lease, outcome, attempt.started_at, self._clock.now(), self._jitter())
        if isinstance(settlement, Retry):
            settlement = self._troubled.in_time(attempt, settlement, self._clock.monotonic())
        elif attempt.named:
            settlement = msgspec.structs.replace(settlement, named=attempt.named)
        self._settle(attempt, settlement, outcome)

    async def _call_with_room(self, attempt: Attempt) -> Outcome:
        size, attempt.waits = attempt.lease.params.length, True
        async with self._troubled.alone(attempt):
            await self._held.take(size)
            attempt.waits = False
            try:
                return await self._call(attempt)
            finally:
                self._held.give(size)

    async def _call(self, attempt: Attempt) -> Outcome:
        lease, batch = attempt.lease, attempt.batch
        try:
            params = await self._blobs.read(lease.params.blob, lease.params.offset, lease.params.length)
            if zlib.crc32(params) != lease.params.crc:
                raise Damaged("the stored params fail their checksum")
        except Damaged as damage:
            self._emit(DamageFound(lease.params.blob, str(damage)))
            return Refused(RequestError("api_error", "The stored params of this request are damaged: send it again."))
        except StoreUnavailable as error:
            return NotStarted(RequestError("api_error", str(error)))
        if not self._may_send(attempt):
            return UNSENT
        slots = attempt.lane.slots
        attempt.sent, attempt.position = self._clock.monotonic(), slots.send()
        attempt.answers_before = slots.patience.answers
        if attempt.suspect:
            slots.patience.again()
        if not lease.paid:
            slots.budget.began()
        heard = nobody_listens if slots.first is None else lambda: self._hear(attempt)
        call = Call(params, batch.version, batch.betas, is_wanted=lambda: self._may_send(attempt), heard=heard)
        if not lease.model:
            attempt.named = await kept_model_of(params)
        asked = await beside(len(params), attempt.lane.asks, call, lease.model)
        outcome = await attempt.lane.upstream.attempt(asked)
        return without_echo(outcome, params)

    def _hear(self, attempt: Attempt) -> None:
        """The first token of an answer is there, or all of it at once."""
        if attempt.sent is not None and not attempt.heard:
            attempt.heard, now = True, self._clock.monotonic()
            attempt.lane.slots.heard(now - attempt.sent, now)

    def _may_send(self, attempt: Attempt) -> bool:
        """Whether the call may begin now. Frozen past our lease somebody else may own it; past the deadline, and once
        its batch was canceled or paused, nothing begins."""
        now = self._clock.monotonic()
        return now < self.alive_until and now < attempt.must_begin_by and not attempt.withheld

    def _settle(self, attempt: Attempt, settlement: Settlement, outcome: Outcome) -> None:
        """Hand the settlement over, and let everybody learn from it."""
        self._running.end(attempt)
        self._troubled.ended(attempt)
        now = self._clock.monotonic()
        seconds = now - attempt.started
        if attempt.sent is not None:
            self._learn(attempt, outcome, now, attempt.sent)
        attempt.lane.slots.end()
        self._settled(attempt, settlement, seconds)
        lease, trace = attempt.lease, settlement.trace
        self._emit(
            AttemptFinished(
                lease.batch,
                lease.seq,
                lease.attempt,
                trace.outcome,
                seconds,
                attempt.lane.place,
                lease.model,
                settlement.usage if isinstance(settlement, Finish) else NO_USAGE,
                trace.reason,
                is_repeat=lease.paid > 0,
            )
        )

    def _learn(self, attempt: Attempt, outcome: Outcome, now: float, sent: float) -> None:
        slots = attempt.lane.slots
        slots.land()
        if attempt.stalled:
            slots.patience.cut()  # for being slow, which it may have been by right
            return
        if attempt.cut or (isinstance(outcome, NotStarted) and not self._may_send(attempt)):
            return  # we did not send it, or cannot tell: nothing to learn about the server
        if isinstance(outcome, Answered):
            slots.patience.answered(now - sent, again=attempt.suspect)
            if slots.first is not None:
                self._hear(attempt)
            if attempt.lease.paid:
                slots.budget.paid_off()
        hold = slots.limiter.observe(outcome, now, seconds=now - sent, position=attempt.position, others=slots.flying)
        if hold is not None:
            self._emit(LaneHeld(attempt.lane.name, hold.seconds, hold.reason))
