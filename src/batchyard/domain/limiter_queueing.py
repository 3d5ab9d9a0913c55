"""What latency teaches a lane: whether its calls queue at the server, who never says so.

Latency alone does not tell a slow model from a queue. Two things do. The calls that found the server idle are quicker
than those behind them: that raises the suspicion. And with fewer calls in flight a queue's latency falls in
proportion, a slow model's does not: that is put to trial, and the trial decides.

    free ── suspicion, or long unexamined ──> trial of fewer ── no faster for it ──> as before
                                                    └── faster in proportion ──> fewer yet ... ──> settled
    settled ── now and then ──> trial of more ── no slower for it ──> more yet
                                                    └── slower in proportion ──> settled

Answers are compared with answers of about the same length, by their mean and its standard error: by Little's law the
mean latency of a server that is full follows the calls in flight exactly.
"""

import math
from dataclasses import dataclass, field

SLOWER = math.log(1.5)
"""How much slower than on an idle server, as a logarithm, makes a suspicion."""
NOTICEABLE = 0.25
"""Seconds of waiting that are worth a trial: below, a queue hurts nobody, and our own delays look like one."""
IN_PROPORTION = 0.85
"""Latency that follows the calls in flight by this power or more is a queue's, or as good as one: a batch that slows
down all its members is narrowed only where the last calls add less than a sixth of their number to the throughput."""
SURE = 2.0
"""Standard errors that a verdict needs."""
FULL_SHARE = 5
"""One answer in so many must be of a call sent into a lane three quarters full: else a sample says nothing of it."""
TURNED_OVER = 1.5
"""Mean latencies after which what is in flight was sent under the new cap; sooner only the quickest have ended."""
FEWEST, MOST = 48, 256
"""Answers before a verdict is possible, and after which one is given in any case. Two rounds of the lane at least:
calls that were sent together come back together, and neighbours in a line wait alike."""
SUSPECT = 16
"""Answers that make a suspicion."""
FEWER, MORE = 0.75, 1.25
HEADROOM = 1.1
"""Where fewer was too few, so many more than what was enough: an idle slot costs more than a short line."""
UNEXAMINED = 120.0
"""Seconds at full width after which fewer is tried once without a suspicion; doubled each time it was in vain."""
LONGEST_UNEXAMINED = 4 * 3600.0
ROUNDS_UNEXAMINED = 10.0
"""Answers in a row that a slot gives before that, where they are long: a trial costs about one of each slot."""
WORTH_EXAMINING = 2.0
"""Seconds that answers take at least for that."""
WIDE = 8
"""Slots that a lane has at least for that: in a narrow one a trial costs much, and a line is short."""
FIRST_REST, LONGEST_REST = 20.0, 640.0
"""Seconds that a settled lane waits before it tries more."""


@dataclass(slots=True)
class Sample:
    """Latencies by length of answer, in powers of two: number, sum and sum of squares of the seconds."""

    number: int = 0
    seconds: float = 0.0
    by_length: dict[int, list[float]] = field(default_factory=dict)

    def add(self, seconds: float, tokens: int) -> None:
        length = tokens.bit_length()
        sums = self.by_length.get(length)
        if sums is None:
            sums = self.by_length[length] = [0.0, 0.0, 0.0]
        sums[0] += 1.0
        sums[1] += seconds
        sums[2] += seconds * seconds
        self.number += 1
        self.seconds += seconds

    @property
    def mean(self) -> float:
        return self.seconds / max(1, self.number)


def contrast(later: Sample, earlier: Sample) -> tuple[float, float]:
    """Return how much slower the later answers were, as a logarithm, and its standard error.

    Both as if they had the same lengths; those that only one of them has are left out. Without a common one nothing
    is known: the error is infinite.
    """
    after = before = after_error = before_error = 0.0
    for length, (n, s, q) in later.by_length.items():
        if length not in earlier.by_length:
            continue
        m, t, r = earlier.by_length[length]
        weight = n + m
        spread = max(0.0, q - s * s / n + r - t * t / m) / max(1.0, n + m - 2.0)
        after += weight * s / n
        before += weight * t / m
        after_error += weight * weight * spread / n
        before_error += weight * weight * spread / m
    if after <= 0.0 or before <= 0.0:
        return 0.0, math.inf
    return math.log(after / before), math.sqrt(after_error / after**2 + before_error / before**2)


@dataclass(slots=True)
class _Trial:
    """Another number of calls in flight than before, and why: ``back`` is the cap if it proves wrong."""

    back: int | None
    before: Sample
    from_calls: int


