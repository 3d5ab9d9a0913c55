"""Bodies that are held whole: how large each may be, and all of them together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from batchyard.domain.errors import InvalidRequest, Overloaded, TooLarge
from batchyard.web.calls import ApiCall
from batchyard.web.protocol import ClientGone

MOST_HELD = 256 * 1024 * 1024
"""Bytes of all bodies that are held at once: they wait for slots, and then for their answers."""


def check_head(call: ApiCall, max_bytes: int) -> None:
    """Refuse what cannot be read, or is said to be too large, before a byte of the body is."""
    encoding = call.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise InvalidRequest("content-encoding: compressed request bodies are not supported.")
    if call.headers.get("transfer-encoding", "chunked").strip().lower() != "chunked":
        raise InvalidRequest("transfer-encoding: only `chunked` is supported.")
    length = call.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(max_bytes)


class Bodies:
    """Reads bodies, and counts what is held."""

    def __init__(self, max_bytes: int, most_held: int = MOST_HELD) -> None:
        self._max_bytes, self._most_held = max_bytes, most_held
        self._held = 0

    @asynccontextmanager
    async def read(self, call: ApiCall) -> AsyncIterator[bytes]:
        """Hold the whole body for as long as it is needed."""
        check_head(call, self._max_bytes)
        size = 0
        try:
            body = bytearray()
            more = True
            while more:
                message = await call.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                more = message.get("more_body", False)
                chunk = message.get("body", b"")
                size += len(chunk)
                self._held += len(chunk)
                self._check(size)
                body += chunk
            yield bytes(body)
        finally:
            self._held -= size

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise _too_large(self._max_bytes)
        if self._held > self._most_held:
            raise Overloaded("This server holds as many request bodies as it can. Try again later.")


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"Request exceeds the maximum size of {max_bytes} bytes.")
