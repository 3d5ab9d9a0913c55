"""What a line of an upstream batch's results shows of one request: an outcome like that of a call. Never raises.

Errored lines say by their type what became of the request there. Expired and canceled lines cost nothing.
"""

import re
from typing import Literal

import msgspec

from batchyard.domain import complaint
from batchyard.domain.answer import OUR_TROUBLE, judge_message
from batchyard.domain.outcome import Answered, Failed, Held, NotStarted, Outcome, Refused, Unknown
from batchyard.domain.result import RequestError

_OURS = frozenset({"authentication_error", "permission_error", "billing_error"})
"""About our key or our money, not about the request."""
_NOT_STARTED = frozenset({"rate_limit_error", "overloaded_error"})
_FAILED = frozenset({"api_error", "timeout_error", "conflict_error"})
"""The upstream began, and may have paid a model for it: tried again, but not for ever."""
_ID = re.compile(r"[A-Za-z0-9_]{1,57}-(\d{1,8})\Z", re.ASCII)


class CarrierLine(msgspec.Struct, frozen=True, gc=False):
    """One line: which custom_id it names, and what it shows. ``ended`` tells a line that never ran why it did not."""

    custom_id: str
    outcome: Outcome
    ended: str = ""


class _Result(msgspec.Struct):
    type: Literal["succeeded", "errored", "canceled", "expired"]
    message: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


class _Line(msgspec.Struct):
    custom_id: str
    result: _Result


_lines = msgspec.json.Decoder(_Line)


def custom_id(carrier: str, seq: int) -> str:
    """Return the custom_id of a member: the carrier's nonce proves whose line it is, the number which."""
    return f"{carrier}-{seq}"


def seq_of(carrier: str, custom_id: str) -> int | None:
    """Return which member of the carrier a line is for; None if it is none of this carrier's."""
    found = _ID.match(custom_id) if custom_id.startswith(f"{carrier}-") else None
    return int(found[1]) if found is not None and found.end() - len(found[1]) - 1 == len(carrier) else None


def judge_line(line: bytes, secret: bytes = b"") -> CarrierLine | None:
    """Return what the line shows, None where it is none. ``secret``: our key, which no error may repeat."""
    try:
        read = _lines.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    result = read.result
    if result.type == "succeeded":
        judged = judge_message(bytes(result.message))
        return CarrierLine(read.custom_id, judged if isinstance(judged, Answered) else _hidden(judged, secret))
    if result.type == "errored":
        body = bytes(result.error)
        return CarrierLine(read.custom_id, _errored(body.replace(secret, b"[key]") if secret else body))
    error = RequestError("api_error", f"The request was {result.type} by the upstream.")
    return CarrierLine(read.custom_id, NotStarted(error), ended=result.type)


def _hidden(judged: Unknown, secret: bytes) -> Unknown:
    message = judged.error.message.replace(secret.decode(), "[key]") if secret else judged.error.message
    return Unknown(RequestError(judged.error.type, message, judged.error.request_id))


def _errored(body: bytes) -> Outcome:
    """Judge an error by its type. It comes in an envelope of its own; some servers leave that out."""
    said = complaint.read(body)
    if not said.about_request:
        said = complaint.read(b'{"error":%b}' % body) if body else said
    error = RequestError(
        said.type or "api_error",
        said.message or "The upstream gave no reason for this error.",
        said.request_id,
        msgspec.Raw(said.details),
    )
    if said.code in OUR_TROUBLE or said.type in _OURS:
        return Held(error)
    if said.type in _NOT_STARTED:
        return NotStarted(error)
    return Failed(error) if said.type in _FAILED or not said.type else Refused(error)
