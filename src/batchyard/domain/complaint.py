"""What an upstream said when it did not give a Message: error bodies in the dialects that model servers speak.

Anthropic's envelope, OpenAI's and llama-server's ``error`` object, a bare ``error`` or ``message`` text, FastAPI's
``detail``. Everything else (HTML, an empty body) becomes a sentence of ours with a short excerpt.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from batchyard.domain.result import ERROR_TYPES, RequestError

LONGEST_BODY = 256 * 1024
"""An error body beyond this is not parsed: nothing in it is worth the time."""
LONGEST_MESSAGE = 4096
LONGEST_DETAILS = 4096
LONGEST_REQUEST_ID = 128
LONGEST_EXCERPT = 200

_TYPE_OF_STATUS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_TAG = re.compile(r"<(script|style).*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error body as it was understood.

    ``message`` is empty where the body says nothing; ``about_request`` means an error object, as a model server
    writes one about the request, not a web framework's or a proxy's page. ``code`` is the sub-code, if any.
    """

    type: str = ""
    message: str = ""
    code: str = ""
    request_id: str | None = None
    details: bytes = b""
    about_request: bool = False


def read(body: bytes) -> Complaint:
    """Return what the body says. Never raises, whatever the bytes are."""
    envelope = _envelope(body)
    error = envelope.get("error")
    if isinstance(error, dict):
        return _object(error, envelope)
    if isinstance(error, str):
        return Complaint(message=shorten(error, LONGEST_MESSAGE), request_id=_request_id(envelope))
    message = _text(envelope.get("message"))
    if message:
        # vLLM's older form: {"object": "error", "message": ..., "type": "NotFoundError", "code": 404}
        about_request = envelope.get("object") == "error"
        return Complaint(_text(envelope.get("type")), shorten(message, LONGEST_MESSAGE), about_request=about_request)
    return Complaint(message=shorten(_detail(envelope.get("detail")), LONGEST_MESSAGE))


def error(status: int, headers: Mapping[str, str], body: bytes, complaint: Complaint) -> RequestError:
    """Return the error of an answer with this status: the upstream's own words where it has any."""
    kind = complaint.type if complaint.type in ERROR_TYPES else type_of(status)
    message = complaint.message or f"The upstream answered with HTTP status {status}{excerpt(body)}"
    return RequestError(kind, message, complaint.request_id or _header_id(headers), msgspec.Raw(complaint.details))


def of_request(error: RequestError, kind: str = "invalid_request_error") -> RequestError:
    """Return the error as one of the request, where its status or type said otherwise."""
    return RequestError(kind, error.message, error.request_id, error.details)


def type_of(status: int) -> str:
    """Return the wire's error type for a status: one of the nine."""
    known = _TYPE_OF_STATUS.get(status)
    if known is not None:
        return known
    return "invalid_request_error" if 400 <= status < 500 else "api_error"


def excerpt(body: bytes) -> str:
    """Return ``: `` and the beginning of a body that is no error envelope, as plain text; or a full stop."""
    text = _TAG.sub(" ", body[:4096].decode("utf-8", "replace"))
    text = shorten(_BLANK.sub(" ", text).strip(), LONGEST_EXCERPT)
    return f": {text}" if text else "."


def _envelope(body: bytes) -> dict[str, object]:
    try:
        envelope = msgspec.json.decode(body) if len(body) <= LONGEST_BODY else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return envelope if isinstance(envelope, dict) else {}


def _object(error: dict[str, object], envelope: dict[str, object]) -> Complaint:
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else error.get("code")
    return Complaint(
        type=_text(error.get("type")),
        message=shorten(_text(error.get("message")), LONGEST_MESSAGE),
        code=_text(code),
        request_id=_request_id(envelope),
        details=_details(details),
        about_request=True,
    )


def _details(details: object) -> bytes:
    encoded = msgspec.json.encode(details) if isinstance(details, dict) else b""
    return encoded if len(encoded) <= LONGEST_DETAILS else b""


def _detail(detail: object) -> str:
    """FastAPI: a text, or a list of what is wrong where. The offending input itself, which it repeats, is left out."""
    if isinstance(detail, str):
        return detail
    if not isinstance(detail, list):
        return ""
    wrongs = [wrong for wrong in detail[:20] if isinstance(wrong, dict)]
    return "; ".join(f"{_place(wrong.get('loc'))}{_text(wrong.get('msg'))}" for wrong in wrongs)


def _place(loc: object) -> str:
    if not isinstance(loc, list):
        return ""
    steps = [str(step) for step in loc if isinstance(step, str | int) and step != "body"]
    return ".".join(steps) + ": " if steps else ""


def _request_id(envelope: Mapping[str, object]) -> str | None:
    return _identifier(envelope.get("request_id"))


def _header_id(headers: Mapping[str, str]) -> str | None:
    return _identifier(headers.get("request-id")) or _identifier(headers.get("x-request-id"))


def _identifier(value: object) -> str | None:
    fits = isinstance(value, str) and 0 < len(value) <= LONGEST_REQUEST_ID and value.isascii() and value.isprintable()
    return value if fits and isinstance(value, str) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def shorten(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
