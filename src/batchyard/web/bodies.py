"""Bodies in memory: how large each may be, and all of them together."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from batchyard.domain.errors import InvalidRequest, Overloaded, TooLarge
from batchyard.web.calls import ApiCall
from batchyard.web.protocol import ClientGone

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
        self._held = 0

    @contextmanager
    def part(self) -> Iterator["Part"]:
        """The part of one call, given back at its end."""
        part = Part(self)
        try:
            yield part
        finally:
            self._held -= part.held

    def add(self, more: int) -> None:
        self._held += more
        if more > 0 and self._held > self._most:
            raise Overloaded("This server holds as many request bodies as it can. Try again later.")


class Part:
    """What one call holds."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.held = 0

    def hold(self, size: int) -> None:
        """Hold so many bytes from now on; raise ``Overloaded`` where all calls would hold too much."""
        more, self.held = size - self.held, size
        self._budget.add(more)


class Bodies:
    """Reads bodies whole."""

    def __init__(self, max_bytes: int, budget: Budget | None = None) -> None:
        self._max_bytes = max_bytes
        self._budget = budget or Budget()

    @asynccontextmanager
    async def read(self, call: ApiCall) -> AsyncIterator[bytes]:
        """Hold the whole body for as long as it is needed."""
        check_head(call, self._max_bytes)
        with self._budget.part() as part:
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
