"""How many attempts a lane may have in flight: learnt from its outcomes, never above the operator's limit.

    operator's limit ── refusals ── queueing ── engine ──> the least of them is the limit
                                                              └── ramp and pace after an outage

All of the operator's limit is used from the start: nothing is slow that need not be. Refusals beyond noise narrow at
once, latency after a trial (``limiter_refusals``, ``limiter_queueing``). A lane that does nothing but fail is held,
then probed by a single attempt, and opens again as answers come, no faster than it was going.
"""

from dataclasses import dataclass

from batchyard.domain.limiter_pace import AT_MOST, AT_ONCE, GoodRate, Left, Pace
from batchyard.domain.limiter_queueing import Queueing
from batchyard.domain.limiter_refusals import Refusals
from batchyard.domain.outcome import Answered, Failed, Held, Hostile, Hung, NotStarted, Outcome, Refused, Unknown

FIRST_HOLD = 1.0
LONGEST_HOLD = 30.0
LONGEST_REASON = 200
FAILURES_TO_HOLD = 10
"""Failures in a row, and at least as many as were in flight, that say the server is down."""


@dataclass(frozen=True, slots=True)
class Setback:
    """What went wrong last, for the operator, and when."""

    reason: str
    at: float


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
        self._refusals = Refusals()
        self._queueing = Queueing()
        self._good_rate = GoodRate()
        self._pace = Pace()
        self._left = Left()
        self._ramp: float | None = None
        self._probing = False
        self._held_until = 0.0
        self._holds = 0
        self._failed_in_a_row = 0
        self.setback: Setback | None = None

    @property
    def is_probing(self) -> bool:
        """Whether the lane was held, and nothing has gone well since."""
        return self._probing

    @property
    def limit(self) -> int:
        """Attempts that may be in flight when the lane is not held."""
        if self._probing:
            return 1
        return self.usual_limit if self._ramp is None else min(self.usual_limit, int(self._ramp))

    @property
    def usual_limit(self) -> int:
        """Attempts that may be in flight while the server is well: what the limit is, or comes back to."""
        limit = min(self.ceiling, self._refusals.cap)
        return limit if self._queueing.cap is None else min(limit, self._queueing.cap)

    @property
    def bounded_by(self) -> str | None:
        """What makes the limit less than the operator's: ``outage``, ``refusals``, ``queueing``; None: nothing."""
        limit = self.limit
        if limit >= self.ceiling:
            return None
        if self._probing or self._ramp is not None:
            return "outage"
        return "refusals" if self._refusals.cap == limit else "queueing"

    @property
    def is_recovering(self) -> bool:
        """Whether it opens again after an outage, a little with each answer."""
        return self._ramp is not None

    @property
    def good_rate(self) -> float | None:
        """Answers a second while all was well, None before anything was."""
        return self._good_rate.value

    def room(self, in_flight: int, now: float) -> int:
        """Return how many more attempts may start now."""
        if now < self._held_until:
            return 0
        room = max(0, self.limit - in_flight)
        if room == 0 and self._ramp is None:
            self._pace.lift()  # it is as wide as it may be: from here on a call starts where one has ended
        for pace in (self._pace, self._left):
            paced = pace.room(now)
            if paced is not None:
                room = min(room, paced)
        return room

    def room_for_calls(self, in_flight: int, now: float) -> int:
        """Return how many more calls that somebody waits for may start now: few, and ahead of any pace."""
        return 0 if now < self._held_until else max(0, self.limit - in_flight)

    def resumes_at(self, now: float) -> float | None:
        """Return when a held lane opens, None if it is open."""
        return self._held_until if now < self._held_until else None

    def opens_at(self, now: float) -> float | None:
        """Return when time alone lets more attempts start, by the end of a hold or by the pace; None: not time."""
        if now < self._held_until:
            return self._held_until
        return max((at for pace in (self._pace, self._left) if (at := pace.opens_at(now)) is not None), default=None)

    def started(self, attempts: int = 1) -> None:
        """Attempts take slots; fewer than none: they did not start after all."""
        self._pace.started(attempts)
        self._left.started(attempts)

    def observe(
        self,
        outcome: Outcome,
        now: float,
        *,
        seconds: float | None = None,
        position: int | None = None,
        others: int = 0,
    ) -> Hold | None:
        """Learn from an outcome; return the hold that it brings about, if it does.

        ``seconds``: what the call took, where its latency may be learnt from. ``position``: the how-manieth it was in
        flight when it was sent. ``others``: how many are in flight now.
        """
        match outcome:
            case Answered(_, given, tokens, allowance):
                self._left.answered(given + tokens)
                if allowance is not None:
                    self._left.told(allowance, self.limit, self._good_rate.value, now)
                if seconds is not None and position is not None and not self._probing and self._ramp is None:
                    self._queueing.answered(seconds, tokens, position, self.limit, now)
                self._well(now, position)
                return None
            case Refused():
                self._well(now, position)
                return None
            case Held(error, retry_after):
                return self._hold(now, retry_after, error.message)
            case NotStarted(error, retry_after, allowance):
                if allowance is not None:
                    self._left.told(allowance, self.limit, self._good_rate.value, now)
                if not self._probing:
                    self._refusals.refused(self.limit, others)
                return self._badly(now, retry_after, error.message, is_full=self._refusals.cap > 1)
            case Failed(error) | Unknown(error) | Hung(error) | Hostile(error):
                # the type alone: an excerpt of a broken answer may hold a prompt, and this goes to the log
                reason = f"{type(outcome).__name__.lower()}: {error.type}"
                return self._badly(now, None, reason, is_full=False)

    def _well(self, now: float, position: int | None) -> None:
        if self._probing:
            self._probing = False
            self._ramp = 2.0
            if (rate := self._good_rate.value) is not None:
                self._pace.limit(rate * AT_MOST, rate * AT_ONCE, now)
        elif self._ramp is not None:
            self._ramp += 1.0  # one for each answer: twice as many each round
            if self._ramp >= min(self.ceiling, self._refusals.cap, self._queueing.cap or self.ceiling):
                self._ramp = None
        self._failed_in_a_row = 0
        self._holds = 0
        if (
            self._good_rate.answered(now, slowed=self._ramp is not None or self._pace.is_set)
            and (rate := self._good_rate.value) is not None
        ):
            self._pace.raise_to(rate * AT_MOST, rate * AT_ONCE)
        self._refusals.accepted(self.ceiling, full=position is None or position * 4 >= self._refusals.cap * 3)

    def _badly(self, now: float, retry_after: float | None, reason: str, *, is_full: bool) -> Hold | None:
        """``is_full``: it refuses, and there is still a slot to give up: that is a limit, not an end."""
        self.setback = Setback(reason[:LONGEST_REASON], now)
        self._failed_in_a_row += 1
        if self._probing or (not is_full and self._failed_in_a_row >= max(FAILURES_TO_HOLD, self.limit)):
            return self._hold(now, retry_after, reason)
        return None

    def _hold(self, now: float, retry_after: float | None, reason: str) -> Hold | None:
        if now < self._held_until:  # the rest of the same burst
            return None
        self.setback = Setback(reason[:LONGEST_REASON], now)
        seconds = min(LONGEST_HOLD, FIRST_HOLD * 2.0**self._holds)
        if retry_after is not None:
            seconds = max(seconds, min(retry_after, LONGEST_HOLD))
        self._holds += 1
        self._held_until = now + seconds
        self._probing = True
        self._failed_in_a_row = 0
        self._ramp = None
        self._refusals.forget_the_burst()
        self._queueing.forget(now)
        self._good_rate.interrupt(now)
        return Hold(seconds, reason[:LONGEST_REASON])
