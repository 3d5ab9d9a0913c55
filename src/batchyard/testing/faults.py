"""A model server of bare sockets that breaks HTTP itself, and keeps count of every call that reached it.

A script says for each call, by its number (0, 1, 2 …), which fault it gets; a fault is a coroutine that writes what it
likes on the wire, or nothing, or cuts it. ``fault_kinds`` has a name for each known way to fail. Run this file's module
to have one in a process of its own: ``python -m batchyard.testing.faults good reset_in_body …``, each in turn.
"""

import asyncio
import contextlib
import itertools
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

_READ_LIMIT = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """A call as it came in. ``body`` is empty where the fault did not read it."""

    number: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the value of the first header of that name."""
        for line in self.head.split(b"\r\n")[1:]:
            found, _, value = line.partition(b":")
            if found.strip().lower() == name.lower().encode():
                return value.strip().decode("latin-1")
        return None


class Wire:
    """The server's end of one connection, as a fault sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    async def send(self, *chunks: bytes) -> None:
        """Write each chunk as a piece of its own."""
        for chunk in chunks:
            self._writer.write(chunk)
            await self._writer.drain()
            if len(chunks) > 1:
                await asyncio.sleep(0)

    async def flood(self, head: bytes, again: bytes, most: int) -> None:
        """Write ``head``, then ``again`` until the peer cuts the connection, or ``most`` bytes are through."""
        await self.send(head)
        for _ in range(most // len(again)):
            await self.send(again)

    async def hang(self) -> None:
        """Do nothing more until the peer lets go."""
        while await self.reader.read(65536):
            pass
        self.close()

    def close(self) -> None:
        """End the connection in order (FIN)."""
        self._writer.close()

    def reset(self) -> None:
        """End the connection at once (RST)."""
        peer: socket.socket = self._writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    @property
    def is_open(self) -> bool:
        """Whether another call may follow."""
        return not self._writer.transport.is_closing()


@dataclass(frozen=True, slots=True)
class Fault:
    """What the server does with one call; ``reads_body`` is False for those that act on the head alone."""

    act: Callable[[Wire], Awaitable[None]]
    reads_body: bool = True


class FaultServer:
    """Listens on a loopback port of its own from ``start`` to ``close``."""

    def __init__(self, script: Callable[[int], Fault], *, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.received: list[Received] = []
        self.connections = 0
        self.open_connections = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> str:
        """Listen; return the URL."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", port, limit=_READ_LIMIT, ssl=self._tls, backlog=1024
        )
        bound = self._server.sockets[0].getsockname()[1]
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{bound}"

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def calls(self) -> int:
        """How many calls reached the server, whatever became of them."""
        return len(self.received)

    @property
    def by_body(self) -> Counter[bytes]:
        """How often each body came in."""
        return Counter(received.body for received in self.received)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open_connections += 1
        wire = Wire(reader, writer)
        try:
            while wire.is_open:
                await self._one(wire)
        except (OSError, EOFError, ssl.SSLError):
            pass  # the peer let go, which is how most faults end
        except asyncio.CancelledError:
            wire.reset()
        finally:
            self.open_connections -= 1
            self._tasks.discard(task)
            with contextlib.suppress(OSError, ssl.SSLError):
                writer.close()
                await writer.wait_closed()

    async def _one(self, wire: Wire) -> None:
        head = await wire.reader.readuntil(b"\r\n\r\n")
        number = len(self.received)
        fault = self.script(number)
        self.received.append(Received(number, head, b""))
        if fault.reads_body:
            length = int(self.received[number].header("content-length") or 0)
            self.received[number] = Received(number, head, await wire.reader.readexactly(length))
        await fault.act(wire)


def in_turn(faults: Iterable[Fault], then: Fault) -> Callable[[int], Fault]:
    """Return a script: each call gets its fault in the order of the calls, all later ones ``then``."""
    listed = list(faults)
    return lambda number: listed[number] if number < len(listed) else then


def in_rotation(faults: Iterable[Fault]) -> Callable[[int], Fault]:
    """Return a script that goes round and round."""
    listed = list(faults)
    return lambda number: listed[number % len(listed)]


async def _main(names: list[str]) -> None:
    from batchyard.testing.fault_kinds import KINDS  # noqa: PLC0415 - the kinds are written with this module

    server = FaultServer(in_rotation(KINDS[name] for name in names or ["good"]))
    print(await server.start(), flush=True)  # noqa: T201 - the URL is this program's output
    for _ in itertools.count():
        await asyncio.sleep(3600)


if __name__ == "__main__":
    import sys

    asyncio.run(_main(sys.argv[1:]))
