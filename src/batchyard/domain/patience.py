"""How long a call of a lane may take before it counts as stalled: learnt from those that were answered.

A call that hangs holds its slot until the operator's time limit, which is made for the longest answer there may be. One
in a hundred such calls would fill a lane within minutes. So a call that takes two and a half times as long as all but
the slowest hundredth, while the lane was answered several times over, is stalled, and cut if others want its slot.

What was cut may have been slow by right. Its second try, for which there are few slots, has all its time and tells: of
second tries that are answered each stands for those that still wait for theirs. Else a lane that always has long
requests among many short ones would never learn of them, and cut each.
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
PROBES = 3
"""Second tries from which on they stand for more than themselves: fewer may be chance."""
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
        self._cut = self._again = self._slow = self._counted = 0.0
        """Calls that were cut; second tries that began; those answered; for how many cut ones these were counted."""

    def cut(self) -> None:
        """A call stalled and was cut."""
        self._cut += 1.0

    def again(self) -> None:
        """A second try of a request goes out, with all the time it may need."""
        self._again += 1.0

    def answered(self, seconds: float, *, again: bool = False) -> None:
        """Learn from an answer; ``again``: to a second try."""
        self.answers += 1
        number = int(math.log(max(seconds, _FINEST) / _FINEST) / _STEP)
        weight = self._stands_for() if again else 1.0
        self._classes[min(_CLASSES - 1, number)] += weight
        self._total += weight
        if self._total >= MEMORY:
            self._forget()
        if self.answers % ENOUGH == 0:
            self._known = max(LEAST, TIMES * (self.all_but(SLOWEST) or 0.0))

    def _stands_for(self) -> float:
        """Return how many cut calls the answer to a second try is to be counted for, but those counted before."""
        self._slow += 1.0
        cut = self._slow if self._again < PROBES else self._cut * self._slow / max(self._again, self._slow)
        weight = max(0.0, cut - self._counted)
        self._counted += weight
        return weight

    def _forget(self) -> None:
        """Let the older answers count half."""
        self._classes = [each / 2.0 for each in self._classes]
        self._total /= 2.0
        self._cut, self._again, self._slow, self._counted = (
            each / 2.0 for each in (self._cut, self._again, self._slow, self._counted)
        )

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
