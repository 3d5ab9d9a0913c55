"""The list of batches, newest first: search, live progress, and what is going on altogether."""

from dataclasses import dataclass

from batchyard.domain.batch import Batch, Status
from batchyard.domain.labels import Wanted, parse_pair
from batchyard.domain.usage import Minute
from batchyard.ports import Batches, Clock, Views
from batchyard.web.batches import cursor
from batchyard.web.calls import Answer
from batchyard.web.dashboard.glance import Glance
from batchyard.web.dashboard.pages import Pages, Visit
from batchyard.web.dashboard.pulse import Pulse
from batchyard.web.details import Details

ROWS = 50
RECENT_MINUTES = 60


class Glances:
    """Makes what is said of batches at a glance."""

    def __init__(self, details: Details, clock: Clock) -> None:
        self._details, self._clock, self._pulse = details, clock, Pulse(clock)

    async def of(self, workspace: str, batches: list[Batch]) -> list[Glance]:
        """Return one for each batch."""
        used = await self._details.used(workspace, batches)
        told = await self._details.forecasts(batches)
        now = self._clock.now()
        return [
            Glance(batch, used_of, forecast, self._pulse.rate(batch), now)
            for batch, used_of, forecast in zip(batches, used, told, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Search:
    """What the form above the list says."""

    text: str
    label: str
    status: str

    @property
    def wanted(self) -> Wanted:
        pairs = [parse_pair(pair) for pair in self.label.split(",") if pair.strip()]
        return Wanted(self.status or None, self.text, pairs)

    @property
    def is_any(self) -> bool:
        """Whether it leaves nothing out."""
        return not (self.text or self.label or self.status)


class ListPage:
    """``/``."""

    def __init__(self, batches: Batches, views: Views, glances: Glances, clock: Clock, pages: Pages) -> None:
        self._batches, self._views, self._glances = batches, views, glances
        self._clock, self._pages = clock, pages

    async def show(self, visit: Visit) -> Answer:
        """Show a page of the batches that are looked for; open pages ask for ``part`` of it again and again."""
        search = _search(visit)
        after, before = cursor(visit, "after_id"), cursor(visit, "before_id")
        page = await self._views.search(visit.workspace, search.wanted, after=after, before=before, limit=ROWS)
        batches = list(page.batches)
        is_first = after is None and before is None
        values = {
            "search": search,
            "rows": await self._glances.of(visit.workspace, batches),
            "older": batches[-1].id if batches and (page.has_more or before is not None) else "",
            "newer": batches[0].id if batches and not is_first and (page.has_more or after is not None) else "",
            "is_first": is_first,
            "load": await self._batches.load(visit.workspace),
            "recent": await self._recent(visit.workspace),
            "statuses": [status.value for status in Status],
            "after": after or "",
            "before": before or "",
        }
        is_empty = not batches and is_first and search.is_any
        template = "_batches.html" if visit.is_part else "empty.html" if is_empty else "batches.html"
        return self._pages.page(visit, template, values)

    async def _recent(self, workspace: str) -> list[Minute]:
        """Return the last hour, each minute of it."""
        this = int(self._clock.now().timestamp()) // 60
        known = {one.minute: one for one in await self._views.minutes(workspace, this - RECENT_MINUTES + 1)}
        return [known.get(at, Minute(at, 0, 0, 0, 0)) for at in range(this - RECENT_MINUTES + 1, this + 1)]


def _search(visit: Visit) -> Search:
    text, label, status = ((visit.query(name) or "").strip() for name in ("q", "label", "status"))
    return Search(text[:200], label[:500], status if status in set(Status) else "")
