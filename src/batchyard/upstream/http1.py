"""An HTTP/1.1 client for one upstream: a pool of kept connections, whole requests, and nothing else.

It knows no proxies, no cookies, no redirects, no compression and no retries: each of them is a way to send a key or a
paid call where nobody asked for it. A call that finds no kept connection opens one, so there are never more
connections than calls in flight; the one used last is used first, and the others age and go.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from batchyard.domain.outcome import Held, NotStarted
from batchyard.domain.result import RequestError
from batchyard.domain.stream import StreamWatch
from batchyard.ports.upstreams import always
from batchyard.upstream.connection import Connection
from batchyard.upstream.exchange import CallLimits, Exchanged
from batchyard.upstream.flow import EventFlow, EventStream, Watch
from batchyard.upstream.lines import LineFlow, LineStream

READ_BYTES = 128 * 1024
LONGEST_TICK = 1.0
CLOSE_SECONDS = 1.0
REST_SECONDS = 0.1
"""How soon a server that closes after a stream has done so."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect. With ``tls`` the certificate must be good for ``host``."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


class Http1Client:
    """Belongs to the event loop of its first call."""

    def __init__(self, address: Address, limits: CallLimits) -> None:
        self._address = address
        self._limits = limits
        self._buffer = bytearray(READ_BYTES)  # shared: the loop reads and hands over without a step in between
        self._idle: dict[Connection, None] = {}
        self._open: set[Connection] = set()
        self._resting: dict[Connection, asyncio.TimerHandle] = {}
        self._keeps_after_stream: bool | None = None
        self._learnt = asyncio.Event()
        self._emptied = asyncio.Event()
        self._ticking: asyncio.TimerHandle | None = None
        self._tick_seconds = min(LONGEST_TICK, limits.shortest / 8)
        self._closed = False

    async def post(self, request: bytes, is_wanted: Callable[[], bool] = always) -> Exchanged:
        """Send the whole request once, head and body, and return what it comes to. Cancelling cuts the call.

        Nothing is sent where it ``is_wanted`` no more once there is a connection.
        """
        assert not self._closed, "a call after close"
        deadline = self._deadline()
        connection = self._kept() or await self._another()
        if not isinstance(connection, Connection):
            return connection
        if not is_wanted():
            return self._unsent(connection)
        waiter = connection.send(request, deadline)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():  # else its answer came first: the connection may serve another call by now
                connection.cut()
            raise

    async def stream(
        self,
        request: bytes,
        watch: Watch | None = None,
        *,
        by_progress: bool = False,
        is_wanted: Callable[[], bool] = always,
    ) -> EventStream | Exchanged:
        """Send the request once; return its events once the head of such an answer came, or what it comes to.

        With ``by_progress`` the reader says when the stream moves on, and the limits on silence mean that.
        Nothing is sent where it ``is_wanted`` no more once there is a connection.
        """
        assert not self._closed, "a call after close"
        deadline = self._deadline()
        connection = self._kept() or await self._another()
        if not isinstance(connection, Connection):
            return connection
        if not is_wanted():
            return self._unsent(connection)
        flow = EventFlow(by_progress=by_progress)
        waiter = connection.send(request, deadline, flow)
        stream = EventStream(flow, waiter, connection.cut, watch or StreamWatch())
        try:
            began = await stream.begin()
        except asyncio.CancelledError:
            await stream.close()
            raise
        return stream if began else waiter.result()

    async def upload(self, head: bytes, body: AsyncGenerator[bytes, None]) -> Exchanged:
        """Send a request whose body comes in parts, once, and return what it comes to.

        Little of the body is held. Whatever ``body`` raises is raised here, after the call was cut.
        """
        assert not self._closed, "a call after close"
        deadline = self._deadline()
        connection = self._kept() or await self._another()
        if not isinstance(connection, Connection):
            return connection
        waiter = connection.send(head, deadline, in_parts=True)
        try:
            async with contextlib.aclosing(body):
                async for part in body:
                    if not await connection.write(part):
                        break
                else:
                    connection.end_upload()
            return await waiter
        except BaseException:
            if not waiter.done() or waiter.cancelled():
                connection.cut()
            raise

    async def download(self, request: bytes, most_line_bytes: int) -> LineStream | Exchanged:
        """Send the request once; return the lines of its answer as they come, or what it comes to without any."""
        assert not self._closed, "a call after close"
        deadline = self._deadline()
        connection = self._kept() or await self._another()
        if not isinstance(connection, Connection):
            return connection
        flow = LineFlow()
        lines = LineStream(flow, connection.send(request, deadline, flow), connection.cut, most_line_bytes)
        try:
            return await lines.begin()
        except asyncio.CancelledError:
            await lines.close()
            raise

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._limits.total_seconds

    async def close(self) -> None:
        """Cut every connection. Closing twice is allowed."""
        self._closed = True
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        for connection in list(self._open):
            connection.cut()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._open:
                    self._emptied.clear()
                    await self._emptied.wait()

    @property
    def connections(self) -> int:
        """How many are open now, kept or in use."""
        return len(self._open)

    def _kept(self) -> Connection | None:
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.is_usable():
                self._is_resting(connection)
                return connection
            connection.cut()
        return None

    async def _another(self) -> Connection | NotStarted | Held:
        """Open one; or take one that rests, where that is about to be over."""
        if self._keeps_after_stream is None and self._resting:
            await self._learnt.wait()
            if (rested := self._kept()) is not None:
                return rested
        return await self._connect()

    async def _connect(self) -> Connection | NotStarted | Held:
        loop = asyncio.get_running_loop()
        address, limits = self._address, self._limits
        try:
            async with asyncio.timeout(min(limits.connect_seconds, limits.total_seconds)):
                transport, connection = await loop.create_connection(
                    self._connection,
                    address.host,
                    address.port,
                    ssl=address.tls,
                    server_hostname=address.host if address.tls else None,
                )
        except TimeoutError:
            return _not_started(f"No connection to the upstream within {limits.connect_seconds:g} s.")
        except ssl.SSLCertVerificationError as wrong:
            message = f"The upstream's TLS certificate is not trusted: {wrong.verify_message}."
            return Held(RequestError("api_error", message))
        except ssl.SSLError as wrong:
            return _not_started(f"No TLS with the upstream: {wrong.reason or 'handshake failed'}.")
        except OSError as wrong:
            return _not_started(f"No connection to the upstream: {_reason(wrong)}.")
        if self._closed or not connection.is_usable():
            transport.abort()
            return _not_started("The connection to the upstream closed before anything was sent.")
        _notice_dead_peers(transport)
        return connection

    def _unsent(self, connection: Connection) -> NotStarted:
        self._idle[connection] = None
        return _not_started("Not sent: it was wanted no more when there was a connection.")

    def _connection(self) -> Connection:
        return Connection(self._limits, self._buffer, opened=self._opened, freed=self._freed, lost=self._lost)

    def _opened(self, connection: Connection) -> None:
        self._open.add(connection)
        if self._ticking is None and not self._closed:
            self._ticking = asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)

    def _freed(self, connection: Connection) -> None:
        """Keep it for another call. After a stream some servers close it, although they said that they would not.

        llama.cpp's does, within a millisecond: a call that is sent meanwhile is one whose end nobody knows. So the
        first ones rest unused until it is seen what this server does, and calls wait for that, once.
        """
        if connection.streamed:
            if self._keeps_after_stream is False:
                connection.cut()
                return
            timer = asyncio.get_running_loop().call_later(REST_SECONDS, self._rested, connection)
            self._resting[connection] = timer
            if self._keeps_after_stream is None:
                return
        self._idle[connection] = None

    def _rested(self, connection: Connection) -> None:
        del self._resting[connection]
        self._learn(keeps=self._keeps_after_stream is not False)
        self._idle[connection] = None

    def _learn(self, *, keeps: bool) -> None:
        self._keeps_after_stream = keeps
        if keeps:
            self._idle |= dict.fromkeys(self._resting)
        self._learnt.set()

    def _is_resting(self, connection: Connection) -> bool:
        """Whether it has just carried a stream; asked once, when it is taken or lost."""
        timer = self._resting.pop(connection, None)
        if timer is not None:
            timer.cancel()
        return timer is not None

    def _lost(self, connection: Connection) -> None:
        if self._is_resting(connection):
            self._learn(keeps=False)
        self._idle.pop(connection, None)
        self._open.discard(connection)
        self._emptied.set()

    def _tick(self) -> None:
        """Look after all connections at once: a timer for each call would cost more than the call's parsing."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._open):
            connection.check(now)
        self._ticking = loop.call_later(self._tick_seconds, self._tick) if self._open else None


def _not_started(message: str) -> NotStarted:
    return NotStarted(RequestError("api_error", message))


def _reason(wrong: OSError) -> str:
    if isinstance(wrong, socket.gaierror):
        return "its name cannot be resolved"
    return wrong.strerror or str(wrong) or type(wrong).__name__


def _notice_dead_peers(transport: asyncio.BaseTransport) -> None:
    """A model may think for minutes without a byte: only probes of TCP's own tell that from a machine that is gone."""
    peer = transport.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):  # where there are no such options, the total limit remains
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
