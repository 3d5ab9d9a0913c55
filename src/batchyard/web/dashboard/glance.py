"""A batch at a glance: what the list and the batch's own page say of it in a few words and one bar."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from batchyard.domain.batch import Batch, Closing, Status
from batchyard.domain.forecast import Forecast

FATES = ("succeeded", "errored", "expired", "canceled")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the bar, in hundredths of its width."""

    fate: str
    start: float
    width: float
    count: int


@dataclass(frozen=True, slots=True)
class Glance:
    """``used`` is what it used and cost; ``pace`` requests a second, None where nobody can say yet."""

    batch: Batch
    used: Mapping[str, Any]
    forecast: Forecast
    pace: float | None
    now: datetime

    @property
    def state(self) -> str:
        """The word for how it stands."""
        batch = self.batch
        if batch.status is Status.IN_PROGRESS and batch.closing is Closing.EXPIRED:
            return "expiring"
        if batch.status is Status.IN_PROGRESS and batch.paused:
            return "paused"
        return batch.status.value.replace("_", " ")

    @property
    def mark(self) -> str:
        """The state as a class of the style sheet; an ended batch tells how it went."""
        if self.batch.status is not Status.ENDED:
            return self.state.replace(" ", "-")
        counts = self.batch.counts
        if counts.succeeded == counts.total:
            return "ended-well"
        return "ended-badly" if counts.errored or counts.expired else "ended"

    @property
    def is_live(self) -> bool:
        """Whether anything of it can still change by itself."""
        return self.batch.status is not Status.ENDED

    @property
    def title(self) -> str:
        """What people call it."""
        return self.batch.labels.name or self.batch.id

    @property
    def done(self) -> int:
        """Requests with a fate."""
        return self.batch.counts.total - self.batch.counts.processing

    @property
    def percent(self) -> int:
        """Hundredths that are done; 100 only when all are."""
        total = self.batch.counts.total
        return 100 if self.done == total else min(99, self.done * 100 // max(1, total))

    @property
    def parts(self) -> list[Part]:
        """The bar, from the left: a fate that there is shows, however few have it."""
        found, start, total = [], 0.0, max(1, self.batch.counts.total)
        for fate in FATES:
            count = getattr(self.batch.counts, fate)
            if count:
                width = max(0.6, count * 100 / total)
                found.append(Part(fate, round(start, 3), round(min(width, 100 - start), 3), count))
                start += width
        return found

    @property
    def trouble(self) -> list[Part]:
        """The fates that nobody hoped for."""
        return [part for part in self.parts if part.fate != "succeeded"]

    @property
    def age(self) -> timedelta:
        return self.now - self.batch.created_at

    @property
    def took(self) -> timedelta | None:
        """How long it ran, once it has ended."""
        return None if self.batch.ended_at is None else self.batch.ended_at - self.batch.created_at

    @property
    def left(self) -> timedelta | None:
        """Until it is done, as things stand; None where nobody can know."""
        return None if self.forecast.done_at is None else max(timedelta(), self.forecast.done_at - self.now)

    @property
    def until_expiry(self) -> timedelta:
        return self.batch.expires_at - self.now

    @property
    def saved(self) -> float:
        """What the batch price spares, in US dollars."""
        return float(self.used["standard_cost"] - self.used["batch_cost"])
