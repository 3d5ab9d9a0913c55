"""The dispatcher keeps every slot busy with a leased request until it is told to drain.

    turn: commit what was settled, lease what fills the slots ──> attempts ──> settle ──> next turn

A slot is taken before the lease and free only after the commit of its settlement: so a kill repeats at most
``limit`` calls. One turn runs at a time; what settles meanwhile is gathered for the next one, and the slots that a
turn frees are leased again in that same turn, so that a slot waits for one commit and no more.
"""

import asyncio
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batchyard.dispatch.interactive import Interactive
from batchyard.dispatch.queue import Queue
from batchyard.dispatch.running import Attempt, Running
from batchyard.domain.errors import StoreUnavailable
from batchyard.domain.events import (
    AttemptFinished,
    BugFound,
    DamageFound,
    DrainBegan,
    Emit,
    LaneHeld,
    SettlementRefused,
    StoreFailed,
    StoreRecovered,
)
from batchyard.domain.limiter import Limiter
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
from batchyard.domain.result import Expired, RequestError
from batchyard.domain.retry import settle
from batchyard.ports import Blobs, Call, Clock, Damaged, Pick, Turn, Upstream, Work

EXPIRY_GRACE = 30.0
"""Seconds that calls in flight get after their batch's deadline before they are cut."""
STORE_PAUSE = 1.0
"""Seconds between tries of a turn that the store could not take."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The dispatcher's times, in seconds.

    ``gather``: turns begin at least this far apart, so that commits come in groups: a commit costs about as much as
    ten settlements, and a call takes far longer. ``refresh``: how old the view of the backlog may grow when nothing
    wakes us. ``lease``: how long an owner counts as alive after a heartbeat.
    """

    gather: float = 0.0015
    refresh: float = 1.0
    lease: float = 30.0


