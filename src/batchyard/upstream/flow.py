"""The events of a streamed answer on their way from a connection to the one who reads them: few are held at a time.

    connection ── feed ──> flow ── read ──> reader
        └── stops reading from its socket while the flow is full

Bytes pass as they came, in whole events, so that a break never leaves half of one. A stream is whole only
if HTTP says so and the last event of a Message was among them.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from batchyard.domain.outcome import Failed, Outcome
from batchyard.domain.result import RequestError
from batchyard.upstream.exchange import Answer, Exchanged, unknown

FULL_BYTES = 256 * 1024
"""Held for a reader before the connection pauses; an event longer than this is passed on in parts."""
EVENTS = b"text/event-stream"


class EventFlow:
    """The connection's side.

    With ``by_progress`` silence is what the reader finds in it: until ``moved_on`` is called, the bytes of a stream,
    which may be nothing but pings, are none.
    """

    def __init__(self, *, by_progress: bool = False) -> None:
        self.by_progress = by_progress
        self.progressed_at: float | None = None
        self.moved = asyncio.Event()
        self.has_begun = False
        self.is_full = False
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._held = 0

    def begin_if_events(self, headers: Sequence[tuple[bytes, bytes]], transport: asyncio.Transport) -> None:
        """A final answer's head came: from here on its body is ours if it is one of events."""
        media_type = next((value for name, value in headers if name.lower() == b"content-type"), b"")
        if media_type.partition(b";")[0].strip().lower() == EVENTS:
            self._transport = transport
            self.has_begun = True
            self.moved.set()

    def feed(self, body: bytes) -> None:
        """Hold these bytes for the reader; when that is much, nothing more is read from the socket for a while."""
        self._parts.append(body)
        self._held += len(body)
        self.moved.set()
        if self._held >= FULL_BYTES and not self.is_full and self._transport is not None:
            self.is_full = True
            self._transport.pause_reading()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held for the reader now."""
        return not self._parts

    def heard_at(self, byte_at: float | None, now: float) -> float | None:
        """Return when the server was last heard, given when its last byte came; None if never."""
        if self.by_progress and self.has_begun:
            return self.progressed_at  # a head and pings come at once, whether or not the model works
        return now if self.is_full else byte_at  # full: it is not silent, we do not listen

    def finish(self) -> None:
        """The answer was whole: the connection goes on without us."""
        self._listen()
        self._transport = None

    def take(self) -> bytes:
        """Return what is held, and let more come."""
        parts, self._parts, self._held = self._parts, [], 0
        self._listen()
        return b"".join(parts)

    def _listen(self) -> None:
        if self.is_full and self._transport is not None:
            self.is_full = False
            if not self._transport.is_closing():
                self._transport.resume_reading()


class Watch(Protocol):
    """Looks at a stream's bytes as they pass. ``ended``: its last event came; ``failed``: it told of an error."""

    ended: bool
    failed: bool

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes."""


class ChatWatch:
    """The ``Watch`` of chat completions: their last event is ``[DONE]``; errors are for who reads the chunks."""

    def __init__(self) -> None:
        self.ended = self.failed = False
        self._last = b""

    def feed(self, chunk: bytes) -> None:
        self._last = (self._last + chunk)[-32:]
        self.ended = self._last.rstrip().endswith(b"[DONE]")


class Unwatched:
    """The ``Watch`` of a stream whose reader knows by itself whether it is whole."""

    ended = True
    failed = False

    def feed(self, chunk: bytes) -> None:
        """See nothing."""


class EventStream:
    """The reader's side. Implements ``Stream``."""

    def __init__(
        self, flow: EventFlow, waiter: "asyncio.Future[Exchanged]", cut: Callable[[], None], watch: Watch
    ) -> None:
        self._flow, self._waiter, self._cut = flow, waiter, cut
        self._watch = watch
        self._tail = b""
        self._waiter.add_done_callback(lambda _waiter: flow.moved.set())

    async def begin(self) -> bool:
        """Wait for the head of an answer; False where the call ended without one of events."""
        await self._flow.moved.wait()
        return self._flow.has_begun

    async def read(self) -> bytes | Outcome:
        while True:
            part = self._flow.take()
            if part and (whole := self._whole_events(part)):
                return whole
            if not part and self._waiter.done():
                return self._ended()
            if not part:
                self._flow.moved.clear()
                await self._flow.moved.wait()

    def moved_on(self) -> None:
        """What was read told something: the server is not silent."""
        self._flow.progressed_at = asyncio.get_running_loop().time()

    @property
    def answer(self) -> Answer | None:
        """The head of the answer, once all of it came."""
        ended = self._waiter.result() if self._waiter.done() and not self._waiter.cancelled() else None
        return ended if isinstance(ended, Answer) else None

    async def close(self) -> None:
        """Cut the call, unless its answer was whole already and the connection may serve another by now."""
        if not self._waiter.done():
            self._waiter.cancel()
            self._cut()

    def _whole_events(self, part: bytes) -> bytes:
        """Keep the beginning of an event back until its end comes; a client could do nothing with it either."""
        self._watch.feed(part)
        held = self._tail + part
        end = max(held.rfind(b"\n\n") + 2, held.rfind(b"\n\r\n") + 3)
        end = end if end > 2 else (len(held) if len(held) > FULL_BYTES else 0)
        self._tail = held[end:]
        return held[:end]

    def _ended(self) -> bytes | Outcome:
        if self._waiter.cancelled():
            return unknown("was cut off by ourselves")
        exchanged = self._waiter.result()
        if not isinstance(exchanged, Answer):
            return exchanged
        if self._watch.failed:
            return Failed(RequestError("api_error", "The upstream told an error in its stream."))
        if not self._watch.ended:
            return unknown("ended its stream before the Message was whole")
        tail, self._tail = self._tail, b""
        return tail
