"""How fast a job goes, and how long the rest may take: from the counts of the last minutes."""

from collections import deque
from dataclasses import dataclass, field

WINDOW = 120.0
"""Seconds that a rate is taken over: long enough to be calm, short enough to notice a change."""


@dataclass(slots=True)
class Pace:
    """Counts with their times; seconds of any clock that only goes forward."""

    _looks: deque[tuple[float, int]] = field(default_factory=deque)

    def look(self, seconds: float, finished: int) -> None:
        """Keep how many requests were finished at a time. Fewer than before begins anew: another round."""
        if self._looks and finished < self._looks[-1][1]:
            self._looks.clear()
        self._looks.append((seconds, finished))
        while len(self._looks) > 2 and seconds - self._looks[1][0] >= WINDOW:
            self._looks.popleft()

    @property
    def per_second(self) -> float:
        """Requests finished a second; 0 where that cannot be known yet."""
        if len(self._looks) < 2:
            return 0.0
        (began, first), (ended, last) = self._looks[0], self._looks[-1]
        return (last - first) / (ended - began) if ended > began else 0.0

    def seconds_left(self, unfinished: int) -> float | None:
        """Return how long the rest takes at this pace, or None where nothing moves."""
        return unfinished / self.per_second if self.per_second > 0 else None


def in_words(seconds: float) -> str:
    """Return a duration as people say it, in its two largest units."""
    whole = max(0, round(seconds))
    units = ((whole // 86_400, "d"), (whole // 3_600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    first = next((place for place, (count, _) in enumerate(units) if count), 3)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count) or "0 s"
