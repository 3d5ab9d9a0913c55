"""Every known way of a model server to answer well, badly, or not at all, by name. Each is a call's worth of bytes.

The names are for tests and for ``python -m batchyard.testing.faults NAME …``.
"""

import asyncio
import gzip
import json
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from batchyard.testing.faults import Fault, Wire

MESSAGE = {
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


def head(status: int = 200, headers: Headers = (), *, version: str = "1.1") -> bytes:
    """Return a status line and headers, with the empty line."""
    lines = [f"HTTP/{version} {status} Whatever", "content-type: application/json"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers), "", ""]).encode("latin-1")


def whole(body: bytes = GOOD, status: int = 200, headers: Headers = (), *, version: str = "1.1") -> bytes:
    """Return an answer with its right length."""
    return head(status, [("content-length", str(len(body))), *headers], version=version) + body


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


def dribbles(seconds: float = 1.0) -> Fault:
    """Return a fault that gives a good answer, one byte at a time."""

    async def act(wire: Wire) -> None:
        for byte in whole():
            await wire.send(bytes([byte]))
            await asyncio.sleep(seconds)

    return Fault(act)


def truncated(length: int) -> Fault:
    """Return a fault whose framing is right and whose Message is cut after ``length`` bytes."""
    return sends(whole(GOOD[:length]))


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


def _limited_until(seconds: float) -> Fault:
    async def act(wire: Wire) -> None:
        until = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
        await wire.send(whole(error("rate_limit_error"), 429, [("retry-after", until)]))

    return Fault(act)


async def _bomb(wire: Wire) -> None:
    await wire.send(whole(await asyncio.to_thread(bomb), headers=[("content-encoding", "gzip")]))


_CHUNKED = ("transfer-encoding", "chunked")
_LAST = b"0\r\n\r\n"
_CLOSE = ("connection", "close")
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"

