"""The HTTP server: sockets bound first, connections with deadlines, an end in two stages.

It runs inside the program's own event loop and takes no signals. ``stop_accepting`` lets nobody new in; ``close``
lets answers under way finish and then cuts what is left.
"""

import asyncio
import time
from email.utils import formatdate

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from batchyard.web.crowd import Crowd
from batchyard.web.protocol import Connection, Deadlines
from batchyard.web.sockets import bound_sockets


class Server:
    """Serves one ASGI application."""

    def __init__(self, app: ASGIApp, deadlines: Deadlines | None = None, *, crowd: Crowd | None = None) -> None:
        self._crowd = crowd or Crowd()
        self._deadlines = deadlines or Deadlines()
        self._config = Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        self._config.load()
        self._state = ServerState()
        self._listeners: list[asyncio.Server] = []
        self._watch: asyncio.Task[None] | None = None
        self._all_lost = asyncio.Event()
        self.host = ""
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; raise ``CannotListen`` where that is not possible. Port 0 takes a free one."""
        sockets = bound_sockets(host, port)
        self.host, self.port = sockets[0].getsockname()[:2]
        self._refresh_date()
        loop = asyncio.get_running_loop()
        for each in sockets:
            self._listeners.append(await loop.create_server(self._connection, sock=each, backlog=2048))
        self._watch = asyncio.create_task(self._watch_connections(), name="web-deadlines")

    @property
    def url(self) -> str:
        """What a client on this machine reaches it by."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # nosec B104 # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._state.connections)

    @property
    def busy(self) -> int:
        """How many calls are being answered."""
        return len(self._state.tasks)

    def stop_accepting(self) -> None:
        """Let nobody new in; connections that are open go on. Calling it twice is allowed."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def close(self, within: float) -> None:
        """Let answers under way finish for so many seconds, then cut. Closing twice is allowed."""
        self.stop_accepting()
        for connection in list(self._state.connections):
            connection.shutdown()
        if not await self._lost_all(within):
            for connection in list(self._state.connections):
                connection.transport.abort()
            await self._lost_all(1.0)
        left = list(self._state.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _lost_all(self, within: float) -> bool:
        if self._state.connections:
            self._all_lost.clear()
            try:
                await asyncio.wait_for(self._all_lost.wait(), within)
            except TimeoutError:
                return False
        return True

    def _connection(self) -> Connection:
        return Connection(self._config, self._state, self._deadlines, self._lost, crowd=self._crowd)

    def _lost(self) -> None:
        if not self._state.connections:
            self._all_lost.set()

    def _refresh_date(self) -> None:
        self._state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]

    async def _watch_connections(self) -> None:
        limits = self._deadlines
        shortest = min(limits.head_seconds, limits.body_seconds, limits.answer_seconds, limits.stranger_drain_seconds)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(1.0, shortest / 4))
            self._refresh_date()
            now = loop.time()
            for connection in list(self._state.connections):
                if isinstance(connection, Connection) and connection.overdue(now):
                    connection.transport.abort()
