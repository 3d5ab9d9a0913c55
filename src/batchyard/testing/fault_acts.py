"""What a fault does on the wire, piece by piece; ``fault_kinds`` puts the pieces together and names them."""

import asyncio
import json
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from batchyard.testing.faults import Fault, Wire

MESSAGE: dict[str, Any] = {
    "id": "msg_01faults",
    "type": "message",
    "role": "assistant",
    "model": "faulty",
    "content": [{"type": "text", "text": "A whole answer, with an ü and a \n in it."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 11},
}
GOOD = json.dumps(MESSAGE).encode()
FLOOD_BYTES = 256 * 1024 * 1024
"""As much as an endless answer sends before it gives up: a client that takes all this has no limit."""

Headers = Sequence[tuple[str, str]]


JSON = "application/json"


def head(status: int = 200, headers: Headers = (), *, version: str = "1.1", media: str = JSON) -> bytes:
    """Return a status line and headers, with the empty line."""
    lines = [f"HTTP/{version} {status} Whatever", f"content-type: {media}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers), "", ""]).encode("latin-1")


def whole(
    body: bytes = GOOD, status: int = 200, headers: Headers = (), *, version: str = "1.1", media: str = JSON
) -> bytes:
    """Return an answer with its right length."""
    return head(status, [("content-length", str(len(body))), *headers], version=version, media=media) + body


def chunked(body: bytes, size: int) -> bytes:
    """Return the body in chunks, without the last one."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def sends(*chunks: bytes, then_close: bool = False, seconds: float = 0.0) -> Fault:
    """Return a fault that waits, writes these bytes, and keeps the connection or ends it in order."""

    async def act(wire: Wire) -> None:
        await asyncio.sleep(seconds)
        await wire.send(*chunks)
        if then_close:
            wire.close()

    return Fault(act)


def sends_then_hangs(*chunks: bytes) -> Fault:
    """Return a fault that writes these bytes and then nothing, for ever."""

    async def act(wire: Wire) -> None:
        await wire.send(*chunks)
        await wire.hang()

    return Fault(act)


def sends_then_resets(*chunks: bytes, reads_body: bool = True) -> Fault:
    """Return a fault that writes these bytes and cuts the connection."""

    async def act(wire: Wire) -> None:
        await wire.send(*chunks)
        await asyncio.sleep(0.01 if chunks else 0.0)  # or the reset overtakes the bytes
        wire.reset()

    return Fault(act, reads_body=reads_body)


def floods(start: bytes, again: bytes) -> Fault:
    """Return a fault that does not end."""

    async def act(wire: Wire) -> None:
        await wire.flood(start, again, FLOOD_BYTES)
        wire.close()

    return Fault(act)


def dribbles(seconds: float, answer: bytes) -> Fault:
    """Return a fault that gives this answer, one byte at a time."""

    async def act(wire: Wire) -> None:
        for byte in answer:
            await wire.send(bytes([byte]))
            await asyncio.sleep(seconds)

    return Fault(act)


def status(code: int, body: bytes = b"", headers: Headers = ()) -> Fault:
    """Return a fault that answers with this status."""
    return sends(whole(body, code, headers))


def error(kind: str, message: str = "as the script says", **details: str) -> bytes:
    """Return an error envelope."""
    inner: dict[str, object] = {"type": kind, "message": message}
    if details:
        inner["details"] = details
    return json.dumps({"type": "error", "error": inner, "request_id": "req_faults"}).encode()


def page(title: str) -> bytes:
    """Return what a proxy says in HTML."""
    return f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>".encode()


def bomb() -> bytes:
    """Return a gzip stream of a few hundred kilobytes that would be 64 MiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1024 * 1024)
    return b"".join(packer.compress(block) for _ in range(64)) + packer.flush()


def limited_until(seconds: float) -> Fault:
    """Return a 429 that names the moment when to come again."""

    async def act(wire: Wire) -> None:
        until = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
        await wire.send(whole(error("rate_limit_error"), 429, [("retry-after", until)]))

    return Fault(act)


def sends_bomb(media: str) -> Fault:
    """Return a fault that answers with a bomb."""

    async def act(wire: Wire) -> None:
        packed = await asyncio.to_thread(bomb)
        await wire.send(whole(packed, headers=[("content-encoding", "gzip")], media=media))

    return Fault(act)
