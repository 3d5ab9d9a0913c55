"""What a client is told of a call to a lane that brought no answer: type, status, and when to come again.

The upstream's own words about the request are the client's to read. What it says of our key, our account or our
address is the operator's.
"""

from math import ceil
from typing import assert_never

from batchyard import wire
from batchyard.domain.outcome import (
    Answered,
    Failed,
    Held,
    Hostile,
    Hung,
    NotStarted,
    Outcome,
    Refused,
    Unknown,
)
from batchyard.domain.result import RequestError
from batchyard.web.calls import Answer

LONGEST_RETRY_AFTER = 60.0
"""SDKs sleep for as long as they are told to, within their own call."""
USUAL_RETRY_AFTER = 5.0
WITH_RETRY_AFTER = (429, 529)
"""Whoever is sent away for now is told for how long, whatever the reason was."""
TOO_LARGE = "request_too_large"
HELD = (
    "The model server does not take this server's calls: its key, its account or its address is wrong. "
    "The server's operator finds the reason in its log."
)


def told(outcome: Outcome) -> RequestError:
    """Return the error as the client may read it."""
    match outcome:
        case Held():
            return RequestError("api_error", HELD)
        case Hung(error):
            return RequestError("timeout_error", error.message)
        case NotStarted(error):
            kind = error.type if error.type == "rate_limit_error" else "overloaded_error"
            return RequestError(kind, error.message, details=error.details)
        case Answered():
            return RequestError("api_error", "The upstream gave no answer of the kind that was asked for.")
        case Refused(error) | Failed(error) | Unknown(error) | Hostile(error):
            return error
        case _:
            assert_never(outcome)


def failure(outcome: Outcome, request_id: str) -> Answer:
    """Return the envelope, under our own request id."""
    error = told(outcome)
    if isinstance(outcome, Refused) and outcome.is_too_large:
        # no type that a result line may have says so, but an API call's may
        return Answer(wire.error_json(TOO_LARGE, error.message, request_id), wire.STATUS[TOO_LARGE])
    headers: tuple[tuple[str, str], ...] = ()
    if wire.STATUS[error.type] in WITH_RETRY_AFTER:
        asked = outcome.retry_after if isinstance(outcome, NotStarted) else None
        seconds = USUAL_RETRY_AFTER if asked is None else asked
        headers = (("retry-after", str(max(1, ceil(min(seconds, LONGEST_RETRY_AFTER))))),)
    body = wire.error_json(error.type, error.message, request_id, bytes(error.details))
    return Answer(body, wire.STATUS[error.type], headers=headers)
