"""What crosses the wire: the domain as JSON. Every member is written, nulls too; timestamps are text, always with six
digits and ``Z``.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import assert_never

import msgspec

from batchyard.domain.batch import Batch
from batchyard.domain.catalog import ModelInfo
from batchyard.domain.result import Canceled, Errored, Expired, RequestError, Result, Succeeded, kind

STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Error type -> HTTP status. A 409 is repeated by every SDK, so nothing of ours raises ``conflict_error``."""

JSON = "application/json"
JSONL = "application/x-jsonl"
EVENTS = "text/event-stream; charset=utf-8"


class RequestCounts(msgspec.Struct, frozen=True):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class MessageBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The ten members of a batch, in the order in which the service sends them."""

    id: str
    type: str = "message_batch"
    processing_status: str
    request_counts: RequestCounts
    ended_at: str | None = None
    created_at: str
    expires_at: str
    archived_at: str | None = None
    cancel_initiated_at: str | None = None
    results_url: str | None = None


class BatchPage(msgspec.Struct, frozen=True):
    """A page of a list; both ids are null when ``data`` is empty."""

    data: list[MessageBatch]
    has_more: bool = False
    first_id: str | None = None
    last_id: str | None = None


class ModelPage(msgspec.Struct, frozen=True):
    """A page of the list of models."""

    data: Sequence[ModelInfo]
    has_more: bool
    first_id: str | None
    last_id: str | None


class DeletedBatch(msgspec.Struct, frozen=True):
    id: str
    type: str = "message_batch_deleted"


class ErrorBody(msgspec.Struct, frozen=True):
    """The inner error; ``details`` is any JSON, kept as it came."""

    type: str
    message: str
    details: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class ErrorEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every refusal."""

    type: str = "error"
    error: ErrorBody
    request_id: str | None = None


class LineError(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope inside an errored line. ``message`` repeats the text for code that reads ``error.message``."""

    type: str = "error"
    error: ErrorBody
    request_id: str | None = None
    message: str = ""


class _Errored(msgspec.Struct, frozen=True):
    type: str
    error: LineError


_encode = msgspec.json.Encoder().encode


def timestamp(moment: datetime) -> str:
    """Return RFC 3339 in UTC with six digits and ``Z``, also where the digits are zero."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def batch_object(batch: Batch, base_url: str) -> MessageBatch:
    """Return the batch as clients see it; ``base_url`` is what the client reaches us by, without a last slash."""
    counts = batch.counts
    return MessageBatch(
        id=batch.id,
        processing_status=batch.status.value,
        request_counts=RequestCounts(
            counts.processing, counts.succeeded, counts.errored, counts.canceled, counts.expired
        ),
        ended_at=_perhaps(batch.ended_at),
        created_at=timestamp(batch.created_at),
        expires_at=timestamp(batch.expires_at),
        archived_at=_perhaps(batch.archived_at),
        cancel_initiated_at=_perhaps(batch.cancel_initiated_at),
        results_url=f"{base_url}/v1/messages/batches/{batch.id}/results" if batch.has_results else None,
    )


def batch_json(batch: Batch, base_url: str) -> bytes:
    return _encode(batch_object(batch, base_url))


def page_json(batches: Sequence[Batch], base_url: str, *, has_more: bool) -> bytes:
    shown = [batch_object(batch, base_url) for batch in batches]
    first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
    return _encode(BatchPage(shown, has_more, first, last))


def paused_json(batch: Batch) -> bytes:
    """Return the answer to a pause or a resume, which are no part of the wire."""
    return _encode({"id": batch.id, "paused": batch.paused})


def deleted_json(batch_id: str) -> bytes:
    return _encode(DeletedBatch(batch_id))


def models_json(models: Sequence[ModelInfo], *, has_more: bool) -> bytes:
    first, last = (models[0].id, models[-1].id) if models else (None, None)
    return _encode(ModelPage(models, has_more, first, last))


def model_json(model: ModelInfo) -> bytes:
    return _encode(model)


def count_json(input_tokens: int) -> bytes:
    return _encode({"input_tokens": input_tokens})


def error_json(error_type: str, message: str, request_id: str | None, details: bytes = b"") -> bytes:
    body = ErrorBody(error_type, message, msgspec.Raw(details) if details else msgspec.UNSET)
    return _encode(ErrorEnvelope(error=body, request_id=request_id))


def error_event(error_type: str, message: str, request_id: str) -> bytes:
    """Return what a stream that broke says last."""
    return b"event: error\ndata: %b\n\n" % error_json(error_type, message, request_id)


def result_line(custom_id: str, result: Result) -> bytes:
    """Return the one compact line of a request, with its newline. A Message's bytes go in as they are."""
    head = b'{"custom_id":' + _encode(custom_id) + b',"result":'
    match result:
        case Succeeded(message):
            return b"".join((head, b'{"type":"succeeded","message":', _on_one_line(message), b"}}\n"))
        case Errored(error):
            return b"".join((head, _encode(_Errored("errored", _line_error(error))), b"}\n"))
        case Canceled() | Expired():
            return b"".join((head, b'{"type":"', kind(result).encode(), b'"}}\n'))
        case _:
            assert_never(result)


def _perhaps(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)


def _line_error(error: RequestError) -> LineError:
    details = _on_one_line(bytes(error.details))
    body = ErrorBody(error.type, error.message, msgspec.Raw(details) if details else msgspec.UNSET)
    return LineError(error=body, request_id=error.request_id, message=error.message)


def _on_one_line(json: bytes) -> bytes:
    """A line break in JSON is white space, never part of a string; in a results file it would tear the line."""
    if b"\n" in json or b"\r" in json:
        return json.replace(b"\r", b" ").replace(b"\n", b" ")
    return json
