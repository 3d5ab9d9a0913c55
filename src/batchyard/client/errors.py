"""What can go wrong for a client: wrong use or input on our side, or a server that is away, refuses, or talks nonsense.

Messages are for people and hold no key.
"""

from collections.abc import Mapping, Sequence

TIMED_OUT, TOO_MUCH, OVERLOADED = 408, 429, 529


class WrongUse(Exception):
    """What was asked for cannot be done as it stands; nothing was sent. The message says what to change."""


class BadInput(WrongUse):
    """The input is wrong. ``problems`` are lines ``INPUT:17: what``; ``more`` counts those not kept."""

    def __init__(self, problems: Sequence[str], more: int = 0) -> None:
        super().__init__("\n".join([*problems, f"… and {more} more problems"] if more else problems))
        self.problems = problems
        self.more = more


class ServerError(Exception):
    """The server was of no use. Whatever it holds of ours, it goes on holding."""

    had_no_effect = False
    """Whether this try of the call took no effect for certain."""


class Unreachable(ServerError):
    """No answer: no connection, a cut one, or silence. What was sent may have taken effect."""

    def __init__(self, message: str, *, had_no_effect: bool = False) -> None:
        super().__init__(message)
        self.had_no_effect = had_no_effect


class RefusedByServer(ServerError):
    """The server answered with an error. ``headers`` may say whether and when to try again."""

    def __init__(
        self, status: int, kind: str, message: str, request_id: str | None, headers: Mapping[str, str] | None = None
    ) -> None:
        told = f"{kind}: {message}" if kind else message
        super().__init__(f"the server refused: {status} {told}" + (f" ({request_id})" if request_id else ""))
        self.status = status
        self.type = kind
        self.message = message
        self.request_id = request_id
        self.headers = headers or {}
        self.had_no_effect = (400 <= status < 500 and status != TIMED_OUT) or status == OVERLOADED
        self.repeats = 0
        """How often the call had failed before in a way that may have taken effect."""

    @property
    def is_full(self) -> bool:
        """Whether the server holds as much as it may, and waiting helps."""
        return self.status == TOO_MUCH and self.headers.get("x-should-retry") != "false"

    @property
    def is_certain(self) -> bool:
        """Whether the call took no effect for certain, an earlier try of it included."""
        return self.status < 500 and self.had_no_effect and self.repeats == 0


class BadReply(ServerError):
    """The server answered with something that this API does not know."""
