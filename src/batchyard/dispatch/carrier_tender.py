"""What every errand of one owner shares: the stores, the time, and how settlements of members are committed."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from batchyard.dispatch.stopped import Stopped
from batchyard.domain.events import AttemptFinished, Emit, SettlementRefused
from batchyard.domain.outcome import Answered, Hung, Outcome, Retry, Settlement, Trace, Unknown
from batchyard.domain.result import RequestError
from batchyard.domain.retry import settle
from batchyard.domain.usage import NO_USAGE
from batchyard.ports import Blobs, Carrier, Carriers, Clock, Work

_CUT = Hung(RequestError("timeout_error", "cut: the batch's time was over"))
_FORGOTTEN = Unknown(RequestError("api_error", "The upstream no longer has the batch that this request was in."))


class CarrierStore(Work, Carriers, Protocol):
    """What a runner of carriers needs of a store."""


@dataclass(slots=True)
class Tender:
    """One owner and what it works with.

    ``may_send``: our lease is not over, so nobody else tends our carriers, and there is room for what they bring.
    ``holds``: the time of day may be wrong, so no deadline of ours has passed. ``stopped``: batches that are broken.
    """

    owner: str
    store: CarrierStore
    blobs: Blobs
    clock: Clock
    emit: Emit
    jitter: Callable[[], float]
    may_send: Callable[[], bool]
    ripened: Callable[[], None]
    holds: Callable[[], bool]
    stopped: Stopped
    draining: bool = False

    def stop(self, carrier: Carrier, broken: Exception) -> None:
        """Touch the carrier no more, nor its batch: it is broken, the others are not."""
        self.stopped.stop(carrier.batch or carrier.id, "carrier", broken)

    def has_stopped(self, carrier: Carrier) -> bool:
        """Whether nothing of it is touched any more."""
        return (carrier.batch or carrier.id) in self.stopped

    async def settle(self, carrier: Carrier, settled: Sequence[tuple[Settlement, Outcome]]) -> None:
        """Commit what became of members; then let everybody know."""
        if not settled:
            return
        now = self.clock.now()
        turn = await self.store.turn(carrier.id, [settlement for settlement, _ in settled], [], now)
        if turn.ripe:
            self.ripened()
        for stale in turn.stale:
            self.emit(SettlementRefused(stale.lease.batch, stale.lease.seq, stale.lease.attempt))
        for settlement, outcome in settled:
            self.emit(_finished(carrier, settlement, outcome, now))

    async def release(self, carrier: Carrier, *, paid: int) -> None:
        """Our batch's time is over: members that have no result get none any more. They may have been paid for."""
        now = self.clock.now()
        trace = Trace("cut", carrier.created_at, now, "expired")
        leases = await self.store.members(carrier.id)
        await self.settle(
            carrier,
            [(Retry(one, now, trace, one.paid + paid, one.failures, one.unknowns), _CUT) for one in leases],
        )

    async def give_up(self, carrier: Carrier) -> None:
        """The upstream has lost what became of the members: an unknown end, as of any call."""
        now, jitter = self.clock.now(), self.jitter()
        leases = await self.store.members(carrier.id)
        settlements = [settle(lease, _FORGOTTEN, carrier.created_at, now, jitter) for lease in leases]
        await self.settle(carrier, [(settlement, _FORGOTTEN) for settlement in settlements])


async def woken(event: asyncio.Event, seconds: float) -> None:
    """Return when the event comes, or so many seconds are over; it is cleared."""
    timer = asyncio.get_running_loop().call_later(seconds, event.set)
    await event.wait()
    timer.cancel()
    event.clear()


def _finished(carrier: Carrier, settlement: Settlement, outcome: Outcome, now: datetime) -> AttemptFinished:
    lease, trace = settlement.lease, settlement.trace
    return AttemptFinished(
        lease.batch,
        lease.seq,
        lease.attempt,
        trace.outcome,
        (now - carrier.created_at).total_seconds(),
        carrier.lane,
        lease.model,
        outcome.usage if isinstance(outcome, Answered) else NO_USAGE,
        trace.reason,
        is_repeat=lease.paid > 0,
    )
