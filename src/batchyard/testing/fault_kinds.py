"""Every known way of a model server to answer well, badly, or not at all, by name. Each is a call's worth of bytes.

The names are for tests and for ``python -m batchyard.testing.faults NAME …``. How HTTP breaks is the same in every
dialect; what a good answer is, and which of its members must not be missing, a ``Speech`` says.
"""

import gzip
import json
from dataclasses import dataclass
from typing import Any

from batchyard.testing.fault_acts import (
    GOOD,
    JSON,
    MESSAGE,
    Headers,
    chunked,
    dribbles,
    error,
    floods,
    head,
    limited_until,
    page,
    sends,
    sends_bomb,
    sends_then_hangs,
    sends_then_resets,
    status,
    whole,
)
from batchyard.testing.faults import Fault

__all__ = [
    "CHAT",
    "FAILED",
    "GOOD",
    "HELD",
    "HOSTILE",
    "HUNG",
    "KINDS",
    "MESSAGE",
    "MESSAGES",
    "NOT_STARTED",
    "REFUSED",
    "UNKNOWN",
    "WELL",
    "Speech",
    "chunked",
    "dribbles",
    "error",
    "floods",
    "head",
    "hostile",
    "hung",
    "kinds",
    "page",
    "sends",
    "sends_then_hangs",
    "sends_then_resets",
    "status",
    "unknown",
    "well",
    "whole",
]


@dataclass(frozen=True, slots=True)
class Speech:
    """A good answer in one dialect: on one line, on many, and without what says that it is whole."""

    good: bytes
    on_many_lines: bytes
    without_end: bytes
    without_usage: bytes
    media: str = JSON

    def head(self, status: int = 200, headers: Headers = (), *, version: str = "1.1") -> bytes:
        """Return a status line and headers of this dialect."""
        return head(status, headers, version=version, media=self.media)

    def whole(self, body: bytes, status: int = 200, headers: Headers = (), *, version: str = "1.1") -> bytes:
        """Return an answer with its right length."""
        return whole(body, status, headers, version=version, media=self.media)


def _speech(answer: dict[str, Any], without_end: dict[str, Any]) -> Speech:
    return Speech(
        json.dumps(answer).encode(),
        json.dumps(answer, indent=2).encode(),
        json.dumps(answer | without_end).encode(),
        json.dumps(answer | {"usage": None}).encode(),
    )


_CHOICE = {
    "index": 0,
    "message": {"role": "assistant", "content": MESSAGE["content"][0]["text"]},
    "finish_reason": "stop",
}
_COMPLETION = {
    "id": "chatcmpl-msg_01faults",
    "object": "chat.completion",
    "model": "faulty",
    "choices": [_CHOICE],
    "usage": {"prompt_tokens": 7, "completion_tokens": 11, "total_tokens": 18},
}
MESSAGES = _speech(MESSAGE, {"stop_reason": None})
CHAT = _speech(_COMPLETION, {"choices": [_CHOICE | {"finish_reason": None}]})

_CHUNKED = ("transfer-encoding", "chunked")
_LAST = b"0\r\n\r\n"
_CLOSE = ("connection", "close")
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


