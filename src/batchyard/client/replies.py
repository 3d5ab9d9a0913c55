"""What a server of the Message Batches API answers, as far as a client needs it."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from batchyard.client.errors import BadReply, RefusedByServer

KINDS = ("succeeded", "errored", "canceled", "expired")
"""The four fates of a request, in the order of every summary."""

_T = TypeVar("_T")
_STRANGE = "the server's answer is not of the Message Batches API: is the base URL right?"


class Counts(msgspec.Struct, frozen=True):
    """Requests of a batch by state."""

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def total(self) -> int:
        return self.processing + self.finished

    @property
    def finished(self) -> int:
        return self.succeeded + self.errored + self.canceled + self.expired

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))


class MessageBatch(msgspec.Struct, frozen=True):
    """A batch as the server shows it; ``raw`` is its JSON as it came."""

    id: str
    processing_status: str
    request_counts: Counts
    created_at: str = ""
    expires_at: str | None = None
    ended_at: str | None = None
    cancel_initiated_at: str | None = None
    archived_at: str | None = None
    results_url: str | None = None
    raw: bytes = b""

    @property
    def has_ended(self) -> bool:
        return self.processing_status == "ended"


class Page(msgspec.Struct, frozen=True):
    """Batches, newest first; ``has_more`` in the direction of travel."""

    batches: tuple[MessageBatch, ...]
    has_more: bool


class Usage(msgspec.Struct, frozen=True):
    """The tokens of one answer."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None

    @property
    def total_input(self) -> int:
        return self.input_tokens + (self.cache_creation_input_tokens or 0) + (self.cache_read_input_tokens or 0)


class Message(msgspec.Struct, frozen=True):
    """An answer, of which the client counts the tokens alone."""

    usage: Usage = Usage()
    model: str = ""


class ErrorText(msgspec.Struct, frozen=True):
    """``type`` and ``message`` of an error; some servers leave out the envelope around it."""

    type: str = ""
    message: str = ""
    error: "ErrorText | None" = None

    @property
    def innermost(self) -> "ErrorText":
        return self.error.innermost if self.error else self


class Result(msgspec.Struct, frozen=True):
    """The fate of a request; ``message`` where it succeeded, ``error`` where it errored."""

    type: str
    message: Message | None = None
    error: ErrorText | None = None


class ResultLine(msgspec.Struct, frozen=True):
    """One line of results."""

    custom_id: str
    result: Result


class _Page(msgspec.Struct, frozen=True):
    data: tuple[msgspec.Raw, ...]
    has_more: bool = False


class _Server(msgspec.Struct, frozen=True):
    idempotency_key_seconds: float = 0.0


class _Count(msgspec.Struct, frozen=True):
    input_tokens: int


class _Failure(msgspec.Struct, frozen=True):
    error: ErrorText
    request_id: str | None = None


_line = msgspec.json.Decoder(ResultLine)


def result_line(line: bytes) -> ResultLine:
    """Return what a result line says; ``BadReply`` if it is none."""
    try:
        known = _line.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise BadReply(f"the server sent a result line that is none: {problem}") from None
    if known.result.type not in KINDS:
        raise BadReply(f"the server sent a result of an unknown type for {known.custom_id!r}")
    return known


def batch(raw: bytes) -> MessageBatch:
    """Return the batch of an answer."""
    known = _decode(raw, MessageBatch)
    return msgspec.structs.replace(known, raw=compact(raw))


def compact(raw: bytes) -> bytes:
    """Return an answer on one line, otherwise as it came."""
    try:
        return msgspec.json.format(raw, indent=-1)
    except msgspec.DecodeError:
        raise BadReply(_STRANGE) from None


def page(raw: bytes) -> Page:
    """Return the page of an answer."""
    known = _decode(raw, _Page)
    return Page(tuple(batch(bytes(one)) for one in known.data), known.has_more)


def key_seconds(raw: bytes) -> float:
    """Return for how long a server says that it knows an idempotency key."""
    return _decode(raw, _Server).idempotency_key_seconds


def input_tokens(raw: bytes) -> int:
    """Return the number of a count of tokens."""
    return _decode(raw, _Count).input_tokens


def refusal(status: int, raw: bytes, headers: Mapping[str, str]) -> RefusedByServer:
    """Return the error of an answer that is not 200, whatever its body is."""
    request_id = headers.get("request-id")
    try:
        failure = msgspec.json.decode(raw, type=_Failure)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return RefusedByServer(status, "", "without a reason that this client understands", request_id, headers)
    error = failure.error.innermost
    return RefusedByServer(status, error.type, error.message, failure.request_id or request_id, headers)


def _decode(raw: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadReply(_STRANGE) from None
