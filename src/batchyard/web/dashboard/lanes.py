"""What lanes did over time: slots, waiting requests and answer times by the minute, over restarts too."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from batchyard import wire
from batchyard.domain.lane_history import LaneMinute
from batchyard.ports import Clock, LaneHistory
from batchyard.web.calls import Answer
from batchyard.web.dashboard.pages import Pages, Visit
from batchyard.web.dashboard.throughput import SPANS, USUAL

NAMES = {"1": "1 hour", "6": "6 hours", "24": "1 day", "168": "1 week"}
LONGEST_NAME = 1000
LATE_SECONDS = 10
"""After its end a minute is kept within this time: until then it would look as if nothing had been done in it."""
MOST_CHOICES = 64
"""Lanes that the page offers; further ones are found by their link in the engine's list."""


class LanePoints(msgspec.Struct, frozen=True):
    """What charts draw: ``at`` in seconds since 1970; averages over ``minutes``, of times the largest.

    A lane that had nothing to do uses no slot; of its limit and its times nothing is known.
    """

    minutes: int
    at: Sequence[int]
    limit: Sequence[float | None]
    busy: Sequence[float]
    pending: Sequence[float]
    usual: Sequence[float | None]
    slow: Sequence[float | None]


class LanePages:
    """``/engine/history``, and what its charts ask for."""

    def __init__(self, history: LaneHistory, clock: Clock, pages: Pages) -> None:
        self._history, self._clock, self._pages = history, clock, pages

    async def show(self, visit: Visit) -> Answer:
        hours, (first, _, _) = _hours(visit), self._span(visit)
        names = await self._history.lanes(first)
        chosen = _lane(visit) or next(iter(names), "")
        points = await self._points(visit, chosen)
        columns = (points.busy, points.limit, points.pending, points.usual, points.slow)
        zone = self._clock.now().tzinfo
        rows = [row for row in zip(points.at, *columns, strict=True) if row[2] is not None]
        values = {
            "lane": chosen,
            "lanes": names[:MOST_CHOICES],
            "hours": hours,
            "spans": NAMES,
            "minutes": points.minutes,
            "rows": [(datetime.fromtimestamp(at, zone), *rest) for at, *rest in reversed(rows)],
        }
        return self._pages.page(visit, "lanes.html", values)

    async def points(self, visit: Visit) -> Answer:
        return Answer(msgspec.json.encode(await self._points(visit, _lane(visit))), 200, wire.JSON)

    async def _points(self, visit: Visit, lane: str) -> LanePoints:
        first, last, step = self._span(visit)
        return gathered(await self._history.minutes(lane, first), first, last, step)

    def _span(self, visit: Visit) -> tuple[int, int, int]:
        """Return the first minute, the last one that is kept by now, and how many are one point."""
        hours = _hours(visit)
        step = SPANS[hours]
        last = (int(self._clock.now().timestamp()) - LATE_SECONDS) // 60 - 1
        return last // step * step - int(hours) * 60 + step, last, step


def gathered(found: Sequence[LaneMinute], first: int, last: int, step: int) -> LanePoints:
    """Return a point for each ``step`` minutes from ``first`` to ``last``, those in which nothing was to do too.

    The last point may be of fewer minutes.
    """
    count = (last - first) // step + 1
    lengths = [min(step, last + 1 - first - step * place) for place in range(count)]
    parts: list[list[LaneMinute]] = [[] for _ in range(count)]
    for one in found:
        if first <= one.minute <= last:
            parts[(one.minute - first) // step].append(one)
    return LanePoints(
        step,
        [(first + step * place) * 60 for place in range(count)],
        [sum(one.limit for one in part) / len(part) if part else None for part in parts],
        [sum(one.busy for one in part) / length for part, length in zip(parts, lengths, strict=True)],
        [sum(one.pending for one in part) / length for part, length in zip(parts, lengths, strict=True)],
        [max((one.usual for one in part if one.usual is not None), default=None) for part in parts],
        [max((one.slow for one in part if one.slow is not None), default=None) for part in parts],
    )


def _lane(visit: Visit) -> str:
    return (visit.query("lane") or "")[:LONGEST_NAME]


def _hours(visit: Visit) -> str:
    hours = visit.query("hours") or USUAL
    return hours if hours in SPANS else USUAL
