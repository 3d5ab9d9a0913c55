"""One client connection: uvicorn's HTTP/1.1 with deadlines, limits and an end that the client can read.

    head ──> body ──> answer ──> idle ──> head ...
                        └── answered before the body was read ──> linger ──> closed

uvicorn by itself waits for ever for a head, a body or a reader, and after an early answer either reads the whole body
or resets the connection, which loses the answer. Knows nothing of batches.
"""

import asyncio
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

import httptools
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from batchyard.web.crowd import Crowd
from batchyard.web.early import early_refusal
from batchyard.web.sockets import unsent_bytes

KNOWN_CALLER = "batchyard.known_caller"
"""Set in ``scope["state"]`` once the key is known to be good: such a caller's unread body is drained for longer."""
MOST_PIPELINED = 32
_ANY_METHOD = re.compile(rb"(?:\r?\n)*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,1000})( [^ \r\n]+ HTTP/1\.[01]\r?\n)")


class ClientGone(OSError):
    """The client closed the connection before it had its answer: nobody is left to tell."""


class Cut(Exception):
    """Raised by the application to break the connection off, so that a half-sent answer cannot look whole."""


class CutAfter(Cut):
    """As ``Cut``, but what was written goes out first: it tells why."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a connection may make no progress, and how much unread body is drained after an early answer."""

    head_seconds: float = 30.0
    body_seconds: float = 30.0
    answer_seconds: float = 30.0
    idle_seconds: float = 75.0
    stranger_drain_seconds: float = 5.0
    stranger_drain_bytes: int = 1024 * 1024
    caller_drain_seconds: float = 30.0
    caller_drain_bytes: int = 1024 * 1024 * 1024
    max_head_bytes: int = 64 * 1024


