"""Which outcome is worth another attempt, when, and how often.

Free refusals are retried until the batch expires. What may have been billed is bounded: three failures that a living
owner saw, one repeat of an unknown end (the rules R9 and R17 that ``docs/reliability.md`` repeats for users).
"""

from datetime import datetime, timedelta
from typing import assert_never

from batchyard.domain.outcome import (
    Answered,
    Failed,
    Finish,
    Held,
    Hostile,
    Hung,
    NotStarted,
    Outcome,
    Refused,
    Retry,
    Settlement,
    Trace,
    Unknown,
)
from batchyard.domain.request import Lease
from batchyard.domain.result import Errored, RequestError, Succeeded

MAX_FAILURES = 3
"""Paid attempts of one request that may fail before a living owner's eyes."""
MAX_UNKNOWNS = 2
"""Attempts of one request whose end nobody knows: the first and one repeat."""
FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0
LONGEST_RETRY_AFTER = 3600.0
"""A server that names a longer wait is believed up to here: a wrong one must not park a request for a year."""


def delay_seconds(attempt: int, retry_after: float | None, jitter: float) -> float:
    """Return how long to wait after ``attempt``; ``jitter`` in [0, 1) spreads it. ``retry_after`` is a minimum."""
    backoff = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempt - 1, 16))
    spread = backoff * (0.5 + 0.5 * jitter)
    if retry_after is None:
        return spread
    asked = min(max(retry_after, 0.0), LONGEST_RETRY_AFTER)
    return asked + min(spread, 0.1 * asked + FIRST_DELAY * jitter)


def unsent(lease: Lease, now: datetime) -> Retry:
    """Return what becomes of a leased request that was certainly not sent: it is pending again, at no cost."""
    trace = Trace("notstarted", now, now, "the answer of its lease was lost")
    return Retry(lease, now, trace, lease.paid, lease.failures, lease.unknowns)


def settle(lease: Lease, outcome: Outcome, started_at: datetime, now: datetime, jitter: float) -> Settlement:
    """Return what becomes of the leased request. Pure: the same arguments give the same settlement."""
    name = type(outcome).__name__.lower()
    match outcome:
        case Answered(message):
            return Finish(lease, Succeeded(message), Trace(name, started_at, now), outcome.usage)
        case Refused(error) | Hostile(error):
            return Finish(lease, Errored(error), Trace(name, started_at, now, error.type))
        case NotStarted(error, retry_after) | Held(error, retry_after):
            ready_at = now + timedelta(seconds=delay_seconds(lease.attempt, retry_after, jitter))
            trace = Trace(name, started_at, now, error.type)
            return Retry(lease, ready_at, trace, lease.paid, lease.failures, lease.unknowns)
        case Failed(error):
            return _after_payment(lease, error, Trace(name, started_at, now, error.type), now, jitter, unknown=0)
        case Unknown(error) | Hung(error):
            return _after_payment(lease, error, Trace(name, started_at, now, error.type), now, jitter, unknown=1)
        case _:
            assert_never(outcome)


def _after_payment(
    lease: Lease, error: RequestError, trace: Trace, now: datetime, jitter: float, *, unknown: int
) -> Settlement:
    failures, unknowns = lease.failures + 1, lease.unknowns + unknown
    if failures >= MAX_FAILURES or unknowns >= MAX_UNKNOWNS:
        return Finish(lease, Errored(error), trace)
    ready_at = now + timedelta(seconds=delay_seconds(failures, None, jitter))
    return Retry(lease, ready_at, trace, lease.paid + 1, failures, unknowns)