class Queueing:
    """The cap that latency puts on calls in flight: ``cap``, None where it has nothing to say."""

    def __init__(self) -> None:
        self.cap: int | None = None
        self._idle = Sample()
        self._busy = Sample()
        self._busy_positions = 0
        self._now = Sample()
        self._full = 0
        self._trial: _Trial | None = None
        self._since: float | None = None
        self._measure_from = -math.inf
        self._examine_after = UNEXAMINED
        self._rest = FIRST_REST

    def answered(self, seconds: float, tokens: int, position: int, limit: int, now: float) -> None:
        """Learn from an answer whose call was the ``position``-th in flight when it was sent, of ``limit``."""
        if self._since is None:
            self._since = now - seconds
        if now < self._measure_from or now - seconds < self._since:
            return
        is_full = position * 4 >= limit * 3
        if self.cap is None and self._trial is None:
            self._at_full_width(seconds, tokens, position, limit, now, is_full=is_full)
            return
        self._full += is_full
        self._now.add(seconds, tokens)
        if self._now.number < min(MOST, max(FEWEST, 2 * limit)) or self._now.number % 8:
            return
        if self._full * FULL_SHARE < self._now.number:
            if self._now.number >= MOST:
                self._now, self._full = Sample(), 0
        elif self._trial is not None:
            self._judge_trial(self._trial, limit, now)
        elif now - self._since >= self._rest:
            fewer = self._suspected(self._now, limit)
            self._try(fewer or max(limit + 1, math.ceil(limit * MORE)), self._now, limit, now)
        elif self._now.number >= MOST:
            self._now, self._full = Sample(), 0

    def forget(self, now: float) -> None:
        """Something else has happened: what was measured lately means nothing. The cap stays."""
        if self._trial is not None:
            self.cap = self._trial.back
        self._settle(now)

    def _at_full_width(
        self, seconds: float, tokens: int, position: int, limit: int, now: float, *, is_full: bool
    ) -> None:
        """Compare calls that found the server idle with those that found it busy."""
        assert self._since is not None, "learning began with the first answer"
        if position * 4 <= limit and self._idle.number < MOST:
            self._idle.add(seconds, tokens)
        if not is_full or limit == 1:
            return
        busy = self._busy
        busy.add(seconds, tokens)
        self._busy_positions += position
        if busy.number < SUSPECT or busy.number % 8:
            return
        in_front = max(1, self._busy_positions // busy.number)  # of the first wave: it was sent while the line grew
        fewer = self._suspected(busy, in_front)
        if fewer is not None:
            self._try(fewer, busy, in_front, now)
        elif limit >= WIDE and busy.mean >= WORTH_EXAMINING and self._is_unexamined(busy.mean, now):
            self._examine_after = min(LONGEST_UNEXAMINED, self._examine_after * 2.0)
            self._try(max(1, int(limit * FEWER)), busy, in_front, now)
        elif busy.number >= max(MOST, 2 * limit):
            self._busy, self._busy_positions = Sample(), 0

    def _is_unexamined(self, mean: float, now: float) -> bool:
        assert self._since is not None, "learning began with the first answer"
        return now - self._since >= max(self._examine_after, ROUNDS_UNEXAMINED * mean)

    def _suspected(self, sample: Sample, calls: int) -> int | None:
        """Return how many calls to try instead, where the sample is much slower than an idle server."""
        slower, error = contrast(sample, self._idle)
        if slower - SURE * error <= SLOWER or sample.mean * (1.0 - math.exp(-slower)) <= NOTICEABLE:
            return None
        return max(1, min(calls - 1, math.ceil(calls * max(0.25, MORE * math.exp(-slower)))))

    def _try(self, cap: int, before: Sample, from_calls: int, now: float) -> None:
        self._trial = _Trial(self.cap, before, from_calls)
        self._begin_anew(before.mean, now)
        self.cap = cap

    def _judge_trial(self, trial: _Trial, limit: int, now: float) -> None:
        if limit == trial.from_calls:  # something else bounds the lane: there is nothing to try
            if self.cap is not None and self.cap > limit:
                trial.back = None
            self.forget(now)
            return
        slower, error = contrast(self._now, trial.before)
        step = math.log(limit / trial.from_calls)
        power, doubt = slower / step, SURE * error / abs(step)
        if abs(power - IN_PROPORTION) <= doubt and self._now.number < MOST:
            return
        if step < 0.0:
            self._judge_fewer(trial, limit, now, queued=power > IN_PROPORTION)
        else:
            self._judge_more(trial, limit, now, queued=power > IN_PROPORTION)

    def _judge_fewer(self, trial: _Trial, limit: int, now: float, *, queued: bool) -> None:
        if not queued:
            if limit < trial.from_calls * FEWER * FEWER or trial.back is None:
                self._idle = trial.before  # that is how it is with so many: suspect it no more
            self.cap = None if trial.back is None else math.ceil(trial.back * HEADROOM)
            self._settle(now)
        elif limit > 1 and self._now.mean > NOTICEABLE:
            self._try(max(1, min(limit - 1, math.ceil(limit * FEWER))), self._now, limit, now)
        else:
            self.cap = math.ceil(limit * HEADROOM)
            self._settle(now)

    def _judge_more(self, trial: _Trial, limit: int, now: float, *, queued: bool) -> None:
        if queued:
            self.cap = trial.back
            self._rest = min(LONGEST_REST, self._rest * 2.0)
            self._settle(now)
        else:
            self._rest = FIRST_REST
            self._try(max(limit + 1, math.ceil(limit * MORE)), self._now, limit, now)

    def _settle(self, now: float) -> None:
        self._trial = None
        self._begin_anew(self._now.mean, now)

    def _begin_anew(self, mean: float, now: float) -> None:
        self._measure_from = now + TURNED_OVER * mean
        self._now, self._full, self._since = Sample(), 0, now
        self._busy, self._busy_positions = Sample(), 0
