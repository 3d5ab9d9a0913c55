"""What was used and what it cost: by day, workspace and model, at the standard price and at the batch price."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from batchyard.domain.pricing import Cost, Price, cost, total
from batchyard.domain.usage import NO_USAGE, Usage, Used
from batchyard.ports import Clock, Prices, Views
from batchyard.web.calls import Answer
from batchyard.web.dashboard.files import Saved
from batchyard.web.dashboard.pages import Pages, Visit
from batchyard.web.usage import Usages

SPANS = {"7": 7, "30": 30, "90": 90}


@dataclass(frozen=True, slots=True)
class Sum:
    """What several rows come to."""

    requests: int
    usage: Usage
    paid: Cost


class UsagePage:
    """``/usage``. All workspaces are the operator's to see."""

    def __init__(self, views: Views, prices: Prices, clock: Clock, pages: Pages) -> None:
        self._views, self._prices, self._clock, self._pages = views, prices, clock, pages
        self._usages = Usages(views, prices, clock)

    async def csv(self, visit: Visit) -> Saved:
        """Return the same days as a table for spreadsheets."""
        everybody = visit.may("admin") and visit.query("all") is not None
        return Saved(await self._usages.usage(visit, everybody=everybody), "batchyard-usage.csv")

    async def show(self, visit: Visit) -> Answer:
        span = visit.query("days") if visit.query("days") in SPANS else "30"
        everybody = visit.may("admin") and visit.query("all") is not None
        last = self._clock.now().date()
        first = last - timedelta(days=SPANS[span or "30"] - 1)
        rows = await self._views.usage(None if everybody else visit.workspace, first, last, by_batch=False)
        prices = await self._prices.of({row.model for row in rows})
        models = _by(rows, prices)
        values = {
            "days": span,
            "spans": list(SPANS),
            "everybody": everybody,
            "first": first,
            "last": last,
            "models": models,
            "whole": summed(rows, prices),
            "bars": bars(rows, prices, first, last),
            "rows": [(row, summed([row], prices)) for row in reversed(rows)],
        }
        return self._pages.page(visit, "usage.html", values)


def summed(rows: Sequence[Used], prices: Mapping[str, Price | None]) -> Sum:
    """Return the sum of rows."""
    paid = total(cost(row.requests, row.usage, prices[row.model]) for row in rows)
    return Sum(sum(row.requests for row in rows), sum((row.usage for row in rows), NO_USAGE), paid)


def _by(rows: Sequence[Used], prices: Mapping[str, Price | None]) -> list[tuple[str, str, Sum]]:
    """Return sums by workspace and model, the dearest first."""
    found: dict[tuple[str, str], list[Used]] = defaultdict(list)
    for row in rows:
        found[row.workspace, row.model].append(row)
    sums = [(*key, summed(some, prices)) for key, some in found.items()]
    return sorted(sums, key=lambda one: (-one[2].paid.batch, -one[2].requests, one[:2]))


@dataclass(frozen=True, slots=True)
class Bar:
    """A day in the little chart: heights in hundredths of the dearest day at the standard price."""

    day: date
    standard: float
    batch: float
    sum: Sum


def bars(rows: Sequence[Used], prices: Mapping[str, Price | None], first: date, last: date) -> list[Bar]:
    """Return a bar for each day, those without use too."""
    days: dict[date, list[Used]] = defaultdict(list)
    for row in rows:
        days[row.day].append(row)
    sums = {day: summed(days[day], prices) for day in (first + timedelta(n) for n in range((last - first).days + 1))}
    most = max((one.paid.standard for one in sums.values()), default=0.0) or 1.0
    return [
        Bar(day, round(100 * one.paid.standard / most, 2), round(100 * one.paid.batch / most, 2), one)
        for day, one in sums.items()
    ]