WELL: dict[str, Fault] = {
    "good": sends(whole()),
    "good_late": sends(whole(), seconds=0.05),
    "good_chunked": sends(head(headers=[_CHUNKED]) + chunked(GOOD, 100) + _LAST),
    "good_in_chunks_of_one": sends(head(headers=[_CHUNKED]) + chunked(GOOD, 1) + _LAST),
    "good_with_trailers": sends(head(headers=[_CHUNKED]) + chunked(GOOD, 50) + b"0\r\nx-checksum: 1\r\n\r\n"),
    "good_byte_by_byte": sends(*(bytes([byte]) for byte in whole())),
    "good_on_many_lines": sends(whole(json.dumps(MESSAGE, indent=2).encode() + b"\r\n")),
    "good_then_close": sends(whole(headers=[_CLOSE]), then_close=True),
    "good_without_length": sends(head(headers=[_CLOSE]), GOOD, then_close=True),
    "good_http_1_0": sends(whole(version="1.0"), then_close=True),
    "good_http_1_0_without_length": sends(head(version="1.0"), GOOD, then_close=True),
    "good_after_interim": sends(_INTERIM, b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", whole()),
    "good_identity": sends(whole(headers=[("content-encoding", "Identity"), ("x-empty", "")])),
    "good_with_hint": sends(whole(headers=[("keep-alive", "timeout=5, max=100")])),
    "good_then_surplus": sends(whole() + b"and more"),
    "good_twice": sends(whole() + whole(GOOD.replace(b"msg_01", b"msg_02"))),
    "good_then_silent_close": sends(whole(), then_close=True),
}
REFUSED: dict[str, Fault] = {
    "400": status(400, error("invalid_request_error")),
    "404_model": status(404, error("not_found_error", "model: nobody")),
    "413": status(413, error("request_too_large")),
    "422_detail": status(422, b'{"detail":[{"loc":["body","messages"],"msg":"Field required"}]}'),
}
NOT_STARTED: dict[str, Fault] = {
    "429": status(429, error("rate_limit_error")),
    "429_seconds": status(429, error("rate_limit_error"), [("retry-after", "2")]),
    "429_milliseconds": status(429, error("rate_limit_error"), [("retry-after-ms", "1500"), ("retry-after", "9")]),
    "429_date": _limited_until(30.0),
    "429_absurd": status(429, error("rate_limit_error"), [("retry-after", "99999999999")]),
    "429_compressed": status(429, gzip.compress(error("rate_limit_error")), [("content-encoding", "gzip")]),
    "503_json": status(503, error("overloaded_error")),
    "503_empty": status(503),
    "529": status(529, error("overloaded_error")),
}
HELD: dict[str, Fault] = {
    "401": status(401, error("authentication_error")),
    "402": status(402, error("billing_error")),
    "403": status(403, error("permission_error")),
    "404_page": status(404, page("Not Found")),
    "405": status(405, b'{"detail":"Method Not Allowed"}'),
    "429_spend_cap": status(429, error("rate_limit_error", error_code="enforced_spend_limit_reached")),
    "redirect_301": status(301, b"", [("location", "http://127.0.0.1:9/elsewhere")]),
    "redirect_307": status(307, b"", [("location", "http://127.0.0.1:9/elsewhere")]),
    "upgrade_101": sends(head(101, [("connection", "upgrade"), ("upgrade", "h2c")]) + b"\x00\x01"),
    "tls_alert": sends(b"\x15\x03\x01\x00\x02\x02\x46", then_close=True),
}
FAILED: dict[str, Fault] = {
    "408": status(408, b"", [_CLOSE]),
    "409": status(409, error("conflict_error")),
    "500_json": status(500, error("api_error")),
    "500_html": status(500, page("Internal Server Error")),
    "500_empty": status(500),
    "502_html": status(502, page("Bad Gateway")),
    "504_json": status(504, error("timeout_error")),
}
UNKNOWN: dict[str, Fault] = {
    "reset_unread": sends_then_resets(reads_body=False),
    "reset_after_request": sends_then_resets(),
    "close_after_request": sends(then_close=True),
    "close_in_status_line": sends(b"HTTP/1.1 20", then_close=True),
    "close_in_headers": sends(whole()[:40], then_close=True),
    "close_in_body": sends(whole()[:-5], then_close=True),
    "close_before_last_byte": sends(whole()[:-1], then_close=True),
    "close_after_interim": sends(_INTERIM, then_close=True),
    "close_in_chunk": sends(head(headers=[_CHUNKED]) + chunked(GOOD, 100)[:-20], then_close=True),
    "close_before_last_chunk": sends(head(headers=[_CHUNKED]) + chunked(GOOD, 100), then_close=True),
    "close_without_length": sends(head(headers=[_CLOSE]), GOOD[:-1], then_close=True),
    "reset_in_headers": sends_then_resets(whole()[:40]),
    "reset_in_body": sends_then_resets(whole()[:-5]),
    "reset_without_length": sends_then_resets(head(headers=[_CLOSE]), GOOD),
    "truncated": truncated(len(GOOD) - 1),
    "truncated_early": truncated(1),
    "empty_200": sends(whole(b"")),
    "status_201": status(201, GOOD),
    "status_204": sends(head(204)),
    "html_200": sends(whole(page("It works!"))),
    "wrong_json_200": sends(whole(b'{"choices":[]}')),
    "no_stop_reason": sends(whole(json.dumps(MESSAGE | {"stop_reason": None}).encode())),
    "no_usage": sends(whole(json.dumps(MESSAGE | {"usage": None}).encode())),
    "error_200": sends(whole(error("overloaded_error"))),
    "events_200": sends(whole(b"event: message_start\ndata: {}\n\n")),
    "bad_utf8_200": sends(whole(GOOD.replace(b"whole", b"wh\xfele"))),
    "nan_200": sends(whole(GOOD.replace(b"11", b"NaN"))),
    "garbage": sends(bytes(range(256)) * 4, then_close=True),
    "http_0_9": sends(GOOD, then_close=True),
    "http_9": sends(b"HTTP/9.9" + whole()[8:], then_close=True),
    "status_nonsense": sends(b"HTTP/1.1 2000 OK\r\n\r\n", then_close=True),
    "header_without_colon": sends(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", then_close=True),
    "bad_chunk_size": sends(head(headers=[_CHUNKED]) + b"zz\r\n" + GOOD, then_close=True),
    "negative_chunk_size": sends(head(headers=[_CHUNKED]) + b"-5\r\n" + GOOD, then_close=True),
    "overflowing_chunk_size": sends(head(headers=[_CHUNKED]) + b"F" * 40 + b"\r\n" + GOOD, then_close=True),
    "chunk_without_end": sends(head(headers=[_CHUNKED]) + b"%x\r\n%bXX" % (len(GOOD), GOOD), then_close=True),
    "negative_length": sends(head(headers=[("content-length", "-1")]) + GOOD, then_close=True),
    "two_lengths": sends(head(headers=[("content-length", "5"), ("content-length", "300")]) + GOOD, then_close=True),
    "length_and_chunks": sends(head(headers=[("content-length", "5"), _CHUNKED]) + chunked(GOOD, 9) + _LAST),
    "length_too_short": sends(head(headers=[("content-length", str(len(GOOD) - 9))]) + GOOD),
}
HUNG: dict[str, Fault] = {
    "hang_before_headers": sends_then_hangs(),
    "hang_in_headers": sends_then_hangs(whole()[:40]),
    "hang_after_headers": sends_then_hangs(head(headers=[("content-length", "400")])),
    "hang_in_body": sends_then_hangs(whole()[:-5]),
    "hang_in_chunk": sends_then_hangs(head(headers=[_CHUNKED]) + chunked(GOOD, 100)[:-20]),
    "hang_before_last_chunk": sends_then_hangs(head(headers=[_CHUNKED]) + chunked(GOOD, 100)),
    "hang_without_length": sends_then_hangs(head(), GOOD),
    "hang_after_interim": sends_then_hangs(_INTERIM),
    "length_too_long": sends_then_hangs(head(headers=[("content-length", str(len(GOOD) + 9))]) + GOOD),
    "dribble": dribbles(1.0),
}
HOSTILE: dict[str, Fault] = {
    "huge_header": sends(whole(headers=[("x-large", "x" * 1_000_000)])),
    "many_headers": sends(whole(headers=[(f"x-{number}", "y" * 50) for number in range(10_000)])),
    "endless_header": floods(b"HTTP/1.1 200 OK\r\nx-endless: ", b"x" * 65536),
    "endless_headers": floods(b"HTTP/1.1 200 OK\r\n", b"x-again: and again\r\n" * 1000),
    "endless_interim": floods(b"", _INTERIM * 1000),
    "endless_trailers": floods(head(headers=[_CHUNKED]) + chunked(GOOD, 100) + b"0\r\n", b"x-again: more\r\n" * 1000),
    "endless_chunk_extension": floods(head(headers=[_CHUNKED]) + b"5;", b"x" * 65536),
    "huge_length": sends_then_hangs(head(headers=[("content-length", str(10**12))])),
    "huge_body": floods(head(headers=[_CLOSE]), b"x" * 65536),
    "huge_chunked_body": floods(head(headers=[_CHUNKED]), chunked(b"x" * 65536, 65536)),
    "compressed_200": sends(whole(gzip.compress(GOOD), headers=[("content-encoding", "gzip")])),
    "gzip_bomb": Fault(_bomb),
}
KINDS = WELL | REFUSED | NOT_STARTED | HELD | FAILED | UNKNOWN | HUNG | HOSTILE
