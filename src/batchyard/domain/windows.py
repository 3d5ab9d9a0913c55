"""Hours of the week in which batches may use a model server: ``22:00-06:00``, ``sat``, ``mon-fri 19:00-07:00``.

Times are those of a clock on a wall: with a change to summer time a night is an hour shorter, as it is for people.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = "|".join(DAYS)
_FORM = re.compile(rf"(?:({_DAY})(?:-({_DAY}))?)?(?:(?:^| )(\d\d):(\d\d)-(\d\d):(\d\d))?")
_WHOLE_DAY = 24 * 60
NO_WINDOW = "no hours of a week"


@dataclass(frozen=True, slots=True)
class Window:
    """From minute ``start`` to minute ``end`` of each day; into the next day where the end is not behind the start."""

    days: frozenset[int]
    start: int
    end: int

    def has(self, moment: datetime) -> bool:
        """Whether the local time is in it."""
        minute, day = moment.hour * 60 + moment.minute, moment.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        return (day in self.days and minute >= self.start) or ((day - 1) % 7 in self.days and minute < self.end)


def window(text: str) -> Window:
    """Return the window that is written so. Raises ``ValueError``."""
    found = _FORM.fullmatch(text.strip().lower())
    if found is None or not found[0]:
        raise ValueError(NO_WINDOW)
    first, last, *clock = found.groups()
    days = range(7)
    if first is not None:
        begin = DAYS.index(first)
        days = range(begin, begin + 1 + ((DAYS.index(last) - begin) % 7 if last else 0))
    start, end = 0, _WHOLE_DAY
    if clock[0] is not None:
        start, end = _minutes(clock[0], clock[1]), _minutes(clock[2], clock[3])
        if start in {end, _WHOLE_DAY}:
            raise ValueError(NO_WINDOW)
    return Window(frozenset(day % 7 for day in days), start, end)


def is_open(windows: Sequence[Window], moment: datetime) -> bool:
    """Whether the local time is in one of them; always, where there is none."""
    return not windows or any(one.has(moment) for one in windows)


def opens_at(windows: Sequence[Window], moment: datetime) -> datetime | None:
    """Return the local time at which the first of them begins; None while one is open, or where there is none."""
    if is_open(windows, moment):
        return None
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    days = [midnight + timedelta(days=day) for day in range(8)]
    starts = [day + timedelta(minutes=one.start) for day in days for one in windows if day.weekday() in one.days]
    return min(start for start in starts if start > moment)


def _minutes(hours: str, minutes: str) -> int:
    total = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or total > _WHOLE_DAY:
        raise ValueError(NO_WINDOW)
    return total
