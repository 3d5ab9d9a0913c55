"""Bodies in memory: how large each may be, and all of them together."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from batchyard.domain.errors import InvalidRequest, Overloaded, TooLarge
from batchyard.web.calls import ApiCall
from batchyard.web.protocol import ClientGone
from batchyard.web.shares import Shares

MOST_HELD = 384 * 1024 * 1024
"""Bytes of all bodies that are held at once: messages wait for slots and then for their answers, a create holds the
request that it reads and what it knows of those before. Eight creates of the largest kind hold 256 MB."""


def check_head(call: ApiCall, max_bytes: int) -> None:
    """Refuse what cannot be read, or is said to be too large, before a byte of the body is."""
    encoding = call.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise InvalidRequest("content-encoding: compressed request bodies are not supported.")
    if call.headers.get("transfer-encoding", "chunked").strip().lower() != "chunked":
        raise InvalidRequest("transfer-encoding: only `chunked` is supported.")
    if announced(call) > max_bytes:
        raise _too_large(max_bytes)


def announced(call: ApiCall) -> int:
    """Return how long the body is said to be, 0 where that is not said. Python converts no number of 5,000 digits."""
    length = call.headers.get("content-length", "").strip()
    return int(length[:20]) if length.isascii() and length.isdecimal() else 0


class Budget:
    """What all calls together hold."""

    def __init__(self, most: int = MOST_HELD) -> None:
        self._most = most
        self._shares = Shares()

    @contextmanager
    def part(self, workspace: str) -> Iterator["Part"]:
        """The part of one call, given back at its end."""
        part = Part(self, workspace)
        try:
            yield part
        finally:
            self._shares.add(workspace, -part.held)

    def add(self, workspace: str, own: int, more: int) -> None:
        """Count so much more, or less, for a call that holds ``own``; raise ``Overloaded`` where that is too much."""
        left = self._most - self._shares.all
        fits = more <= 0 or self._shares.has_room(workspace, more, own=own, left=left)
        self._shares.add(workspace, more)
        if not fits:
            raise Overloaded("This server holds as many request bodies as it can. Try again later.")


class Part:
    """What one call holds."""

    def __init__(self, budget: Budget, workspace: str) -> None:
        self._budget, self._workspace = budget, workspace
        self.held = 0

    def hold(self, size: int) -> None:
        """Hold so many bytes from now on; raise ``Overloaded`` where all calls would hold too much."""
        own, self.held = self.held, size
        self._budget.add(self._workspace, own, size - own)


class Bodies:
    """Reads bodies whole."""

    def __init__(self, max_bytes: int, budget: Budget | None = None) -> None:
        self._max_bytes = max_bytes
        self._budget = budget or Budget()

    @asynccontextmanager
    async def read(self, call: ApiCall) -> AsyncIterator[bytes]:
        """Hold the whole body for as long as it is needed."""
        check_head(call, self._max_bytes)
        with self._budget.part(call.workspace) as part:
            body = bytearray()
            more = True
            while more:
                message = await call.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                more = message.get("more_body", False)
                body += message.get("body", b"")
                if len(body) > self._max_bytes:
                    raise _too_large(self._max_bytes)
                part.hold(len(body))
            yield bytes(body)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"Request exceeds the maximum size of {max_bytes} bytes.")