def well(speech: Speech) -> dict[str, Fault]:
    """Return the ways to answer well."""
    good = speech.good
    return {
        "good": sends(speech.whole(good)),
        "good_late": sends(speech.whole(good), seconds=0.05),
        "good_chunked": sends(speech.head(headers=[_CHUNKED]) + chunked(good, 100) + _LAST),
        "good_in_chunks_of_one": sends(speech.head(headers=[_CHUNKED]) + chunked(good, 1) + _LAST),
        "good_with_trailers": sends(
            speech.head(headers=[_CHUNKED]) + chunked(good, 50) + b"0\r\nx-checksum: 1\r\n\r\n"
        ),
        "good_byte_by_byte": sends(*(bytes([byte]) for byte in speech.whole(good))),
        "good_on_many_lines": sends(speech.whole(speech.on_many_lines + b"\r\n")),
        "good_then_close": sends(speech.whole(good, headers=[_CLOSE]), then_close=True),
        "good_without_length": sends(speech.head(headers=[_CLOSE]), good, then_close=True),
        "good_http_1_0": sends(speech.whole(good, version="1.0"), then_close=True),
        "good_http_1_0_without_length": sends(speech.head(version="1.0"), good, then_close=True),
        "good_after_interim": sends(_INTERIM, b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", speech.whole(good)),
        "good_identity": sends(speech.whole(good, headers=[("content-encoding", "Identity"), ("x-empty", "")])),
        "good_with_hint": sends(speech.whole(good, headers=[("keep-alive", "timeout=5, max=100")])),
        "good_then_surplus": sends(speech.whole(good) + b"and more"),
        "good_twice": sends(speech.whole(good) + speech.whole(good.replace(b"msg_01", b"msg_02"))),
        "good_then_silent_close": sends(speech.whole(good), then_close=True),
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
    "429_date": limited_until(30.0),
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


def unknown(speech: Speech) -> dict[str, Fault]:
    """Return the faults after which nobody knows whether the call was billed."""
    return _broken_off(speech) | _no_answer(speech) | _no_http(speech)


def _broken_off(speech: Speech) -> dict[str, Fault]:
    good = speech.good
    return {
        "reset_unread": sends_then_resets(reads_body=False),
        "reset_after_request": sends_then_resets(),
        "close_after_request": sends(then_close=True),
        "close_in_status_line": sends(b"HTTP/1.1 20", then_close=True),
        "close_in_headers": sends(speech.whole(good)[:40], then_close=True),
        "close_in_body": sends(speech.whole(good)[:-5], then_close=True),
        "close_before_last_byte": sends(speech.whole(good)[:-1], then_close=True),
        "close_after_interim": sends(_INTERIM, then_close=True),
        "close_in_chunk": sends(speech.head(headers=[_CHUNKED]) + chunked(good, 100)[:-20], then_close=True),
        "close_before_last_chunk": sends(speech.head(headers=[_CHUNKED]) + chunked(good, 100), then_close=True),
        "close_without_length": sends(speech.head(headers=[_CLOSE]), good[:-1], then_close=True),
        "reset_in_headers": sends_then_resets(speech.whole(good)[:40]),
        "reset_in_body": sends_then_resets(speech.whole(good)[:-5]),
        "reset_without_length": sends_then_resets(speech.head(headers=[_CLOSE]), good),
        "truncated": sends(speech.whole(good[:-1])),
        "truncated_early": sends(speech.whole(good[:1])),
    }


def _no_answer(speech: Speech) -> dict[str, Fault]:
    good = speech.good
    return {
        "empty_200": sends(speech.whole(b"")),
        "status_201": status(201, good),
        "status_204": sends(speech.head(204)),
        "html_200": sends(speech.whole(page("It works!"))),
        "wrong_json_200": sends(speech.whole(b'{"choices":[]}')),
        "no_stop_reason": sends(speech.whole(speech.without_end)),
        "no_usage": sends(speech.whole(speech.without_usage)),
        "error_200": sends(speech.whole(error("overloaded_error"))),
        "events_200": sends(speech.whole(b"event: message_start\ndata: {}\n\n")),
        "bad_utf8_200": sends(speech.whole(good.replace(b"whole", b"wh\xfele"))),
        "nan_200": sends(speech.whole(good.replace(b"11", b"NaN"))),
    }


def _no_http(speech: Speech) -> dict[str, Fault]:
    good = speech.good
    return {
        "garbage": sends(bytes(range(256)) * 4, then_close=True),
        "http_0_9": sends(good, then_close=True),
        "http_9": sends(b"HTTP/9.9" + speech.whole(good)[8:], then_close=True),
        "status_nonsense": sends(b"HTTP/1.1 2000 OK\r\n\r\n", then_close=True),
        "header_without_colon": sends(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", then_close=True),
        "bad_chunk_size": sends(speech.head(headers=[_CHUNKED]) + b"zz\r\n" + good, then_close=True),
        "negative_chunk_size": sends(speech.head(headers=[_CHUNKED]) + b"-5\r\n" + good, then_close=True),
        "overflowing_chunk_size": sends(speech.head(headers=[_CHUNKED]) + b"F" * 40 + b"\r\n" + good, then_close=True),
        "chunk_without_end": sends(
            speech.head(headers=[_CHUNKED]) + b"%x\r\n%bXX" % (len(good), good), then_close=True
        ),
        "negative_length": sends(speech.head(headers=[("content-length", "-1")]) + good, then_close=True),
        "two_lengths": sends(
            speech.head(headers=[("content-length", "5"), ("content-length", "300")]) + good, then_close=True
        ),
        "length_and_chunks": sends(speech.head(headers=[("content-length", "5"), _CHUNKED]) + chunked(good, 9) + _LAST),
        "length_too_short": sends(speech.head(headers=[("content-length", str(len(good) - 9))]) + good),
    }


def hung(speech: Speech) -> dict[str, Fault]:
    """Return the ways to fall silent."""
    good = speech.good
    return {
        "hang_before_headers": sends_then_hangs(),
        "hang_in_headers": sends_then_hangs(speech.whole(good)[:40]),
        "hang_after_headers": sends_then_hangs(speech.head(headers=[("content-length", "400")])),
        "hang_in_body": sends_then_hangs(speech.whole(good)[:-5]),
        "hang_in_chunk": sends_then_hangs(speech.head(headers=[_CHUNKED]) + chunked(good, 100)[:-20]),
        "hang_before_last_chunk": sends_then_hangs(speech.head(headers=[_CHUNKED]) + chunked(good, 100)),
        "hang_without_length": sends_then_hangs(speech.head(), good),
        "hang_after_interim": sends_then_hangs(_INTERIM),
        "length_too_long": sends_then_hangs(speech.head(headers=[("content-length", str(len(good) + 9))]) + good),
        "dribble": dribbles(1.0, speech.whole(good)),
    }


def hostile(speech: Speech) -> dict[str, Fault]:
    """Return the answers that are made to hurt."""
    good = speech.good
    return {
        "huge_header": sends(speech.whole(good, headers=[("x-large", "x" * 1_000_000)])),
        "many_headers": sends(speech.whole(good, headers=[(f"x-{number}", "y" * 50) for number in range(10_000)])),
        "endless_header": floods(b"HTTP/1.1 200 OK\r\nx-endless: ", b"x" * 65536),
        "endless_headers": floods(b"HTTP/1.1 200 OK\r\n", b"x-again: and again\r\n" * 1000),
        "endless_interim": floods(b"", _INTERIM * 1000),
        "endless_trailers": floods(
            speech.head(headers=[_CHUNKED]) + chunked(good, 100) + b"0\r\n", b"x-again: more\r\n" * 1000
        ),
        "endless_chunk_extension": floods(speech.head(headers=[_CHUNKED]) + b"5;", b"x" * 65536),
        "huge_length": sends_then_hangs(speech.head(headers=[("content-length", str(10**12))])),
        "huge_body": floods(speech.head(headers=[_CLOSE]), b"x" * 65536),
        "huge_chunked_body": floods(speech.head(headers=[_CHUNKED]), chunked(b"x" * 65536, 65536)),
        "compressed_200": sends(speech.whole(gzip.compress(good), headers=[("content-encoding", "gzip")])),
        "gzip_bomb": sends_bomb(speech.media),
    }


def kinds(speech: Speech) -> dict[str, Fault]:
    """Return every fault by name."""
    told = REFUSED | NOT_STARTED | HELD | FAILED
    return well(speech) | told | unknown(speech) | hung(speech) | hostile(speech)


WELL, UNKNOWN, HUNG, HOSTILE = well(MESSAGES), unknown(MESSAGES), hung(MESSAGES), hostile(MESSAGES)
KINDS = kinds(MESSAGES)
