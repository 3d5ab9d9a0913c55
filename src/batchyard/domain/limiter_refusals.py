"""What refusals teach a lane: each one beyond noise was one call too many, and room is tried again with care.

A server that takes ``c`` calls and is sent ``n`` refuses ``n - c`` of them: with one slot less for each, what remains
is ``c``, however large the burst was. A share of refusals that has nothing to do with load narrows nothing.
"""

NOISE = 0.1
"""Share of refusals that says nothing of load: a server may refuse 3 % at any."""
BEYOND_NOISE = 3.0
"""Refusals in quick succession that no noise explains: at 3 % chance has so many once in about 30,000 answers."""
BEYOND_DOUBT = 1.5
"""The same while a wider cap is on trial: two in a row settle it, so that a trial costs two refusals."""
SMALLEST_WINDOW = 16
PATIENCE = 200
"""Answers between a trial that failed and the next one: two refusals in so many are 1 %."""
MOST_PATIENCE = 2 * PATIENCE
NO_CAP = 10**9


class Refusals:
    """The cap that refusals put on calls in flight: ``cap``, ``NO_CAP`` where they have nothing to say."""

    def __init__(self) -> None:
        self.cap = NO_CAP
        self._score = 0.0
        self._on_trial = False
        self._quiet = 0
        self._wait = SMALLEST_WINDOW
        self._patience = PATIENCE // 2
        self._step = 1
        self._before = NO_CAP

    def accepted(self, ceiling: int, *, full: bool) -> None:
        """A call was not refused. ``full``: it was among the last that the cap lets in, so it speaks for the cap."""
        if self._score > 0.0:
            self._score = max(0.0, self._score - NOISE)
        if self.cap == NO_CAP:
            return
        self._quiet += full
        if self._quiet < self._wait:
            return
        self._quiet = 0
        if self._on_trial:
            self._patience = PATIENCE // 2
        if self.cap >= ceiling:
            self.cap, self._on_trial, self._step = NO_CAP, False, 1
            return
        self.cap = min(ceiling, self.cap + self._step)
        self._step *= 2
        self._on_trial = True
        self._wait = max(SMALLEST_WINDOW, self.cap)

    def refused(self, limit: int, others: int) -> None:
        """A call was refused at this limit, while so many others were in flight."""
        if self._score == 0.0:
            self._before = self.cap
        enough = BEYOND_DOUBT if self._on_trial else BEYOND_NOISE
        before = self._score
        self._score = min(before + 1.0 - NOISE, BEYOND_NOISE + 1.0)
        if self._score < enough:
            return
        too_many = 1
        if before < enough:  # those that were in doubt until now count after all
            too_many = round(self._score / (1.0 - NOISE))
            self._patience = min(MOST_PATIENCE, self._patience * 2)
        self.cap = max(1, min(limit, max(others, limit - too_many)))
        self._quiet, self._step, self._wait, self._on_trial = 0, 1, self._patience, False

    def forget_the_burst(self) -> None:
        """It was no overload, the server was down: the cap is again what it was before."""
        self.cap = max(self.cap, self._before)
        self._score, self._quiet, self._on_trial = 0.0, 0, False