class Dispatcher:
    """One owner. ``limit`` is the operator's, over all owners; each takes its share."""

    def __init__(
        self,
        work: Work,
        blobs: Blobs,
        upstream: Upstream,
        clock: Clock,
        emit: Emit,
        *,
        owner: str,
        limit: int,
        jitter: Callable[[], float],
        pace: Pace | None = None,
        ripened: Callable[[], None] = lambda: None,
    ) -> None:
        self.owner = owner
        self._work, self._blobs, self._upstream, self._clock, self._emit = work, blobs, upstream, clock, emit
        self._limit = limit
        self._jitter = jitter
        self._pace = pace or Pace()
        self._ripened = ripened
        self._limiter = Limiter(limit)
        self._queue = Queue(work, clock, self._pace.refresh)
        self._running = Running()
        self._wake = asyncio.Event()
        self._picked = 0
        self.calls = Interactive(
            upstream,
            self._limiter,
            clock,
            emit,
            batched=lambda: len(self._running) + self._picked,
            freed=self._wake.set,
        )
        self._settled: list[tuple[Attempt, Settlement]] = []
        self._alive_until = float("-inf")
        self._draining = False

    async def run(self) -> None:
        """Work until drained. Raises only for bugs; cancelling it is a sudden end, which loses nothing."""
        await self._beat()
        beats = asyncio.create_task(self._beats(), name="heartbeat")
        try:
            await self._turns()
        finally:
            beats.cancel()
            await asyncio.gather(beats, *self._running.abandon(), return_exceptions=True)

    def wake(self) -> None:
        """Look at the backlog again: a batch came, or was canceled."""
        self._queue.stale()
        self._wake.set()

    def drain(self) -> None:
        """Lease and take nothing more; ``run`` returns when what is in flight has ended, and has been committed."""
        self._draining = True
        self.calls.drain()
        self._emit(DrainBegan(len(self._running)))
        self._wake.set()

    def cut_overdue(self) -> None:
        """Cut calls of batches that expired more than the grace ago; their requests become expired."""
        self._running.cut_overdue(self._clock.now(), EXPIRY_GRACE)

    @property
    def in_flight(self) -> int:
        """Calls being made now."""
        return len(self._running)

    # --- heartbeats

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(self._pace.lease / 3)
            try:
                await self._beat()
            except StoreUnavailable as error:  # we stop sending by ourselves when the lease time is over
                self._emit(StoreFailed("heartbeat", str(error)))

    async def _beat(self) -> None:
        sent = self._clock.monotonic()
        owners = await self._work.beat(self.owner, self._clock.now())
        self._alive_until = sent + self._pace.lease
        self._limiter.ceiling = max(1, self._limit // max(1, owners))
        self.calls.admit()
        self._wake.set()

    # --- turns

    async def _turns(self) -> None:
        while not (self._draining and not self._running and not self._settled and not self.calls.running):
            await self._until_woken()
            began = self._clock.monotonic()
            settled, self._settled = self._settled, []
            picks = await self._picks()
            if settled or picks:
                turn = await self._turn([settlement for _, settlement in settled], picks)
                for attempt, settlement in settled:
                    if isinstance(settlement, Retry):
                        self._queue.retried(attempt.batch, settlement.ready_at)
                self._begin_attempts(picks, turn)
                self._picked = 0
                self.calls.admit()
                await asyncio.sleep(max(0.0, began + self._pace.gather - self._clock.monotonic()))

    async def _until_woken(self) -> None:
        """Wait for a settlement, a wake, or the time when something could be leased."""
        if not self._settled:
            timer = asyncio.get_running_loop().call_later(self._idle_seconds(), self._wake.set)
            await self._wake.wait()
            timer.cancel()
        self._wake.clear()

    def _idle_seconds(self) -> float:
        now = self._clock.monotonic()
        resumes_at = self._limiter.resumes_at(now)
        if resumes_at is not None:
            return min(resumes_at - now, self._pace.refresh)
        if self._room(now) == 0:  # a settlement or a heartbeat wakes us
            return self._pace.refresh
        return self._queue.seconds_until_due()

    def _room(self, now: float) -> int:
        """Slots that are free once this turn is committed: the running attempts keep theirs."""
        if self._draining or now >= self._alive_until:
            return 0
        return self._limiter.room(len(self._running) + self.calls.running, now)

    async def _picks(self) -> Sequence[Pick]:
        """Choose what to lease. From here until the attempts begin the slots are taken: no call may have them."""
        self._picked = room = self._room(self._clock.monotonic())
        try:
            picks = await self._queue.picks(room) if room else []
        except StoreUnavailable as error:
            self._emit(StoreFailed("backlog", str(error)))
            picks = []
        self._picked = sum(pick.limit for pick in picks)
        self.calls.admit()
        return picks

    async def _turn(self, settlements: Sequence[Settlement], picks: Sequence[Pick]) -> Turn:
        """Commit, for as long as it takes: answers are paid for. Nothing new is leased after a failure."""
        failed_at: float | None = None
        while True:
            try:
                turn = await self._work.turn(self.owner, settlements, picks, self._clock.now())
                break
            except StoreUnavailable as error:
                failed_at = self._clock.monotonic() if failed_at is None else failed_at
                self._emit(StoreFailed("commit", str(error)))
                self._queue.stale()
                picks, self._picked = [], 0
                self.calls.admit()
                await asyncio.sleep(STORE_PAUSE)
        if failed_at is not None:
            self._emit(StoreRecovered(self._clock.monotonic() - failed_at))
        for stale in turn.stale:
            self._emit(SettlementRefused(stale.lease.batch, stale.lease.seq, stale.lease.attempt))
        if turn.ripe:
            self._ripened()
        return turn

    # --- attempts

    def _begin_attempts(self, picks: Sequence[Pick], turn: Turn) -> None:
        self._queue.leased(picks, turn.leases)
        now, started = self._clock.now(), self._clock.monotonic()
        for lease in turn.leases:
            attempt = Attempt(lease, self._queue.batch(lease.batch), now, started)
            if self._running.begin(attempt):
                attempt.task = asyncio.create_task(self._attempt(attempt))

    async def _attempt(self, attempt: Attempt) -> None:
        """Make the call and settle it. Only an abandon leaves the lease unsettled."""
        try:
            outcome = await self._call(attempt)
        except asyncio.CancelledError:
            if not attempt.cut:
                raise
            outcome = Hung(RequestError("timeout_error", "cut: the batch expired"))
            trace = Trace("cut", attempt.started_at, self._clock.now(), "expired")
            self._settle(attempt, Finish(attempt.lease, Expired(), trace), outcome)
            return
        except Exception as bug:  # noqa: BLE001 one bad answer must not stop its paid-for neighbours
            self._emit(BugFound("attempt", bug))
            outcome = Unknown(RequestError("api_error", "The server met a fault of its own while it made this call."))
        settlement = settle(attempt.lease, outcome, attempt.started_at, self._clock.now(), self._jitter())
        self._settle(attempt, settlement, outcome)

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
        now = self._clock.monotonic()
        left = (batch.expires_at - attempt.started_at).total_seconds() - (now - attempt.started)
        if now >= self._alive_until or left <= 0.0:
            # frozen past our lease, or past the deadline: somebody else may own it, and nothing was sent
            return NotStarted(RequestError("api_error", "not sent: the lease or the batch's time was over"))
        attempt.sent = True
        return await self._upstream.attempt(Call(params, batch.version, batch.betas))

    def _settle(self, attempt: Attempt, settlement: Settlement, outcome: Outcome) -> None:
        """Hand the settlement to the next turn: the slot stays taken until that is committed."""
        self._running.end(attempt)
        self._settled.append((attempt, settlement))
        self._wake.set()
        now = self._clock.monotonic()
        seconds = now - attempt.started
        self._queue.used(attempt.batch, seconds)
        hold = self._limiter.observe(outcome, now) if attempt.sent and not attempt.cut else None
        if hold is not None:
            self._emit(LaneHeld("upstream", hold.seconds, hold.reason))
        self.calls.admit()
        lease, trace = attempt.lease, settlement.trace
        tokens = (outcome.input_tokens, outcome.output_tokens) if isinstance(outcome, Answered) else (0, 0)
        self._emit(
            AttemptFinished(lease.batch, lease.seq, lease.attempt, trace.outcome, seconds, *tokens, trace.reason)
        )
