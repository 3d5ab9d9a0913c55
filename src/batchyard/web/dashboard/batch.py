"""The page of one batch: how it stands, its timeline, outcomes and cost, and what can be done with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from batchyard.domain.batch import Batch, Closing, Status
from batchyard.domain.pricing import cost
from batchyard.domain.usage import by_model
from batchyard.ports import Batches, Prices, Views
from batchyard.web.batches import known_form
from batchyard.web.calls import Answer
from batchyard.web.dashboard.batches import Glances
from batchyard.web.dashboard.pages import Pages, Visit

DONE = {
    "canceled": "Canceling: calls in flight are waited for, nothing more is sent.",
    "paused": "Paused: nothing more of it is sent until it is resumed.",
    "resumed": "Resumed.",
    "labeled": "Name and labels are saved.",
    "rerun": "This batch runs the failures again.",
}
"""What a page says after a form did its work."""


@dataclass(frozen=True, slots=True)
class Event:
    """A point of the timeline; one that lies ahead is planned."""

    at: datetime
    what: str
    is_ahead: bool = False


class BatchPage:
    """``/batches/{id}``."""

    def __init__(
        self, batches: Batches, views: Views, prices: Prices, glances: Glances, pages: Pages, *, kept: timedelta
    ) -> None:
        self._batches, self._views, self._prices = batches, views, prices
        self._glances, self._pages, self._kept = glances, pages, kept

    async def show(self, visit: Visit, batch_id: str) -> Answer:
        batch = await self._batches.get(visit.workspace, known_form(batch_id))
        [glance] = await self._glances.of(visit.workspace, [batch])
        values = {
            "glance": glance,
            "batch": batch,
            "events": timeline(batch, glance.forecast.done_at, self._kept),
            "models": await self._models(visit.workspace, batch),
            "done": DONE.get(visit.query("done") or "", ""),
        }
        return self._pages.page(visit, "_batch.html" if visit.is_part else "batch.html", values)

    async def _models(self, workspace: str, batch: Batch) -> Sequence[Mapping[str, object]]:
        rows = by_model(await self._views.batch_usage(workspace, [batch.id]))
        prices = await self._prices.of(set(rows))
        shown = []
        for model, (requests, usage) in sorted(rows.items()):
            paid = cost(requests, usage, prices[model])
            shown.append({"model": model, "requests": requests, "usage": usage, "paid": paid})
        return shown


def timeline(batch: Batch, done_at: datetime | None, kept: timedelta) -> list[Event]:
    """Return what happened to the batch and what is to come, in order. Results are ``kept`` from the create on."""
    events = [Event(batch.created_at, "created")]
    if batch.cancel_initiated_at is not None:
        events.append(Event(batch.cancel_initiated_at, "cancel asked"))
    if batch.status is Status.ENDED:
        if batch.ended_at is not None:
            was_late = batch.closing is Closing.EXPIRED
            events.append(Event(batch.ended_at, "ended, its time was over" if was_late else "ended"))
        if batch.archived_at is not None:
            events.append(Event(batch.archived_at, "results deleted, as old ones are"))
        else:
            events.append(Event(batch.created_at + kept, "results are deleted, as old ones are", is_ahead=True))
    else:
        if done_at is not None:
            events.append(Event(done_at, "done, as things stand", is_ahead=True))
        events.append(Event(batch.expires_at, "expires", is_ahead=True))
    return sorted(events, key=lambda event: event.at)
