"""How long a call of a lane may take before it counts as stalled: learnt from those that were answered.

A call that hangs holds its slot until the operator's time limit, which is made for the longest answer there may be. One
in a hundred such calls would fill a lane within minutes. So a call that takes two and a half times as long as all but
the slowest hundredth, while the lane was answered several times over, is stalled, and cut if others want its slot.
"""

import math

ENOUGH = 100
"""Answers before anything is known."""
SLOWEST = 0.01
"""Share of answers that may be slower than what is usual."""
TIMES = 2.5
LEAST = 0.25
"""Seconds below which nothing is stalled."""
OVERTAKEN = 3
"""So many rounds of the lane's slots must have been answered meanwhile: else it is the server that is slow, or we."""
MEMORY = 4096
"""Answers after which the older ones count half."""
_FINEST = 0.001
_STEP = math.log(1.1)
_CLASSES = 180


class Patience:
    """What is usual in one lane."""

    def __init__(self) -> None:
        self.answers = 0
        """How many there were in all."""
        self._classes = [0.0] * _CLASSES
        self._total = 0.0
        self._known: float | None = None

    def answered(self, seconds: float) -> None:
        """Learn from an answer."""
        self.answers += 1
        number = int(math.log(max(seconds, _FINEST) / _FINEST) / _STEP)
        self._classes[min(_CLASSES - 1, number)] += 1.0
        self._total += 1.0
        if self._total >= MEMORY:
            self._classes = [each / 2.0 for each in self._classes]
            self._total /= 2.0
        if self.answers % ENOUGH == 0:
            self._known = max(LEAST, TIMES * (self.all_but(SLOWEST) or 0.0))

    @property
    def seconds(self) -> float | None:
        """How long a call may take; None while too little is known."""
        return self._known

    def is_over(self, seconds: float, answers_since: int, limit: int) -> bool:
        """Whether a call is stalled that has taken so long, with so many answers and slots meanwhile."""
        return self._known is not None and seconds > self._known and answers_since >= OVERTAKEN * limit

    def all_but(self, share: float) -> float | None:
        """Return the seconds that all answers but such a share took at most, to a tenth; None before the first."""
        if not self.answers:
            return None
        above = 0.0
        for number in range(_CLASSES - 1, -1, -1):
            above += self._classes[number]
            if above > share * self._total:
                return _FINEST * math.exp(_STEP * (number + 1))
        return _FINEST
