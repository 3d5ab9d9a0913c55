"""When a batch will be done, and why it waits: reckoned from what is open and how fast requests became final lately.

Slots are shared evenly over workspaces, and within one over its batches. So before a batch of n open requests is done,
each other batch of its workspace has had min(n, its own) requests, and each other workspace as many as all of those.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from batchyard.domain.batch import Batch, Closing, Status
from batchyard.domain.usage import Minute

LOOK_BACK_MINUTES = 10
"""How long ago a request may have become final to tell of the rate now."""
TIGHT = 0.8
"""Share of the time left until the deadline, beyond which a forecast is too near to it to be sure."""


@dataclass(frozen=True, slots=True)
class Open:
    """Requests of one batch that are not final and may be leased."""

    batch: str
    workspace: str
    requests: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Why requests of a model are not sent now, in words for people; ``until`` is when that ends, where it is known."""

    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """``rate`` is requests a second over all batches, None where nothing became final lately.

    ``ahead`` is how many requests of others come before the last one of this batch. ``done_at`` is None where nobody
    can know. ``risk`` of missing the deadline: ``none``, ``tight``, ``late``, or ``unknown``. ``waits_for`` says in
    words why requests are not sent now; empty while they are.
    """

    rate: float | None
    remaining: int
    ahead: int
    done_at: datetime | None
    risk: str
    waits_for: Sequence[str] = ()


def rate(minutes: Iterable[Minute], now: datetime, since: datetime) -> float | None:
    """Return the requests that became final each second, over the last minutes in which batches ran.

    ``since`` is when the oldest of the running batches was created: nothing could be final before.
    """
    this_minute = int(now.timestamp()) // 60
    recent = [one for one in minutes if this_minute - LOOK_BACK_MINUTES < one.minute <= this_minute and one.finished]
    if not recent:
        return None
    began = max(min(one.minute for one in recent) * 60.0, since.timestamp())
    return sum(one.finished for one in recent) / max(1.0, now.timestamp() - began)


def ahead(mine: Open, everybody: Iterable[Open]) -> int:
    """Return how many requests of other batches come before the last one of this batch."""
    workspaces: dict[str, int] = {}
    within = 0
    for other in everybody:
        if other.workspace == mine.workspace:
            within += min(other.requests, mine.requests) if other.batch != mine.batch else 0
        else:
            workspaces[other.workspace] = workspaces.get(other.workspace, 0) + other.requests
    turn = mine.requests + within
    return within + sum(min(requests, turn) for requests in workspaces.values())


def forecast(
    batch: Batch, everybody: Sequence[Open], speed: float | None, now: datetime, held: Sequence[Wait] = ()
) -> Forecast:
    """Return the forecast of a batch; ``held`` says what keeps each of its models from running, if all are kept."""
    remaining = batch.counts.processing
    if batch.status is Status.ENDED:
        return Forecast(speed, 0, 0, None, "none")
    if batch.closing is not None:
        why = "it is being canceled" if batch.closing is Closing.CANCELED else "its time is over"
        return Forecast(speed, remaining, 0, None, "none", (f"{why}: only calls in flight are waited for",))
    before = ahead(Open(batch.id, batch.workspace, remaining), everybody)
    waits = (("it is paused",) if batch.paused else ()) + tuple(dict.fromkeys(wait.reason for wait in held))
    begins_at = _begins_at(batch, held, now)
    if begins_at is None or not speed:
        risk = "late" if (begins_at or now) >= batch.expires_at else "unknown"
        return Forecast(speed, remaining, before, None, risk, waits)
    seconds = (begins_at - now).total_seconds() + (before + remaining) / speed
    left = (batch.expires_at - now).total_seconds()
    risk = "late" if seconds > left else "tight" if seconds > TIGHT * left else "none"
    try:
        done_at = now + timedelta(seconds=seconds)
    except OverflowError:  # after the year 9999
        return Forecast(speed, remaining, before, None, "late", waits)
    return Forecast(speed, remaining, before, done_at, risk, waits)


def _begins_at(batch: Batch, held: Sequence[Wait], now: datetime) -> datetime | None:
    """Return when requests of the batch are sent: now, or when the first of its models may run; None: nobody knows."""
    if batch.paused:
        return None
    if not held:
        return now
    return min((max(now, wait.until) for wait in held if wait.until is not None), default=None)
