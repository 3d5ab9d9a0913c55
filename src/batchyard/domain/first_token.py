"""How many requests of batches a lane may have at its server, so that first tokens come within the operator's target.

begin with few ── within the target ──> up to twice as many ... ── too late ──> fewer, by as many as are too many
                                                            within it ──> some more, ever more seldom where that failed

A tenth of the first tokens may come later than the target. How many are too many says Little's law: the mean of the
seconds by which they are late, times the first tokens that come in a second.
"""

import math
from collections import deque

LATE = 0.1
"""Share of first tokens that may come later than the target."""
CALM = 0.05
"""Share up to which more may be tried; in between it stays as it is."""
BEGINNING = 8
"""Requests at first: all of the operator's limit at once would be what the target is against."""
FEWEST, MOST = 8, 128
"""First tokens that a verdict needs: twice what is in flight, within these bounds."""
MOST_AT_ONCE = 0.75
"""Share of the width that one verdict may take away, and the least that it does."""
LEAST_AT_ONCE = 1 / 16
MORE = 1 / 4
"""Share of the width by which it grows once too wide has been seen, and the least by which it does before."""
FIRST_REST, LONGEST_REST = 5.0, 160.0
"""Seconds for which nothing wider is tried after it proved too wide; doubled each time in a row."""
CALLERS = 8
"""First tokens of callers, of late, that make theirs the ones which count: the target is for them."""
OF_LATE = 120.0


class FirstTokens:
    """The cap that the target puts on requests of one lane. ``now`` is monotonic seconds throughout."""

    def __init__(self, target: float) -> None:
        assert target > 0.0
        self.target = target
        self.cap = BEGINNING
        self.known: float | None = None
        """Seconds within which nine in ten first tokens came when it was judged last."""
        self._rising = True
        self._tried = False
        self._rest = FIRST_REST
        self._open_from = -math.inf
        self._callers: deque[float] = deque(maxlen=CALLERS)
        self._of_callers = False
        self._since: float | None = None
        self._seconds: list[float] = []
        self._full = False
        self._running = 0

    def heard(self, seconds: float, now: float, *, running: int, ceiling: int, is_call: bool = False) -> None:
        """A first token came, so long after its call was sent, while so many requests of ours were there.

        ``ceiling``: what the lane may have in flight otherwise. ``is_call``: somebody waits for this one.
        """
        if self._since is None:
            self._since = now - seconds
        if is_call:
            self._callers.append(now)
        if now - seconds < self._since:
            return  # it was sent into another width
        self._full = self._full or running >= min(self.cap, ceiling)
        self._running = max(self._running, running)
        callers_count = self._callers_count(now)
        if callers_count != self._of_callers:
            self._of_callers, self._seconds = callers_count, []
        if is_call or not callers_count:
            self._seconds.append(seconds)
            self._judge(now, ceiling)

    def _callers_count(self, now: float) -> bool:
        return len(self._callers) == CALLERS and now - self._callers[0] <= OF_LATE

    def _judge(self, now: float, ceiling: int) -> None:
        wanted = CALLERS if self._of_callers else min(MOST, max(FEWEST, 2 * self.cap))
        late = sum(seconds > self.target for seconds in self._seconds)
        is_too_late = late > max(1.0, LATE * wanted)
        if not is_too_late and len(self._seconds) < wanted:
            return
        self.known = sorted(self._seconds)[int((1.0 - LATE) * (len(self._seconds) - 1))]
        if is_too_late and self._running:
            self._narrow(now)
        elif self._full and self.cap < ceiling and late <= CALM * wanted and now >= self._open_from:
            self._widen(now)
        else:
            self._begin_anew(now)

    def _narrow(self, now: float) -> None:
        assert self._since is not None, "a verdict needs first tokens"
        width = min(self.cap, self._running)
        rate = len(self._seconds) / (now - self._since)
        excess = sum(max(0.0, seconds - self.target) for seconds in self._seconds) / len(self._seconds)
        fewer = max(1, math.ceil(min(MOST_AT_ONCE * width, max(LEAST_AT_ONCE * width, excess * rate))))
        self.cap = max(1, width - fewer)
        self._rising = self.cap == 1  # where all was taken away, nothing is known of what it may be again
        if self._tried:  # it was wider for a moment, in vain
            self._tried = False
            self._open_from = now + self._rest
            self._rest = min(LONGEST_REST, self._rest * 2.0)
        self._begin_anew(now)

    def _widen(self, now: float) -> None:
        if self._tried:  # it was wider, and well
            self._rest = FIRST_REST
        self._tried = True
        assert self.known is not None, "it was judged just now"
        nearer = self.target / max(self.known, 1e-3) - 1.0  # at worst they come later in proportion
        share = min(1.0, max(MORE, nearer)) if self._rising else MORE
        self.cap += max(1, int(self.cap * share))
        self._begin_anew(now)

    def _begin_anew(self, now: float) -> None:
        self._since, self._seconds, self._full, self._running = now, [], False, 0
