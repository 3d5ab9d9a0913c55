"""How many attempts a lane may have in flight: learnt from its outcomes, never above the operator's limit.

Outcomes are judged by the window, so that one unlucky refusal in fifty costs nothing and a burst of them counts once.
A lane that does nothing but fail is held, then probed by a single attempt, and opens again as probes succeed.
"""

from dataclasses import dataclass

from batchyard.domain.outcome import Answered, Failed, Held, Hostile, Hung, NotStarted, Outcome, Refused, Unknown

TOLERATED = 0.1
"""Share of refusals in a window that is noise, not overload: a server may refuse 3 % at any load."""
SMALLEST_WINDOW = 16
FIRST_HOLD = 1.0
LONGEST_HOLD = 30.0
LONGEST_REASON = 200
FAILURES_TO_HOLD = 10
"""Failures in a row, and at least as many as were in flight, that say the server is down."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The lane is held for so many seconds; why, for the operator."""

    seconds: float
    reason: str


class Limiter:
    """The state of one lane. ``now`` is monotonic seconds throughout."""

    def __init__(self, ceiling: int) -> None:
        assert ceiling > 0
        self.ceiling = ceiling
        self._limit = float(ceiling)
        self._probing = False
        self._held_until = 0.0
        self._holds = 0
        self._failed_in_a_row = 0
        self._seen = 0
        self._refused = 0

    @property
    def is_probing(self) -> bool:
        """Whether the lane was held, and nothing has gone well since."""
        return self._probing

    @property
    def limit(self) -> int:
        """Attempts that may be in flight when the lane is not held."""
        return 1 if self._probing else max(1, min(self.ceiling, int(self._limit)))

    def room(self, in_flight: int, now: float) -> int:
        """Return how many more attempts may start now."""
        return 0 if now < self._held_until else max(0, self.limit - in_flight)

    def resumes_at(self, now: float) -> float | None:
        """Return when a held lane opens, None if it is open."""
        return self._held_until if now < self._held_until else None

    def observe(self, outcome: Outcome, now: float) -> Hold | None:
        """Learn from an outcome; return the hold that it brings about, if it does."""
        match outcome:
            case Answered() | Refused():
                self._well()
                return None
            case Held(error, retry_after):
                return self._hold(now, retry_after, error.message)
            case NotStarted(error, retry_after):
                return self._badly(now, retry_after, error.message, refused=True)
            case Failed(error) | Unknown(error) | Hung(error) | Hostile(error):
                # the type alone: an excerpt of a broken answer may hold a prompt, and this goes to the log
                return self._badly(now, None, f"{type(outcome).__name__.lower()}: {error.type}", refused=False)

    def _well(self) -> None:
        if self._probing:
            self._probing = False
            self._limit = 2.0
        self._failed_in_a_row = 0
        self._holds = 0
        self._count(refused=False)

    def _badly(self, now: float, retry_after: float | None, reason: str, *, refused: bool) -> Hold | None:
        self._failed_in_a_row += 1
        if self._probing or self._failed_in_a_row >= max(FAILURES_TO_HOLD, self.limit):
            return self._hold(now, retry_after, reason)
        self._count(refused=refused)
        return None

    def _count(self, *, refused: bool) -> None:
        self._seen += 1
        self._refused += refused
        if self._seen < max(SMALLEST_WINDOW, self.limit):
            return
        share = self._refused / self._seen
        if share > TOLERATED:
            self._limit = max(1.0, self._limit * (1.0 - share))
        elif self._limit < self.ceiling:
            self._limit = min(float(self.ceiling), self._limit * 1.5 + 1)
        self._seen = self._refused = 0

    def _hold(self, now: float, retry_after: float | None, reason: str) -> Hold | None:
        if now < self._held_until:  # the rest of the same burst
            return None
        seconds = min(LONGEST_HOLD, FIRST_HOLD * 2.0**self._holds)
        if retry_after is not None:
            seconds = max(seconds, min(retry_after, LONGEST_HOLD))
        self._holds += 1
        self._held_until = now + seconds
        self._probing = True
        self._failed_in_a_row = self._seen = self._refused = 0
        return Hold(seconds, reason[:LONGEST_REASON])
