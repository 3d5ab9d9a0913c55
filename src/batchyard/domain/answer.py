"""What an upstream's HTTP answer shows: a Message, or which kind of failure. Pure; the bytes came whole or not at all.

A success needs the whole grammar. Everything that is not one is judged by what it may have cost and whether trying
again can help; the table is in ``docs/design/upstream.md``.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from batchyard.domain import complaint
from batchyard.domain.allowance import answered_at, http_date, read_allowance
from batchyard.domain.complaint import Complaint
from batchyard.domain.mend import mend, mend_shape, mend_usage
from batchyard.domain.outcome import Answered, Failed, Held, NotStarted, Outcome, Refused, Unknown
from batchyard.domain.result import RequestError
from batchyard.domain.servers import ANTHROPIC, Server, server_shown

LONGEST_WAIT = 7 * 86400.0
"""A retry-after beyond a week says that something is broken, not when to come back."""

OUR_TROUBLE = frozenset(
    {
        "enforced_spend_limit_reached",
        "organization_on_hold",
        "cmek_key_disabled",
        "claude_code_key_creator_not_member",
        "insufficient_quota",
    }
)
"""Sub-codes that speak of the account, not of the request, whatever their status."""
_NO_CREDIT = "credit balance is too low"
"""Anthropic's older way to say 402: a 400 ``invalid_request_error`` that nothing but its text gives away."""

_NOT_STARTED = frozenset({425, 429, 503, 529})
_MAY_HAVE_WORKED = frozenset({408, 409})
"""408 can come from a gateway that gave up on a model at work, 409 is passing by nature: both are tried again, but
bounded like a 500."""
_WRONG_URL = frozenset({405, 407, 421, 426})
_SECONDS = re.compile(r"\s*\d{1,12}(\.\d{0,9})?\s*", re.ASCII)

_Name = Annotated[str, msgspec.Meta(min_length=1)]
_MOST_TOKENS = 2**53
_Tokens = Annotated[int, msgspec.Meta(ge=0, le=_MOST_TOKENS)]


class _Block(msgspec.Struct):
    type: _Name


class _Usage(msgspec.Struct):
    """What went into a cache or came from it is no part of ``input_tokens``; whatever else stands there is not ours.

    Of the cache, servers tell nothing, null, or numbers: an odd value there is no reason to refuse an answer.
    """

    input_tokens: _Tokens
    output_tokens: _Tokens
    cache_creation_input_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_creation: Any = None


class _Message(msgspec.Struct):
    """What must be there. Members that are not named here are checked as JSON and passed on untouched.

    ``stop_sequence`` is looked at only to see whether the reason fits it.
    """

    id: _Name
    type: Literal["message"]
    role: Literal["assistant"]
    model: _Name
    content: list[_Block]
    stop_reason: _Name
    usage: _Usage
    stop_sequence: Any = None


_messages = msgspec.json.Decoder(_Message)


def judge(status: int, headers: Mapping[str, str], body: bytes, now: datetime, server: Server = ANTHROPIC) -> Outcome:
    """Return the outcome of a final answer. Header names are in lower case; never raises, whatever the bytes are."""
    if status == 200:
        return judge_message(body, server)
    if status < 400:
        return _neither(status, headers)
    said = complaint.read(body)
    error = complaint.error(status, headers, body, said)
    if (lie := _lie(server_shown(server, headers), status, said.message)) is not None:
        return Held(error) if lie is Held else Refused(complaint.of_request(error))
    again = headers.get("x-should-retry", "").strip().lower()
    if _is_our_trouble(status, said) or (status in _NOT_STARTED and again == "false"):
        return Held(error, retry_after(headers, now))
    if status in _NOT_STARTED:
        return NotStarted(error, retry_after(headers, now), read_allowance(headers, now))
    if again not in {"true", "false"}:
        again = "true" if status >= 500 or status in _MAY_HAVE_WORKED else "false"
    return Failed(error) if again == "true" else Refused(error, is_too_large=status == 413)


