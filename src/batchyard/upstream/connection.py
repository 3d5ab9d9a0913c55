"""One HTTP/1.1 connection to an upstream: one call at a time, every answer whole, cut or named for what it is.

    idle ── send ──> waiting ── whole answer ──> idle (kept) or closed
                        └────── anything else ──> closed, and an outcome that says what it may have cost

A request that was handed to the connection may have been billed: whatever breaks afterwards is ``Unknown`` at best.
Parsing is llhttp's, strict; the caps on bytes, and what silence means, are ours.
"""

import asyncio
import select
from collections.abc import Callable
from typing import cast

import httptools

from batchyard.domain.outcome import Held, Hung, NotStarted, Outcome, Unknown
from batchyard.domain.result import RequestError
from batchyard.upstream.exchange import Answer, CallLimits, Exchanged, hinted_seconds, hostile, hung, unknown
from batchyard.upstream.flow import EventFlow

_TLS_ALERT = b"\x15\x03"
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"content-encoding", b"keep-alive"})


class _Stop(Exception):
    """Ends the parsing: the connection has noted why."""


class Connection(asyncio.BufferedProtocol):
    """What it is told by the event loop and by the parser, and what follows.

    ``opened`` is called once, ``freed`` when an answer was whole and another call may follow, ``lost`` once at the end.
    ``streamed`` says whether the last answer was a stream of events.
    """

    def __init__(
        self,
        limits: CallLimits,
        buffer: bytearray,
        *,
        opened: Callable[["Connection"], None],
        freed: Callable[["Connection"], None],
        lost: Callable[["Connection"], None],
    ) -> None:
        self._limits = limits
        self._clock = asyncio.get_running_loop().time
        self._buffer = memoryview(buffer)
        self._opened = opened
        self._freed = freed
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Exchanged] | None = None
        self._idle_limit = limits.idle_seconds
        self._idle_since = self._clock()
        self._writable = asyncio.Event()
        self._writable.set()
        self._begin(deadline=0.0)

    def _begin(self, deadline: float) -> None:
        self._deadline = deadline
        self._heard_at: float | None = None
        self._sent_at = self._clock()
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._barren_bytes = 0
        self._until_eof = False
        self._unreadable = False
        self._whole = False
        self._reusable = True
        self._fault: Outcome | None = None
        self._flow: EventFlow | None = None

    # -- for the pool ------------------------------------------------------------------------------------------------

    def send(
        self, request: bytes, deadline: float, flow: EventFlow | None = None, *, in_parts: bool = False
    ) -> "asyncio.Future[Exchanged]":
        """Write the request; the future ends with the answer or with the outcome that a fault amounts to.

        Where the answer is a stream of events, and a ``flow`` is given, the body goes there and is not kept.
        ``in_parts``: the body follows (``write``, ``end_upload``); a call that breaks before its end has not begun.
        """
        assert self._waiter is None, "two calls on one connection"
        assert self._transport is not None, "a call before the connection"
        self._begin(deadline)
        self._flow, self._unsent = flow, in_parts
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiter

    async def write(self, part: bytes) -> bool:
        """Write a part of the body once there is room for it; False where the call has ended already."""
        await self._writable.wait()
        if self._waiter is not None and self._transport is not None:
            self._sent_at = self._clock()  # the server is not silent while it is being told
            self._transport.write(part)
        return self._waiter is not None

    def end_upload(self) -> None:
        """All of the body is written: from here on the call may have been taken."""
        self._unsent = False

    def is_usable(self) -> bool:
        """Whether a call may be sent now: open, and not a byte or an end waiting to be read.

        Asked at the last moment, so that a connection which the server has closed is not mistaken for a call that
        broke: that would be an unknown outcome, and money.
        """
        transport = self._transport
        if transport is None or transport.is_closing() or self._clock() - self._idle_since >= self._idle_limit:
            return False
        return not self._has_unread()

    def check(self, now: float) -> None:
        """Cut what has been silent, or idle, for too long."""
        if self._waiter is None:
            if now - self._idle_since >= self._idle_limit:
                self.cut()
            return
        limits = self._limits
        if self._flow is not None:
            self._heard_at = self._flow.heard_at(self._heard_at, now)
        if now >= self._deadline:
            self._fail(hung(f"gave no whole answer within {limits.total_seconds:g} s"))
        elif self._heard_at is None:
            if limits.first_byte_seconds is not None and now - self._sent_at >= limits.first_byte_seconds:
                self._fail(hung(f"gave not one byte of an answer within {limits.first_byte_seconds:g} s"))
        elif limits.silence_seconds is not None and now - self._heard_at >= limits.silence_seconds:
            self._fail(hung(f"fell silent for {limits.silence_seconds:g} s in the middle of its answer"))

    def cut(self) -> None:
        """Close at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    # -- from the event loop -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._has_unread = _poller(transport)
        self._idle_since = self._clock()
        self._opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._waiter is None:  # nothing was asked: a late surplus of the last answer, or worse
            self.cut()
            return
        self._heard_at = self._clock()
        before = self._body_bytes
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except httptools.HttpParserUpgrade:
            self._whole, self._reusable = True, False
        except httptools.HttpParserError:
            self._reusable = False
            if not self._whole:
                self._fail(self._fault or self._not_http(nbytes))
        if self._whole:
            self._finish()
        elif self._body_bytes == before and self._waiter is not None:
            self._barren_bytes += nbytes
            if self._barren_bytes > self._limits.max_header_bytes:
                self._fail(hostile("sent endless headers"))

    def eof_received(self) -> None:
        if self._waiter is not None and self._until_eof:
            self._whole, self._reusable = True, False
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None:
            self._end(unknown(self._how_it_broke(exc)))
        self._transport = None
        self._lost(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # -- from the parser ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._whole:
            raise _Stop  # a second answer to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > self._limits.max_header_bytes:
            self._stop(hostile(f"sent more than {self._limits.max_header_bytes} bytes of headers"))
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        framing = {known: value for name, value in self._headers if (known := name.lower()) in _FRAMING}
        length = framing.get(b"content-length")
        if length and int(length) > self._limits.max_answer_bytes:
            self._stop(self._too_large())
        self._until_eof = length is None and b"transfer-encoding" not in framing
        encoding = framing.get(b"content-encoding", b"identity").strip().lower()
        self._unreadable = encoding not in {b"", b"identity"}
        if self._unreadable and self._status == 200:
            self._stop(hostile("compressed its answer although it was asked not to"))
        if hint := framing.get(b"keep-alive"):
            self._idle_limit = min(self._limits.idle_seconds, hinted_seconds(hint))
        if self._flow is not None and self._status == 200 and self._transport is not None:
            self._flow.begin_if_events(self._headers, self._transport)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._flow is not None and self._flow.has_begun:
            self._flow.feed(body)
            return
        if self._body_bytes > self._limits.max_answer_bytes:
            self._stop(self._too_large())
        if not self._unreadable:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._status < 200:  # an interim answer; the final one follows
            self._headers.clear()
            self._status, self._until_eof = 0, False
            return
        self._whole = True
        self._reusable = self._parser.should_keep_alive()

    # -- the end of a call -------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        transport = self._transport
        assert transport is not None
        parts = self._parts
        self.streamed = self._flow is not None and self._flow.has_begun
        if self._flow is not None:
            self._flow.finish()
        keep = self._reusable and not (self._unsent or transport.is_closing() or transport.get_write_buffer_size())
        self._end(Answer(self._status, self._headers, parts[0] if len(parts) == 1 else b"".join(parts)))
        if keep:
            self._idle_since = self._clock()
            self._freed(self)
        else:
            self.cut()

    def _fail(self, outcome: Outcome) -> None:
        self._end(outcome)
        self.cut()

    def _end(self, exchanged: Exchanged) -> None:
        waiter, self._waiter, self._flow = self._waiter, None, None
        self._writable.set()
        if self._unsent and isinstance(exchanged, Unknown | Hung):
            exchanged = NotStarted(exchanged.error)
        if waiter is not None and not waiter.done():
            waiter.set_result(exchanged)

    def _stop(self, fault: Outcome) -> None:
        self._fault = fault
        raise _Stop

    def _too_large(self) -> Outcome:
        return hostile(f"sent an answer of more than {self._limits.max_answer_bytes} bytes")

    def _not_http(self, nbytes: int) -> Outcome:
        if bytes(self._buffer[: min(nbytes, 2)]) == _TLS_ALERT and not self._status:
            return Held(RequestError("api_error", "The upstream speaks TLS: its URL must begin with https."))
        return unknown("sent something that is not HTTP")

    def _how_it_broke(self, exc: Exception | None) -> str:
        how = "reset" if isinstance(exc, OSError) else "closed"
        if self._status >= 200:
            return f"{how} the connection in the middle of its answer"
        if self._heard_at is not None:
            return f"{how} the connection in the headers of its answer"
        return f"{how} the connection after the request was sent, without an answer"


def _poller(transport: asyncio.BaseTransport) -> Callable[[], bool]:
    """Return a question that costs a microsecond: is there anything to read (bytes, an end, an error) right now?"""
    descriptor: int = transport.get_extra_info("socket").fileno()
    if not hasattr(select, "poll"):  # Windows, where select has no limit on descriptors
        return lambda: bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return lambda: bool(poll.poll(0))
