"""Messages that somebody waits for, whole or as a stream, and the count of their tokens.

body ──> a slot of the lane ──> answer
                          └──> events ──> the last one, or an error and a cut

The params go to the lane byte for byte. A client that goes away takes its call with it.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from batchyard import wire
from batchyard.domain import traceparent
from batchyard.domain.errors import InvalidRequest
from batchyard.domain.outcome import Answered, Outcome
from batchyard.ports import Call, Calls, Stream
from batchyard.web import auth
from batchyard.web.bodies import Bodies, Budget
from batchyard.web.calls import Answer, ApiCall, Sendable
from batchyard.web.outcomes import failure, told
from batchyard.web.protocol import ClientGone, CutAfter

T = TypeVar("T")


class Messages:
    """``POST /v1/messages`` and ``POST /v1/messages/count_tokens``."""

    def __init__(self, calls: Calls, max_bytes: int, budget: Budget) -> None:
        self._calls = calls
        self._bodies = Bodies(max_bytes, budget)

    async def create(self, call: ApiCall) -> Sendable:
        async with self._bodies.read(call) as body:
            asked = _call(call, body)
            if _wants_stream(body):
                begun = await _while_there(call, self._calls.stream(asked))
                return _Streamed(begun) if not isinstance(begun, Outcome) else failure(begun, call.request_id)
            outcome = await _while_there(call, self._calls.attempt(asked))
        if isinstance(outcome, Answered):
            return Answer(outcome.message)
        return failure(outcome, call.request_id)

    async def count(self, call: ApiCall) -> Answer:
        async with self._bodies.read(call) as body:
            _wants_stream(body)
            counted = await _while_there(call, self._calls.count(_call(call, body)))
        return Answer(wire.count_json(counted)) if isinstance(counted, int) else failure(counted, call.request_id)


@dataclass(frozen=True, slots=True)
class _Streamed:
    """A stream on its way. One that breaks ends with an error event and no end of the body: it cannot look whole."""

    stream: Stream

    async def send(self, call: ApiCall) -> None:
        try:
            await _while_there(call, self._pump(call))
        finally:
            await self.stream.close()

    async def _pump(self, call: ApiCall) -> None:
        await call.start(200, wire.EVENTS, None, (("cache-control", "no-cache"),))
        while isinstance(part := await self.stream.read(), bytes):
            await call.write(part, more=bool(part))
            if not part:
                return
        error = told(part)
        await call.write(wire.error_event(error.type, error.message, call.request_id), more=True)
        raise CutAfter


class _Asked(msgspec.Struct):
    """The one member that is ours to know; the rest is the lane's to judge."""

    stream: Any = None


_asked = msgspec.json.Decoder(_Asked)


def _wants_stream(body: bytes) -> bool:
    try:
        return _asked.decode(body).stream is True
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as wrong:
        raise InvalidRequest("The request body is not a valid JSON object.") from wrong


def _call(call: ApiCall, body: bytes) -> Call:
    span = traceparent.kept(call.headers.get("traceparent"))
    return Call(body, call.version, auth.betas(call.headers), batched=False, traceparent=span)


async def _while_there(call: ApiCall, work: Coroutine[Any, Any, T]) -> T:
    """Finish the work, or cut it and raise ``ClientGone`` as soon as nobody waits for it any more."""
    working = asyncio.create_task(work, name="call")
    leaving = asyncio.create_task(_gone(call), name="call-watch")
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(call: ApiCall) -> None:
    while (await call.receive())["type"] != "http.disconnect":
        pass
