"""How fast calls may start: after an outage at twice the last good rate at most, and within what a server says is left.

A cap on calls in flight does not bound how many start at once: a server that comes back, or an account whose minute
begins, would be met with all of them.
"""

from batchyard.domain.allowance import Allowance

AT_MOST = 1.5
"""Starts after an outage, in good rates: with what may start at once, below two in any stretch of time."""
AT_ONCE = 0.25
"""Seconds of the good rate that may start at once."""
SHORTEST, LONGEST = 2.0, 30.0
"""Seconds over which a rate is measured: until there were enough answers, at least, and at most."""
ENOUGH = 20
SCARCE = 2.0
"""What is left is minded below so many times the lane's limit: more cannot run out before the server's next word."""
LEAST = 0.25
"""Starts while nothing is left, in good rates."""
SMOOTHING = 0.05
"""Weight of the newest answer in the mean of the tokens that a call takes."""
ROUNDING = 1e-6
"""So much of a start may be missing: time in floating point never adds up."""


class GoodRate:
    """Answers a second while all was well, None before anything was."""

    def __init__(self) -> None:
        self.value: float | None = None
        self._since: float | None = None
        self._answers = 0
        self._slowed = False

    def answered(self, now: float, *, slowed: bool = False) -> bool:
        """Count an answer; return whether there is a new rate. ``slowed``: we hold the lane back, it could do more."""
        self._slowed = self._slowed or slowed
        if self._since is None:
            self._since = now
        self._answers += 1
        elapsed = now - self._since
        if elapsed >= LONGEST or (elapsed >= SHORTEST and self._answers >= ENOUGH):
            self._close(now)
            return True
        return False

    def interrupt(self, now: float) -> None:
        """The lane is held: what was measured so far counts if it is enough, and time goes on without it."""
        if self._since is not None and self._answers >= ENOUGH and now - self._since >= SHORTEST / 2:
            self._close(now)
        self._since, self._answers, self._slowed = None, 0, False

    def _close(self, now: float) -> None:
        assert self._since is not None, "a rate is measured from its first answer"
        rate = self._answers / (now - self._since)
        self.value = rate if self.value is None or not self._slowed else max(rate, self.value)
        self._since, self._answers, self._slowed = now, 0, False


class Pace:
    """Starts that are allowed now. Not limited until somebody asks for it."""

    def __init__(self) -> None:
        self._rate: float | None = None
        self._left = 0.0
        self._most = 0.0
        self._at = 0.0

    def limit(self, rate: float, at_once: float, now: float) -> None:
        """From now on allow ``rate`` starts a second, and so many at once."""
        self._rate, self._left, self._most, self._at = rate, at_once, max(1.0, at_once), now

    def set(self, rate: float, now: float) -> None:
        """From now on allow ``rate`` starts a second, one by one; what was allowed and not used before stays so."""
        if self._rate is None:
            self.limit(rate, 1.0, now)
        else:
            self.room(now)
            self._rate, self._most = rate, max(1.0, rate * AT_ONCE)

    def raise_to(self, rate: float, at_once: float) -> None:
        """Allow more, where starts are limited."""
        if self._rate is not None and rate > self._rate:
            self._rate, self._most = rate, max(1.0, at_once)

    def lift(self) -> None:
        self._rate = None

    @property
    def is_set(self) -> bool:
        """Whether starts are limited."""
        return self._rate is not None

    def started(self, calls: int) -> None:
        self._left -= calls

    def room(self, now: float) -> int | None:
        """Return how many may start now, None where there is no limit."""
        if self._rate is None:
            return None
        self._left = min(self._most, self._left + self._rate * (now - self._at))
        self._at = now
        return max(0, int(self._left + ROUNDING))

    def opens_at(self, now: float) -> float | None:
        """Return when the next start is allowed, None where one is now."""
        room = self.room(now)
        if room is None or room > 0 or self._rate is None:
            return None
        return now + min(LONGEST, max(0.001, (1.0 - self._left) / max(self._rate, 1e-6)))


class Left:
    """Starts that a server's own account of its rate limits leaves us. What it said last counts."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._tokens = 0.0

    def answered(self, tokens: int) -> None:
        """An answer took so many tokens in all: what a later one will take of a limit on tokens."""
        self._tokens += SMOOTHING * (tokens - self._tokens) if self._tokens else tokens

    def told(self, allowance: Allowance, limit: int, good_rate: float | None, now: float) -> None:
        """Mind what is left once it is scarce: less than the lane may have in flight, twice over.

        The less is left, the slower than of late: most limits fill up all the time, and somewhere between half and
        twice the good rate what is started is what fills up. Where no rate is known what is left is spread over the
        time until it is whole.
        """
        slowest: float | None = None
        enough = SCARCE * limit
        for left, reset in (
            (allowance.requests_left, allowance.requests_reset),
            (self._calls(allowance.tokens_left), allowance.tokens_reset),
        ):
            if left is not None and left < enough:
                spread = max(1.0, left) / (reset or LONGEST)
                rate = max(spread, (good_rate or 0.0) * (LEAST + (AT_MOST - LEAST) * left / enough))
                slowest = rate if slowest is None else min(slowest, rate)
        if slowest is None:
            self._pace.lift()
        else:
            self._pace.set(slowest, now)

    def _calls(self, tokens: int | None) -> float | None:
        return None if tokens is None else tokens / max(1.0, self._tokens)

    def started(self, calls: int) -> None:
        self._pace.started(calls)

    def room(self, now: float) -> int | None:
        """Return how many may start now, None where there is no limit."""
        return self._pace.room(now)

    def opens_at(self, now: float) -> float | None:
        """Return when the next start is allowed, None where one is now."""
        return self._pace.opens_at(now)
