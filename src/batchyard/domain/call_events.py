"""What happened to calls, in the past tense: those of clients to us, and the engine's own."""

from dataclasses import dataclass

import msgspec

from batchyard.domain.usage import NO_USAGE, Usage


class TurnFinished(msgspec.Struct, frozen=True, gc=False):
    """A turn of the dispatcher was committed: so many settlements, so many new leases."""

    seconds: float
    settled: int
    leased: int


class CallAnswered(msgspec.Struct, frozen=True, gc=False):
    """An API call. ``route`` is the path with its parameters in braces, "" where there is none; ``batch`` the one that
    it names; ``seconds`` until the answer began."""

    request_id: str
    method: str
    route: str
    status: int
    seconds: float
    workspace: str = ""
    batch: str = ""

    @property
    def is_telling(self) -> bool:
        """Whether it changed something that an operator may ask about later."""
        return self.method in {"POST", "DELETE"} and self.route not in MESSAGES


MESSAGES = ("/v1/messages", "/v1/messages/count_tokens")
"""Routes of calls that are many and change nothing."""


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A call that an API caller waited for; ``outcome`` is the outcome's name.

    ``model`` is what the upstream calls it. ``usage`` is known of whole answers; a stream's tokens pass unread.
    ``traceparent`` names the caller's span, where there is one.
    """

    outcome: str
    seconds: float
    streamed: bool
    reason: str = ""
    upstream: str = ""
    model: str = ""
    usage: Usage = NO_USAGE
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class CanaryFinished:
    """A small call of our own that tried a lane which was held; ``outcome`` is the outcome's name."""

    lane: str
    outcome: str
    seconds: float
