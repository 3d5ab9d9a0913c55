"""Interactive calls, which somebody waits for: they take a lane's slots ahead of batches, and are never tried again.

    slot free? ── yes ──> call ──> slot free
        └── no ──> wait, in turn ──> the next slot that frees, whoever had it
                     └── not for long: held, full, draining are answers too

Whatever frees a slot of the upstream calls ``admit`` in the same step: so nothing can be leased while a call waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from batchyard.dispatch.slots import Slots
from batchyard.domain.call_events import CallFinished
from batchyard.domain.catalog import ModelInfo
from batchyard.domain.echo import without_echo
from batchyard.domain.events import Emit, LaneHeld
from batchyard.domain.outcome import Answered, NotStarted, Outcome
from batchyard.domain.result import RequestError
from batchyard.domain.usage import NO_USAGE
from batchyard.ports import Call, Clock, Stream, Upstream

LONGEST_WAIT = 60.0
"""Seconds a call may wait for its slot; SDKs give up on the whole call after ten minutes and would pay for it twice."""
MOST_COUNTS = 16
"""Counts at a time: they take no slot, and cost a model server little, but not nothing."""
_CONTENT = b"content_block"
"""What the name of each event that tells of content has in it."""
COME_BACK = 5.0
"""Seconds that a caller is told to stay away when there is no better estimate."""


class Interactive:
    """The calls of one lane. Implements ``Calls``."""

    def __init__(
        self, lane: str, upstream: Upstream, slots: Slots, clock: Clock, emit: Emit, *, place: str, model: str
    ) -> None:
        self._lane, self._upstream, self._slots = lane, upstream, slots
        self._place, self._model = place, model
        self._clock, self._emit = clock, emit
        self._waiting: deque[asyncio.Future[NotStarted | None]] = deque()
        self._counts = asyncio.Semaphore(MOST_COUNTS)
        self._draining = False

    def drain(self) -> None:
        """Take nothing more; calls that wait are told so, calls in flight go on."""
        self._draining = True
        self.admit()

    def admit(self) -> None:
        """Give free slots to the calls that wait, in turn; or tell them all why there will be none."""
        while self._waiting and (refused := self._refusal()) is not None:
            self._waiting.popleft().set_result(refused)
        while self._waiting and self._room():
            self._slots.enter()
            self._waiting.popleft().set_result(None)
        if not self._waiting:
            self._slots.server.waiting.pop(self.admit, None)

    async def attempt(self, call: Call) -> Outcome:
        refused = await self._slot()
        if refused is not None:
            return refused
        began = self._clock.monotonic()
        try:
            first = _First(self._slots, self._clock, began)
            outcome = without_echo(await self._upstream.attempt(first.listening(call)), call.params)
            if isinstance(outcome, Answered):
                first.heard()
            self._learn(call, outcome, began, streamed=False)
            return outcome
        finally:
            self._leave()

    async def stream(self, call: Call) -> Stream | Outcome:
        refused = await self._slot()
        if refused is not None:
            return refused
        began = self._clock.monotonic()
        streaming = False
        try:
            stream = await self._upstream.stream(call)
            if isinstance(stream, Outcome):
                outcome = without_echo(stream, call.params)
                self._learn(call, outcome, began, streamed=True)
                return outcome
            streaming = True
            return _SlottedStream(
                stream,
                lambda outcome: self._learn(call, without_echo(outcome, call.params), began, streamed=True),
                self._leave,
                _First(self._slots, self._clock, began),
            )
        finally:
            if not streaming:
                self._leave()

    async def count(self, call: Call) -> int | Outcome:
        async with self._counts:
            return await self._upstream.count(call)

    async def models(self) -> Sequence[ModelInfo] | Outcome:
        return await self._upstream.models()

    # --- slots

    async def _slot(self) -> NotStarted | None:
        """Wait for a slot, which is then ours to leave; or return why there is none."""
        refused = self._refusal()
        if refused is not None:
            return refused
        if not self._waiting and self._room():
            self._slots.enter()
            return None
        waiter: asyncio.Future[NotStarted | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._slots.server.waiting[self.admit] = None
        self._slots.server.freed()  # a lane that nobody knows to be well is to be looked at
        try:
            await asyncio.wait((waiter,), timeout=LONGEST_WAIT)
        except asyncio.CancelledError:
            if waiter.done() and waiter.result() is None:
                self._leave()
            raise
        finally:
            if not waiter.done():
                self._waiting.remove(waiter)
        if waiter.done():
            return waiter.result()
        return _not_now(f"All slots are busy: none came free within {LONGEST_WAIT:g} s.", COME_BACK)

    def _room(self) -> int:
        return self._slots.room_for_calls(self._clock.monotonic())

    def _refusal(self) -> NotStarted | None:
        if self._draining:
            return _not_now("This server is stopping and takes no new calls.", COME_BACK)
        now = self._clock.monotonic()
        resumes_at = self._slots.limiter.resumes_at(now)
        if resumes_at is None:
            return None
        return _not_now("The model server failed lately and is left alone for a while.", resumes_at - now)

    def _leave(self) -> None:
        self._slots.leave()

    def _learn(self, call: Call, outcome: Outcome, began: float, *, streamed: bool) -> None:
        now = self._clock.monotonic()
        hold = self._slots.limiter.observe(outcome, now, others=self._slots.flying - 1)
        if hold is not None:
            self._emit(LaneHeld(self._lane, hold.seconds, hold.reason))
            self.admit()
        reason = "" if isinstance(outcome, Answered) else outcome.error.type
        used = outcome.usage if isinstance(outcome, Answered) else NO_USAGE
        told = (type(outcome).__name__.lower(), now - began, streamed, reason)
        self._emit(CallFinished(*told, self._place, self._model, used, call.traceparent))


class _First:
    """Tells the lane once, where it has a target for that, when an answer's first token has come."""

    def __init__(self, slots: Slots, clock: Clock, began: float) -> None:
        self._slots, self._clock, self._began = slots, clock, began
        self.is_awaited = slots.first is not None

    def heard(self) -> None:
        if self.is_awaited:
            self.is_awaited, now = False, self._clock.monotonic()
            self._slots.heard(now - self._began, now, is_call=True)

    def listening(self, call: Call) -> Call:
        return msgspec.structs.replace(call, heard=self.heard) if self.is_awaited else call


class _SlottedStream:
    """A stream that holds its slot until it has ended or is closed."""

    def __init__(
        self, stream: Stream, learn: Callable[[Outcome], None], leave: Callable[[], None], first: _First
    ) -> None:
        self._stream, self._learn, self._leave, self._first = stream, learn, leave, first
        self._over = False

    async def read(self) -> bytes | Outcome:
        part = await self._stream.read()
        if self._first.is_awaited and isinstance(part, bytes) and _CONTENT in part:
            self._first.heard()
        if not self._over and (not part or isinstance(part, Outcome)):
            self._over = True
            self._learn(part if isinstance(part, Outcome) else Answered(b""))
            self._leave()
        return part

    async def close(self) -> None:
        try:
            await self._stream.close()
        finally:
            if not self._over:
                self._over = True
                self._leave()


def _not_now(message: str, retry_after: float) -> NotStarted:
    return NotStarted(RequestError("overloaded_error", message), retry_after)
