"""The answer to bytes that never became a call: no valid HTTP, headers that are too long, a connection too many."""

import secrets
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from batchyard import wire
from batchyard.domain.ids import random_id


def early_refusal(status: int) -> bytes:
    """Return the whole answer, as it goes out."""
    words = {
        400: ("invalid_request_error", "This is not a valid HTTP request."),
        429: ("rate_limit_error", "There are too many connections from this address."),
        431: ("invalid_request_error", "The request's headers are too long."),
    }
    request_id = random_id("req_", secrets.randbits(144))
    body = wire.error_json(*words[status], request_id)
    head: list[tuple[str, Any]] = [
        ("content-type", wire.JSON),
        ("content-length", len(body)),
        ("request-id", request_id),
        ("connection", "close"),
    ]
    lines = "".join(f"{name}: {value}\r\n" for name, value in head)
    return STATUS_LINE[status] + lines.encode() + b"\r\n" + body
