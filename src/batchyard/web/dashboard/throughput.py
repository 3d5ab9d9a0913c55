"""How fast it went: requests and tokens by the minute, as far back as the store keeps them, over restarts too."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from batchyard import wire
from batchyard.domain.usage import Minute
from batchyard.ports import Clock, Views
from batchyard.web.calls import Answer
from batchyard.web.dashboard.pages import Pages, Visit

SPANS = {"1": 1, "6": 1, "24": 5, "168": 30}
"""Hours that are shown -> minutes that are added up to one point."""
USUAL = "6"


class Points(msgspec.Struct, frozen=True):
    """What charts draw: ``at`` in seconds since 1970, the rest by the minute, on the average over ``minutes``."""

    minutes: int
    at: Sequence[int]
    succeeded: Sequence[float]
    failed: Sequence[float]
    input_tokens: Sequence[float]
    output_tokens: Sequence[float]


class ThroughputPage:
    """``/throughput``, and what its charts ask for."""

    def __init__(self, views: Views, clock: Clock, pages: Pages) -> None:
        self._views, self._clock, self._pages = views, clock, pages

    async def show(self, visit: Visit) -> Answer:
        hours, everybody = _asked(visit)
        points = await self._points(visit)
        rows = [row for row in zip(points.at, *_columns(points), strict=True) if any(row[1:])]
        values = {
            "hours": hours,
            "spans": {"1": "1 hour", "6": "6 hours", "24": "1 day", "168": "1 week"},
            "everybody": everybody,
            "minutes": points.minutes,
            "rows": [(datetime.fromtimestamp(at, self._clock.now().tzinfo), *rest) for at, *rest in reversed(rows)],
        }
        return self._pages.page(visit, "throughput.html", values)

    async def points(self, visit: Visit) -> Answer:
        return Answer(msgspec.json.encode(await self._points(visit)), 200, wire.JSON)

    async def _points(self, visit: Visit) -> Points:
        hours, everybody = _asked(visit)
        step = SPANS[hours]
        last = int(self._clock.now().timestamp()) // 60 // step * step
        first = last - int(hours) * 60 + step
        found = await self._views.minutes(None if everybody else visit.workspace, first)
        return gathered(found, first, last, step)


def gathered(found: Iterable[Minute], first: int, last: int, step: int) -> Points:
    """Return a point for each ``step`` minutes from ``first`` to ``last``, those in which nothing happened too."""
    count = (last - first) // step + 1
    sums = [[0.0] * count for _ in range(4)]
    for one in found:
        place = (one.minute - first) // step
        if 0 <= place < count:
            told = (one.finished - one.failed, one.failed, one.input_tokens, one.output_tokens)
            for column, value in zip(sums, told, strict=True):
                column[place] += value / step
    return Points(step, [(first + step * n) * 60 for n in range(count)], *sums)


def _columns(points: Points) -> tuple[Sequence[float], ...]:
    return points.succeeded, points.failed, points.input_tokens, points.output_tokens


def _asked(visit: Visit) -> tuple[str, bool]:
    hours = visit.query("hours") or USUAL
    return (hours if hours in SPANS else USUAL), visit.may("admin") and visit.query("all") is not None