def judge_message(body: bytes, server: Server = ANTHROPIC) -> Answered | Unknown:
    """Return the Message on one line if the body is a whole one; what its server is known to get wrong is mended."""
    try:
        message = _messages.decode(body)
        if not body.isascii():
            body.decode()  # msgspec checks the UTF-8 of the members it decodes, not of those it skips
        line = one_line(body)
    except msgspec.ValidationError as wrong:
        mended = mend_shape(body, server)
        return Unknown(_wrong(body, str(wrong))) if mended is None else judge_message(mended, server)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Unknown(_not_json(body))
    except RecursionError:
        return Unknown(RequestError("api_error", "The upstream's answer is nested too deeply."))
    usage = message.usage
    read, written = _count(usage.cache_read_input_tokens), _count(usage.cache_creation_input_tokens)
    given = usage.input_tokens + read + written
    if server.mends:
        if server.ends_oddly and message.stop_reason == "stop_sequence" and message.stop_sequence is None:
            return Unknown(RequestError("api_error", "The upstream ended its answer before it was whole."))
        line = mend(line, message.id, message.stop_reason, message.stop_sequence, server)
        cached = given - usage.input_tokens
        if server.counts_cached_twice and 0 < cached <= usage.input_tokens:
            line, given = mend_usage(line, usage.input_tokens, cached), usage.input_tokens
    if not read and not written:
        return Answered(line, given, usage.output_tokens)
    kinds = usage.cache_creation if isinstance(usage.cache_creation, dict) else {}
    return Answered(
        line,
        given,
        usage.output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=min(written, _count(kinds.get("ephemeral_1h_input_tokens"))),
    )


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else 0


def _lie(server: Server, status: int, message: str) -> type[Held] | type[Refused] | None:
    """What a status should have said: a request that can never succeed, or a URL that is wrong for every request."""
    if status == 404 and server.wrong_path is not None and server.wrong_path.search(message):
        return Held
    if status == 501 and server.name != ANTHROPIC.name and message:
        return Refused  # no server comes to support something while a batch runs
    if status >= 500 and server.permanent is not None and server.permanent.search(message):
        return Refused
    return None


def one_line(body: bytes) -> bytes:
    """Return valid JSON without line breaks. In valid JSON they stand between tokens only; numbers stay as written."""
    line = body.strip()
    return msgspec.json.format(line, indent=-1) if b"\n" in line or b"\r" in line else line


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that the answer asks us to wait, or None where it says nothing sensible.

    ``retry-after-ms``, then ``retry-after`` as seconds or as an HTTP date, then the reset of a rate limit that is used
    up. A date is measured from the answer's own ``date``, so that a clock that is wrong on either side does no harm.
    No wait at all leaves the pace to us.
    """
    wait = _number(headers.get("retry-after-ms", ""), 1000.0)
    if wait is None:
        value = headers.get("retry-after", "")
        wait = _number(value, 1.0)
        if wait is None and (until := http_date(value)) is not None:
            wait = (until - answered_at(headers, now)).total_seconds()
    if wait is None and (allowance := read_allowance(headers, now)) is not None:
        wait = allowance.wait
    return wait if wait is not None and 0.0 < wait <= LONGEST_WAIT else None


def _is_our_trouble(status: int, said: Complaint) -> bool:
    """What no request of ours can cause: keys, money, a wrong URL. Failing requests for it would fail them all."""
    if status in {401, 402, 403} or status in _WRONG_URL or (status < 500 and said.code in OUR_TROUBLE):
        return True
    if status == 404:
        return not said.about_request  # a framework's or proxy's 404: there is no Messages API under this URL
    return status == 400 and _NO_CREDIT in said.message.lower()


def _wrong(body: bytes, why: str) -> RequestError:
    """JSON, but no Message: an error envelope with status 200, or something else."""
    said = complaint.read(body)
    if said.message:
        return RequestError("api_error", f"The upstream answered 200 with an error: {said.message}", said.request_id)
    why = complaint.shorten(why, complaint.LONGEST_EXCERPT)
    return RequestError("api_error", f"The upstream's answer is not a whole Message: {why}")


def _neither(status: int, headers: Mapping[str, str]) -> Outcome:
    """No Message and no refusal: an odd kind of success, or a redirect."""
    if 200 <= status < 300:
        return Unknown(RequestError("api_error", f"The upstream answered with HTTP status {status} instead of 200."))
    target = headers.get("location", "").partition("?")[0]
    where = complaint.excerpt(target.encode("utf-8", "replace"))
    message = f"The upstream answered with HTTP status {status}; redirects are not followed, correct its URL{where}"
    return Held(RequestError("api_error", message))


def _not_json(body: bytes) -> RequestError:
    """The beginning of a page tells what it is; the beginning of a torn Message would only repeat model output."""
    torn = body.lstrip()[:1] in {b"{", b"["}
    if torn:
        return RequestError("api_error", "The upstream's answer is JSON that is cut short or malformed.")
    return RequestError("api_error", f"The upstream's answer is not JSON{complaint.excerpt(body)}")


def _number(text: str, per_second: float) -> float | None:
    return float(text) / per_second if _SECONDS.fullmatch(text) else None
