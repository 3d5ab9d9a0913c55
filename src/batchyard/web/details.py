"""What a batch is beside the wire: its name and labels, what it used, when it will be done.

GET  /batchyard/v1/batches               search
GET  /batchyard/v1/batches/{id}          one, with its forecast
POST /batchyard/v1/batches/{id}/labels   name and label it
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from batchyard import wire
from batchyard.domain.batch import Batch, Status
from batchyard.domain.errors import InvalidRequest
from batchyard.domain.forecast import LOOK_BACK_MINUTES, Forecast, Wait, forecast, rate
from batchyard.domain.labels import Wanted, parse_pair
from batchyard.domain.pricing import Price, cost, total
from batchyard.domain.usage import NO_USAGE, Used
from batchyard.ports import Batches, Clock, Page, Prices, Ready, Views, Work
from batchyard.web.batches import cursor, known_form
from batchyard.web.bodies import Bodies
from batchyard.web.calls import Answer, ApiCall, page_limit
from batchyard.web.outlook import Outlook
from batchyard.web.usage import TOKENS, cost_members

LARGEST_LABELS = 64 * 1024
_encode = msgspec.json.Encoder().encode


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    name: str | None = None
    labels: dict[str, str | None] = {}


_decode_change = msgspec.json.Decoder(_Change).decode


class Details:
    """Implements these paths. Forecasts look at what may be leased of every workspace."""

    def __init__(
        self,
        batches: Batches,
        work: Work,
        views: Views,
        prices: Prices,
        clock: Clock,
        *,
        waits: Callable[[str], Wait | None],
    ) -> None:
        self._batches, self._views, self._waits = batches, views, waits
        self._outlook = Outlook(work, clock)
        self._prices, self._clock = prices, clock
        self._bodies = Bodies(LARGEST_LABELS)

    async def page(self, call: ApiCall) -> Answer:
        page = await self.search(call)
        shown = [{"batch": wire.batch_object(batch, call.base_url), **members(batch)} for batch in page.batches]
        for each, used in zip(shown, await self.used(call.workspace, page.batches), strict=True):
            each["usage"] = used
        first, last = (page.batches[0].id, page.batches[-1].id) if page.batches else (None, None)
        return Answer(_encode({"data": shown, "has_more": page.has_more, "first_id": first, "last_id": last}))

    async def search(self, call: ApiCall) -> Page:
        """Return the batches that the query of a call looks for."""
        status = call.query("status")
        if status is not None and status not in set(Status):
            raise InvalidRequest(f"status: Input should be {', '.join(Status)}")
        pairs = [parse_pair(text) for text in call.queries("label")]
        wanted = Wanted(status, (call.query("q") or "").strip(), pairs)
        wanted.check()
        after, before = cursor(call, "after_id"), cursor(call, "before_id")
        return await self._views.search(call.workspace, wanted, after=after, before=before, limit=page_limit(call))

    async def one(self, call: ApiCall, batch_id: str) -> Answer:
        batch = await self._batches.get(call.workspace, known_form(batch_id))
        return Answer(await self._json(call, batch))

    async def label(self, call: ApiCall, batch_id: str) -> Answer:
        """Set the name, where one is given, and those labels that are; null removes one."""
        await self._batches.get(call.workspace, known_form(batch_id))  # nothing is read for what is not theirs
        async with self._bodies.read(call) as body:
            try:
                change = _decode_change(body)
            except msgspec.MsgspecError as wrong:
                raise InvalidRequest(f"body: {wrong}") from None
            except (UnicodeDecodeError, RecursionError):
                raise InvalidRequest("body: it must be a JSON object with name and labels.") from None
        batch = await self._views.label(call.workspace, batch_id, change.name, change.labels)
        return Answer(await self._json(call, batch))

    async def _json(self, call: ApiCall, batch: Batch) -> bytes:
        [used] = await self.used(call.workspace, [batch])
        told = forecast_members(await self.forecast(batch))
        whole = {"batch": wire.batch_object(batch, call.base_url), **members(batch), "usage": used, "forecast": told}
        return _encode(whole)

    async def forecast(self, batch: Batch) -> Forecast:
        """Return when the batch will be done, as things stand."""
        [told] = await self.forecasts([batch])
        return told

    async def forecasts(self, batches: Sequence[Batch]) -> list[Forecast]:
        """Return it of several batches, from one look at what is open."""
        now = self._clock.now()
        if all(batch.status is Status.ENDED for batch in batches):
            return [forecast(batch, [], None, now) for batch in batches]
        seen = await self._outlook.look()
        minute = int(now.timestamp()) // 60
        recent = await self._views.minutes(None, minute - LOOK_BACK_MINUTES)
        since = seen.since or min(batch.created_at for batch in batches)
        speed = rate(recent, now, since)
        told = []
        for batch in batches:
            waits = self._held(seen.of_batch.get(batch.id, []), now)
            told.append(forecast(batch, seen.everybody, speed, now, waits))
            await asyncio.sleep(0)  # each goes through all that is open
        return told

    def _held(self, pending: Sequence[Ready], now: datetime) -> list[Wait]:
        """Return why each model's requests of a batch wait; nothing where those of one do not."""
        waits = [self._waits(one.model) or _put_off(one, now) for one in pending]
        held = [wait for wait in waits if wait is not None]
        return held if len(held) == len(waits) else []

    async def used(self, workspace: str, batches: Sequence[Batch]) -> list[dict[str, Any]]:
        """Return what each of the batches used, and what that costs."""
        rows = await self._views.batch_usage(workspace, [batch.id for batch in batches])
        prices = await self._prices.of({row.model for row in rows})
        of: dict[str, list[Used]] = {batch.id: [] for batch in batches}
        for row in rows:
            of[row.batch].append(row)
        return [_used(of[batch.id], prices) for batch in batches]


def _put_off(one: Ready, now: datetime) -> Wait | None:
    if one.next_ready_at <= now:
        return None
    return Wait("what is left of it failed, and is tried again later", one.next_ready_at)


def members(batch: Batch) -> dict[str, Any]:
    """Return what a batch is beside its ten members."""
    return {"name": batch.labels.name, "labels": dict(batch.labels.pairs), "paused": batch.paused}


def _used(rows: Sequence[Used], prices: Mapping[str, Price | None]) -> dict[str, Any]:
    usage = sum((row.usage for row in rows), NO_USAGE)
    paid = total(cost(row.requests, row.usage, prices[row.model]) for row in rows)
    return {
        "requests": sum(row.requests for row in rows),
        **{name: getattr(usage, name) for name in TOKENS},
        **cost_members(paid),
    }


def forecast_members(told: Forecast) -> dict[str, Any]:
    """Return a forecast as it is shown."""
    return {
        "requests_per_second": None if told.rate is None else round(told.rate, 3),
        "remaining": told.remaining,
        "requests_ahead": told.ahead,
        "done_at": _moment(told.done_at),
        "deadline_risk": told.risk,
        "waits_for": list(told.waits_for),
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else wire.timestamp(moment)
