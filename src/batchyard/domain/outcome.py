"""What an attempt showed, and the settlement that follows from it.

An outcome says what happened at the upstream; a settlement says what becomes of the request. Refusals that cost
nothing never count against a request; outcomes that may have been billed do.
"""

from dataclasses import dataclass
from datetime import datetime

from batchyard.domain.request import Lease
from batchyard.domain.result import RequestError, Result


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole, well-formed Message, on one line; the tokens are what its usage says."""

    message: bytes
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The upstream judged this request and will not take it: trying again cannot help."""

    error: RequestError


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The upstream did no work (429, 529, 503 before a body, connection refused): free. Seconds, if it named any."""

    error: RequestError
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """Our trouble with the upstream (401, 402, 403, a spend cap): pauses the lane and fails no request."""

    error: RequestError
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The upstream failed after it began to work (5xx with a body): probably billed."""

    error: RequestError


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows how far it came (reset after sending, truncated, not JSON): at most one repeat."""

    error: RequestError


@dataclass(frozen=True, slots=True)
class Hung:
    """Silent for too long, then cut: as unknown, but slow to find out."""

    error: RequestError


@dataclass(frozen=True, slots=True)
class Hostile:
    """An answer made to hurt (a bomb, endless headers): cut, errored, never repeated."""

    error: RequestError


Outcome = Answered | Refused | NotStarted | Held | Failed | Unknown | Hung | Hostile


@dataclass(frozen=True, slots=True)
class Trace:
    """One line of the attempt ledger: the outcome's name, and when the attempt began and ended."""

    outcome: str
    started_at: datetime
    ended_at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """The request is final with this result."""

    lease: Lease
    result: Result
    trace: Trace


@dataclass(frozen=True, slots=True)
class Retry:
    """The request is pending again, not before ``ready_at``; the numbers are the new totals.

    In a batch that is closing the store makes it canceled or expired instead, in the same transaction.
    """

    lease: Lease
    ready_at: datetime
    trace: Trace
    paid: int
    failures: int
    unknowns: int


Settlement = Finish | Retry
