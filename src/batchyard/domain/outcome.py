"""What an attempt showed, and the settlement that follows from it.

An outcome says what happened at the upstream; a settlement says what becomes of the request. Refusals that cost
nothing never count against a request; outcomes that may have been billed do.
"""

from datetime import datetime

import msgspec

from batchyard.domain.allowance import Allowance
from batchyard.domain.request import Lease
from batchyard.domain.result import RequestError, Result
from batchyard.domain.usage import NO_USAGE, Usage


class Answered(msgspec.Struct, frozen=True, gc=False):
    """A whole, well-formed Message, on one line; the tokens are what its usage says.

    ``input_tokens`` is all that the model was given, what came from a prompt cache or went into one included.
    """

    message: bytes
    input_tokens: int = 0
    output_tokens: int = 0
    allowance: Allowance | None = None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0

    @property
    def usage(self) -> Usage:
        """The same tokens, for the accounts: those that met no cache apart."""
        read, written = self.cache_read_tokens, self.cache_write_tokens
        if not read and not written:
            return Usage(self.input_tokens, self.output_tokens)
        fresh = max(0, self.input_tokens - read - written)
        return Usage(fresh, self.output_tokens, read, written, self.cache_write_1h_tokens)


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The upstream judged this request and will not take it: trying again cannot help."""

    error: RequestError
    is_too_large: bool = False


class NotStarted(msgspec.Struct, frozen=True, gc=False):
    """The upstream did no work (429, 529, 503 before a body, connection refused): free. Seconds, if it named any."""

    error: RequestError
    retry_after: float | None = None
    allowance: Allowance | None = None


class Held(msgspec.Struct, frozen=True, gc=False):
    """Our trouble with the upstream (401, 402, 403, a spend cap): pauses the lane and fails no request."""

    error: RequestError
    retry_after: float | None = None


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The upstream failed after it began to work (5xx with a body): probably billed."""

    error: RequestError


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """Nobody knows how far it came (reset after sending, truncated, not JSON): at most one repeat."""

    error: RequestError


class Hung(msgspec.Struct, frozen=True, gc=False):
    """Silent for too long, then cut: as unknown, but slow to find out."""

    error: RequestError


class Hostile(msgspec.Struct, frozen=True, gc=False):
    """An answer made to hurt (a bomb, endless headers): cut, errored, never repeated."""

    error: RequestError


Outcome = Answered | Refused | NotStarted | Held | Failed | Unknown | Hung | Hostile


class Trace(msgspec.Struct, frozen=True, gc=False):
    """One line of the attempt ledger: the outcome's name, and when the attempt began and ended."""

    outcome: str
    started_at: datetime
    ended_at: datetime
    reason: str = ""


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The request is final with this result; ``usage`` is what its answer used.

    ``named`` is its model where the lease does not tell that: one beyond the ``MAX_MODELS`` of its batch.
    """

    lease: Lease
    result: Result
    trace: Trace
    usage: Usage = NO_USAGE
    named: str = ""

    @property
    def model(self) -> str:
        """The name under which the answer counts in the accounts."""
        return self.lease.model or self.named


class Retry(msgspec.Struct, frozen=True, gc=False):
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