class Connection(HttpToolsProtocol):
    """``overdue`` is asked every now and then; everything else happens as bytes come and go."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        deadlines: Deadlines,
        lost: Callable[[], None],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        crowd: Crowd,
    ) -> None:
        super().__init__(config, server_state, {}, _loop)
        self._crowd = crowd
        self._place: str | None = None
        self.access_log = False
        self._deadlines = deadlines
        self._lost = lost
        self._active: RequestResponseCycle | None = None
        self._in_head = self._in_message = False
        self._begun, self._unknown_method = 0, b""
        self._head_size = self._head_fed = 0
        self._waiting_since = self._moved_at = self._accepted_at = self.loop.time()
        self._waiting_seconds = deadlines.head_seconds
        self._written = self._accepted = 0
        self._close_after = self._deaf = False
        self._lingers_until: float | None = None
        self._linger_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._place = self._crowd.enter(self.client[0] if self.client else "")
        if self._place is None:  # told and closed: who has a thousand connections has no claim to more
            self._deaf = True
            self.transport.write(early_refusal(429))
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._active is not None and not self._active.response_complete:
            self._active.disconnected = True  # uvicorn tells only the newest of several pipelined cycles
            self._active.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)
        if self._place is not None:
            self._crowd.leave(self._place)
        self._lost()

    def data_received(self, data: bytes) -> None:
        self._moved_at = self.loop.time()
        if self._lingers_until is not None:
            self._linger_bytes -= len(data)
            if self._linger_bytes < 0:
                self.transport.abort()
                return
        if self._in_head:
            self._head_fed += len(data)
        if not self._deaf:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        at_border, self._begun = not self._in_message, 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._begin_again_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserInvalidMethodError:
            if at_border and self._begun == 1 and (line := _ANY_METHOD.match(data)):
                self._begin_again_as_put(line[1], line[2] + data[line.end() :])
            else:
                self._refuse(400)
        except httptools.HttpParserError:
            too_long = self._head_size > self._deadlines.max_head_bytes
            self._refuse(431 if too_long else 400)
        else:
            if self._in_head and self._head_fed > self._deadlines.max_head_bytes:
                self._refuse(431)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._in_message = True
        self._begun += 1
        self._head_size = self._head_fed = 0
        self._waiting_since = self.loop.time()
        self._waiting_seconds = self._deadlines.head_seconds

    def on_url(self, url: bytes) -> None:
        self._head_size += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_size > self._deadlines.max_head_bytes:
            raise ValueError("the head is too long")
        if len(self.pipeline) >= MOST_PIPELINED:
            raise ValueError("too many pipelined requests")
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            return  # begun again without the upgrade as soon as the parser pauses
        super().on_headers_complete()
        self.cycle.scope["headers"] = list(self.headers)  # trailers, which come later, are not headers
        if self._unknown_method:
            self.cycle.scope["method"], self._unknown_method = self._unknown_method.decode("ascii"), b""

    def on_body(self, body: bytes) -> None:
        if not self.parser.should_upgrade():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_message = False
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        if self._lingers_until is not None:
            self.transport.close()

    def _begin_again_without_upgrade(self, rest: bytes) -> None:
        """An offer to upgrade (Java's client makes one with every first request) is ignored, its body is not.

        llhttp takes what follows such a head for another protocol, so the head is parsed again without the offer.
        """
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers if name not in (b"upgrade", b"http2-settings")]
        self.parser = httptools.HttpRequestParser(self)
        self._feed(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def _begin_again_as_put(self, unknown: bytes, rest: bytes) -> None:
        """A method that llhttp does not know is no path's, and is refused as any other: the rest is parsed as a PUT."""
        self._unknown_method = unknown
        self.parser = httptools.HttpRequestParser(self)
        self._feed(b"PUT" + rest)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, functools.partial(self._exchange, cycle, app))

    async def _exchange(
        self,
        cycle: RequestResponseCycle,
        app: ASGI3Application,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        try:
            await app(scope, receive, functools.partial(self._send, cycle, send))
        except CutAfter:
            cycle.disconnected = True
            self.transport.close()
        except (Cut, ClientGone):
            cycle.disconnected = True
            self.transport.abort()
        except asyncio.CancelledError:  # the server closes and its time is up: the answer is cut, the task ends here
            cycle.disconnected = True
            self.transport.abort()

    async def _send(self, cycle: RequestResponseCycle, send: ASGISendCallable, message: ASGISendEvent) -> None:
        if cycle.disconnected:
            raise ClientGone
        if message["type"] == "http.response.start":
            cycle.keep_alive = cycle.keep_alive and not cycle.more_body
        elif message["type"] == "http.response.body":
            self._written += len(message.get("body", b""))
            if not message.get("more_body", False) and not cycle.keep_alive:
                self._close_after = cycle.keep_alive = True  # uvicorn would close at once: see _leave
        await send(message)
        if cycle.disconnected:
            raise ClientGone

    def on_response_complete(self) -> None:
        answered, self._active = self._active, None
        self.server_state.total_requests += 1
        self._waiting_since = self.loop.time()
        self._waiting_seconds = self._deadlines.head_seconds if self._in_head else self._deadlines.idle_seconds
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._close_after:
            self.pipeline.clear()
            self._leave(answered)
        elif self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def _leave(self, answered: RequestResponseCycle | None) -> None:
        """Close so that the client can read the answer: closing over unread bytes resets the connection."""
        if not self._deaf and (answered is None or not answered.more_body):
            self.transport.close()
            return
        known = answered is not None and answered.scope["state"].get(KNOWN_CALLER, False)
        limits = self._deadlines
        self._linger_bytes = limits.caller_drain_bytes if known else limits.stranger_drain_bytes
        seconds = limits.caller_drain_seconds if known else limits.stranger_drain_seconds
        self._lingers_until = self.loop.time() + seconds
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _refuse(self, status: int) -> None:
        """Answer bytes that are no HTTP, unless an answer is under way: then only that one is finished."""
        self._deaf = True
        self._in_head = False
        cycle = self._active
        if cycle is not None and (cycle.response_started or self.pipeline) and self.cycle.more_body:
            self.transport.abort()
            return
        if cycle is not None and not self.cycle.more_body:
            self.cycle.keep_alive = False
            return
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write(early_refusal(status))
        self._leave(cycle)

    def overdue(self, now: float) -> bool:
        """Whether the client has made no progress for too long, in whatever it was its turn to do."""
        pending = self.transport.get_write_buffer_size() + unsent_bytes(self.transport)
        if self._answer_is_stuck(pending, now):
            return True
        if self._lingers_until is not None:
            return now > self._lingers_until
        if self.transport.is_closing():
            return False
        if self._active is None:
            if pending and not self._in_head:
                self._waiting_since = now  # it is not idle while it still takes its answer
            return now > self._waiting_since + self._waiting_seconds
        cycle = self.cycle
        clients_turn = cycle.more_body and not cycle.response_started and not cycle.waiting_for_100_continue
        if not clients_turn or self.flow.read_paused:
            self._moved_at = now
        return now > self._moved_at + self._deadlines.body_seconds

    def _answer_is_stuck(self, pending: int, now: float) -> bool:
        accepted = self._written - pending  # heads are not counted: what matters is that it changes
        if pending == 0 or accepted != self._accepted:
            self._accepted, self._accepted_at = accepted, now
        return now > self._accepted_at + self._deadlines.answer_seconds
