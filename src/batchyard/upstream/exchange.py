"""One HTTP call to an upstream: what bounds it, and what it comes to."""

import math
import re
from dataclasses import dataclass
from datetime import datetime

import msgspec

from batchyard.domain.allowance import is_told, read_allowance
from batchyard.domain.outcome import Answered, Hostile, Hung, Outcome, Unknown
from batchyard.domain.result import RequestError

_HINT = re.compile(rb"\btimeout\s*=\s*(\d{1,6})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long one call may take and how much it may answer.

    ``total_seconds`` is from the first step to the last byte. A model that works is silent, so the limits on silence
    are off unless they are set: ``first_byte_seconds`` after sending, ``silence_seconds`` between bytes from then on.
    ``idle_seconds`` is below the five seconds after which common servers close an idle connection.
    """

    total_seconds: float = 600.0
    connect_seconds: float = 10.0
    first_byte_seconds: float | None = None
    silence_seconds: float | None = None
    idle_seconds: float = 4.0
    max_answer_bytes: int = 64 * 1024 * 1024
    max_header_bytes: int = 64 * 1024

    @property
    def shortest(self) -> float:
        """The shortest time that is limited here."""
        return min(
            self.total_seconds,
            self.first_byte_seconds or self.total_seconds,
            self.silence_seconds or self.total_seconds,
            self.idle_seconds,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer whose framing is complete."""

    status: int
    raw_headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case; of a header that comes twice, the first."""
        pairs = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self.raw_headers)
        headers: dict[str, str] = {}
        for name, value in pairs:
            headers.setdefault(name, value)
        return headers


def with_allowance(answered: Answered, answer: Answer, now: datetime) -> Answered:
    """Return the outcome with what the answer's headers say of rate limits, which is mostly nothing."""
    if not is_told(answer.raw_headers):
        return answered
    return msgspec.structs.replace(answered, allowance=read_allowance(answer.headers, now))


Exchanged = Answer | Outcome
"""What one call comes to: an answer to be judged, or the outcome that a fault on the way amounts to."""


def unknown(what: str) -> Unknown:
    """The call may have been billed, and how it ended nobody knows."""
    return Unknown(RequestError("api_error", f"The upstream {what}."))


def hung(what: str) -> Hung:
    """The call was cut because nothing more came."""
    return Hung(RequestError("timeout_error", f"The upstream {what}."))


def hostile(what: str) -> Hostile:
    """The call was cut because what came would hurt."""
    return Hostile(RequestError("api_error", f"The upstream {what}."))


def hinted_seconds(keep_alive: bytes) -> float:
    """``Keep-Alive: timeout=5`` means that the server may close after five seconds: leave a second for the way."""
    hint = _HINT.search(keep_alive)
    return max(0.0, float(hint[1]) - 1.0) if hint else math.inf
