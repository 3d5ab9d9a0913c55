"""What a lane may spend on trying again: a tenth of its first attempts, so that trouble is not answered with more load.

Only retries of attempts that may have been billed count; free ones wait out a hold, and cost nothing. A retry without
budget is put off, never failed. One that is answered gives its share back: it was no waste.
"""

SHARE = 0.1
"""Retries for each first attempt."""
AT_FIRST = 50.0
"""Retries that need no first attempt: one full round of a usual lane, so that a short trouble does not slow a batch."""
MOST = 100.0
"""Retries that can be saved up: after a million answers an outage shall not cost a hundred thousand."""
LEAST_RATE = 1.0
"""Retries a second that go in any case, and a tenth of the lane's answers where that is more."""
LONGEST = 600.0
"""Seconds that a retry is put off at most."""


class RetryBudget:
    """The budget of one lane. ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._saved = AT_FIRST
        self._next = 0.0

    def began(self) -> None:
        """A request is tried for the first time."""
        self._saved = min(MOST, self._saved + SHARE)

    def paid_off(self) -> None:
        """A retry was answered."""
        self._saved = min(MOST, self._saved + 1.0)

    def put_off(self, good_rate: float | None, now: float) -> float:
        """Spend one retry, or return the seconds by which it must come later than it would."""
        if self._saved >= 1.0:
            self._saved -= 1.0
            return 0.0
        self._next = max(self._next, now) + 1.0 / max(LEAST_RATE, SHARE * (good_rate or 0.0))
        return min(LONGEST, self._next - now)
