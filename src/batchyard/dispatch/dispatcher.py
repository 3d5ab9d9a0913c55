"""The dispatcher keeps every slot busy with a leased request until it is told to drain.

    turn: commit what was settled, lease what fills the slots ──> attempts ──> settle ──> next turn

A slot is taken before the lease and free only after the commit of its settlement: so a kill repeats at most
``limit`` calls. One turn runs at a time; what settles meanwhile is gathered for the next one, and the slots that a
turn frees are leased again in that same turn, so that a slot waits for one commit and no more. A turn takes half of
what was gathered: while the store commits that, the calls of the turn before go out.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batchyard.dispatch.attempts import Attempts
from batchyard.dispatch.board import LaneBoard
from batchyard.dispatch.canary import Canaries
from batchyard.dispatch.doubt import Doubt
from batchyard.dispatch.engine_watch import EngineWatch
from batchyard.dispatch.heartbeat import Heartbeat
from batchyard.dispatch.lanes import Lanes
from batchyard.dispatch.queue import Picked, Queue
from batchyard.dispatch.routed import RoutedCalls
from batchyard.dispatch.running import Attempt
from batchyard.dispatch.spending import Unwatched
from batchyard.dispatch.stopped import Stopped, merged
from batchyard.domain.call_events import TurnFinished
from batchyard.domain.errors import StoreDamaged, StoreUnavailable
from batchyard.domain.events import DrainBegan, Emit, SettlementRefused, StoreFailed, StoreRecovered
from batchyard.domain.outcome import Retry, Settlement
from batchyard.ports import Blobs, Clock, Pick, Turn, Work

SMALLEST_TURN = 8
"""Settlements that are not worth two commits."""
STORE_PAUSE = 1.0
"""Seconds between tries of a turn that the store could not take."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The dispatcher's times, in seconds.

    ``gather``: turns begin at least this far apart, so that commits come in groups: a commit costs about as much as
    ten settlements, and a call takes far longer. ``refresh``: how old the view of the backlog may grow when nothing
    wakes us. ``lease``: how long an owner counts as alive after a heartbeat.
    """

    gather: float = 0.0005
    refresh: float = 1.0
    lease: float = 30.0


class Dispatcher:
    """One owner. The operator's limits are over all owners: each takes its share."""

    def __init__(
        self,
        work: Work,
        blobs: Blobs,
        lanes: Lanes,
        clock: Clock,
        emit: Emit,
        *,
        owner: str,
        jitter: Callable[[], float],
        pace: Pace | None = None,
        ripened: Callable[[], None] = lambda: None,
        may_store: Callable[[], bool] = lambda: True,
        stopped: Stopped | None = None,
        weight: Callable[[str], float] = lambda _workspace: 1.0,
        spending: Unwatched | None = None,
    ) -> None:
        self.owner = owner
        self.owners = 0
        """How many live, we too, as of our last heartbeat; 0 before the first."""
        self._work, self._clock, self._emit = work, clock, emit
        self._lanes = lanes
        self._pace = pace or Pace()
        self._ripened = ripened
        self._may_store = may_store
        self._stopped = stopped or Stopped(emit)
        watch = self._spending = spending or Unwatched()
        of = (work, lanes, clock, self._pace.refresh)
        self._queue = Queue(*of, weight=weight, stopped=self._stopped, may_start=watch.may_start)
        self._wake = asyncio.Event()
        self._heartbeat = Heartbeat(work, clock, emit, owner=owner, lease=self._pace.lease, lives=self._lives)
        lanes.when_freed(self._wake.set)
        self._attempts = Attempts(blobs, clock, emit, jitter=jitter, settled=self._to_be_committed, claims=self._queue)
        self._canaries = Canaries(lanes, clock, emit, self._wake.set)
        self.calls = RoutedCalls(lanes)
        self.board = LaneBoard(lanes, work, clock, emit, pending=self._queue.pending, changed=self._wake.set)
        self._settled: list[tuple[Attempt, Settlement]] = []
        self._doubt = Doubt(work, clock, owner, self._knows)
        self._draining = False
        self._withheld: set[str] = set()

    async def run(self) -> None:
        """Work until drained. Raises only for bugs; cancelling it is a sudden end, which loses nothing."""
        beats = asyncio.create_task(self._heartbeat.run(), name="heartbeat")
        watch = asyncio.create_task(EngineWatch(self._lanes, self._clock, self._emit).run(), name="engines")
        try:
            await self._turns()
        finally:
            beats.cancel()
            watch.cancel()
            ends = (beats, watch, self._attempts.abandon(), self._canaries.abandon())
            await asyncio.gather(*ends, return_exceptions=True)

    def beat_soon(self) -> None:
        """Another owner came, or left: our share of every limit is another one from the next heartbeat on."""
        self._heartbeat.beat_soon()

    def wake(self) -> None:
        """Look at the backlog again: a batch came, or was canceled."""
        self._queue.stale()
        self._wake.set()

    def withhold(self, batch: str) -> None:
        """Begin no call of the batch from now on, though it is leased already: it was canceled, or paused."""
        self._attempts.withhold(batch)
        self._withheld.add(batch)  # a turn that runs may have leased more of it

    def drain(self) -> None:
        """Lease and take nothing more; ``run`` returns when what is in flight has ended, and has been committed."""
        self._draining = True
        self._lanes.drain()
        self._emit(DrainBegan(len(self._attempts)))
        self._wake.set()

    async def leave(self) -> None:
        """Once ``run`` has ended: let the others have our share, and what we still hold, at once."""
        await self._heartbeat.leave()

    def cut_overdue(self) -> None:
        """Cut calls of batches that expired more than a grace ago; their requests become expired."""
        self._attempts.cut_overdue()

    @property
    def in_flight(self) -> int:
        """Calls being made now."""
        return len(self._attempts)

    def may_send(self) -> bool:
        """Whether our lease is not over: nobody else has what is ours."""
        return self._clock.monotonic() < self._attempts.alive_until

    async def _lives(self, until: float, owners: int) -> None:
        """We have said that we live: our share of the limits is that of so many owners."""
        self._attempts.alive_until = until
        self.owners = owners
        self._lanes.share(owners)
        await self.board.learn()
        self._wake.set()

    # --- turns

    async def _turns(self) -> None:
        while not (self._draining and self._is_done()):
            await self._until_woken()
            await self._doubt.clear()
            began = self._clock.monotonic()
            settled = self._next_settled()
            picked = await self._picks()
            self._withheld.clear()  # the store itself leases nothing of them any more
            self._canaries.look()
            if settled or picked:
                turn = await self._turn([settlement for _, settlement in settled], picked)
                self._spending.committed(settlement for _, settlement in settled)
                for attempt, settlement in settled:
                    if isinstance(settlement, Retry):
                        self._queue.retried(attempt.batch, settlement.ready_at)
                self._attempts.begin(self._queue.leased(picked, turn))
                for batch in self._withheld:
                    self._attempts.withhold(batch)
            self._attempts.cut_stalled()  # after the leases: who has got a slot wants none
            await asyncio.sleep(max(0.0, began + self._pace.gather - self._clock.monotonic()))

    def _is_done(self) -> bool:
        return not (self._attempts or self._settled or self.calls.running or self._doubt.is_there)

    def _knows(self, request: tuple[str, int]) -> bool:
        return self._attempts.runs(request) or any(attempt.lease.key == request for attempt, _ in self._settled)

    def _next_settled(self) -> list[tuple[Attempt, Settlement]]:
        """Take what the next turn commits.

        Half of what waits: calls that begin together end together, so settlements come in bursts. Committed whole, a
        burst would idle its slots for a long commit, and then the store while all its calls go out; and so again,
        for the burst never thins. By halves the two overlap (``docs/benchmarks.md``: 0.96 of 256 slots, not 0.90).
        """
        take = max(SMALLEST_TURN, len(self._settled) // 2)
        settled, self._settled = self._settled[:take], self._settled[take:]
        for attempt, _ in settled:
            attempt.lane.slots.commit()
        self._spending.committed(settlement for _, settlement in settled if settlement.lease.batch in self._stopped)
        return [(attempt, settlement) for attempt, settlement in settled if settlement.lease.batch not in self._stopped]

    async def _until_woken(self) -> None:
        """Wait for a settlement, a wake, or the time when something could be leased."""
        if not self._settled:
            timer = asyncio.get_running_loop().call_later(self._idle_seconds(), self._wake.set)
            await self._wake.wait()
            timer.cancel()
        self._wake.clear()

    def _idle_seconds(self) -> float:
        now = self._clock.monotonic()
        if not self._may_lease(now):  # a settlement or a heartbeat wakes us; room on the disk is looked for
            return self._pace.refresh
        opens_at = self._lanes.opens_at(now)
        seconds = min(self._queue.seconds_until_due(), self._pace.refresh)
        return seconds if opens_at is None else min(seconds, max(0.0, opens_at - now))

    def _may_lease(self, now: float) -> bool:
        if self._attempts.wants_quiet:
            return False
        return not self._draining and now < self._attempts.alive_until and self._may_store()

    async def _picks(self) -> Picked:
        """Choose what to lease, and where it runs. What runs, or waits for a later turn, keeps its slot."""
        if not self._may_lease(self._clock.monotonic()):
            return {}
        try:
            return await self._queue.picks()
        except StoreUnavailable as error:
            self._emit(StoreFailed("backlog", str(error)))
            return {}

    def _to_be_committed(self, attempt: Attempt, settlement: Settlement, seconds: float) -> None:
        """An attempt ended: its slot stays taken until a turn has committed what came of it."""
        self._settled.append((attempt, settlement))
        self._wake.set()
        self._queue.used(attempt.batch, seconds)
        self._spending.settled(attempt.batch, settlement)

    async def _turn(self, settlements: Sequence[Settlement], picked: Picked) -> Turn:
        """Commit, for as long as it takes: answers are paid for. Nothing new is leased after a failure."""
        picks = [Pick(batch, model, len(lanes)) for (batch, model), lanes in picked.items()]
        failed_at: float | None = None
        while True:
            began = self._clock.monotonic()
            try:
                turn = await self._work.turn(self.owner, settlements, picks, self._clock.now())
                break
            except StoreDamaged as damage:
                return await self._turn_apart(settlements, picked, damage)
            except StoreUnavailable as error:
                failed_at = self._clock.monotonic() if failed_at is None else failed_at
                self._emit(StoreFailed("commit", str(error)))
                self._doubt.is_there = True
                self._queue.stale()
                self._queue.unpick(picked)
                picks = []
                await asyncio.sleep(STORE_PAUSE)
            except Exception as bug:  # noqa: BLE001 an invariant of one batch must not stop the others
                return await self._turn_apart(settlements, picked, bug)
        if failed_at is not None:
            self._emit(StoreRecovered(self._clock.monotonic() - failed_at))
        self._emit(TurnFinished(self._clock.monotonic() - began, len(settlements), len(turn.leases)))
        for stale in turn.stale:
            self._emit(SettlementRefused(stale.lease.batch, stale.lease.seq, stale.lease.attempt))
        if turn.ripe:
            self._ripened()
        return turn

    async def _turn_apart(self, settlements: Sequence[Settlement], picked: Picked, broken: Exception) -> Turn:
        """Do each batch's part alone, to learn which is broken; that one is stopped, the others have their turn."""
        batches = list(dict.fromkeys([*(one.lease.batch for one in settlements), *(batch for batch, _ in picked)]))
        if len(batches) == 1:
            self._stopped.stop(batches[0], "turn", broken)
            return merged([])
        turns = []
        for batch in batches:
            own = [settlement for settlement in settlements if settlement.lease.batch == batch]
            turns.append(await self._turn(own, {key: lanes for key, lanes in picked.items() if key[0] == batch}))
        return merged(turns)
