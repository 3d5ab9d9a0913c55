"""What an error event in a stream amounts to: before any content, and behind it. Pure."""

from datetime import datetime

import msgspec

from batchyard.domain import complaint
from batchyard.domain.answer import judge
from batchyard.domain.outcome import Failed, Outcome, Refused
from batchyard.domain.servers import Server

_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What an error would have been answered with, had it come before the stream."""


def judge_event(data: bytes, *, begun: bool, now: datetime, server: Server) -> Outcome:
    """Return what an error event amounts to. Before any content it is what its status would have been.

    Behind content the server has worked, whatever it says now: failed, or refused where no try can succeed.
    """
    body = data if b'"error"' in data and complaint.read(data).about_request else b'{"error":%b}' % data
    said = complaint.read(body)
    status = _STATUS.get(said.type) or _code(body)
    judged = judge(status, {}, body, now, server)
    is_final = isinstance(judged, Refused) and server.permanent is not None
    if not begun or is_final:
        return judged
    return Failed(complaint.error(status, {}, body, said))


def _code(body: bytes) -> int:
    """llama.cpp says its status inside."""
    try:
        code = msgspec.json.decode(body)["error"]["code"]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return 500
    return code if type(code) is int and 400 <= code <= 599 else 500
