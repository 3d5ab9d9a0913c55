"""What was used and what it costs, beside the wire: ``GET /batchyard/v1/usage``, as JSON or CSV."""

import asyncio
import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import msgspec

from batchyard.domain.errors import InvalidRequest
from batchyard.domain.pricing import Cost, Price, cost, total
from batchyard.domain.usage import NO_USAGE, Used
from batchyard.ports import Clock, Prices, Views
from batchyard.web.calls import Answer, ApiCall

CSV = "text/csv; charset=utf-8"
USUAL_DAYS = 30
LONGEST_DAYS = 3660
MOST_ON_LOOP = 1000
"""Rows that take some milliseconds; more of them are made into an answer beside the event loop."""
TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_encode = msgspec.json.Encoder().encode


class Usages:
    """Implements the path."""

    def __init__(self, views: Views, prices: Prices, clock: Clock) -> None:
        self._views, self._prices, self._clock = views, prices, clock

    async def usage(self, call: ApiCall, *, everybody: bool = False) -> Answer:
        """Rows by day, workspace and model; by batch too with ``by=batch``. ``everybody``: of all workspaces."""
        first, last = self._days(call)
        by_batch = _choice(call, "by", ("model", "batch")) == "batch"
        form = _choice(call, "format", ("json", "csv"))
        rows = await self._views.usage(None if everybody else call.workspace, first, last, by_batch=by_batch)
        prices = await self._prices.of({row.model for row in rows})
        if form == "csv":
            name = f"batchyard-usage-{first}-{last}.csv"
            headers = (("content-disposition", f'attachment; filename="{name}"'),)
            table = await _off_loop(rows, lambda: _csv(rows, prices, by_batch=by_batch))
            return Answer(table, media_type=CSV, headers=headers)
        head = {"from": first, "to": last, "currency": "USD"}
        return Answer(await _off_loop(rows, lambda: _json(head, rows, prices, by_batch=by_batch)))

    def _days(self, call: ApiCall) -> tuple[date, date]:
        last = _day(call, "to") or self._clock.now().date()
        first = _day(call, "from") or last - timedelta(days=min(USUAL_DAYS - 1, (last - date.min).days))
        if first > last:
            raise InvalidRequest("from: must not be after to.")
        if (last - first).days >= LONGEST_DAYS:
            raise InvalidRequest(f"from: at most {LONGEST_DAYS} days can be asked for at once.")
        return first, last


def usage_row(row: Used, prices: Mapping[str, Price | None], *, by_batch: bool) -> dict[str, Any]:
    """Return one row as it is shown; costs are null where no price is known."""
    paid = cost(row.requests, row.usage, prices[row.model])
    return {
        "day": row.day,
        "workspace": row.workspace,
        "model": row.model,
        **({"batch": row.batch or None} if by_batch else {}),
        "requests": row.requests,
        **{name: getattr(row.usage, name) for name in TOKENS},
        "standard_cost": None if paid.unpriced else dollars(paid.standard),
        "batch_cost": None if paid.unpriced else dollars(paid.batch),
    }


def usage_total(rows: Sequence[Used], prices: Mapping[str, Price | None]) -> dict[str, Any]:
    """Return the sums; answers of models without a price are counted apart."""
    paid = total(cost(row.requests, row.usage, prices[row.model]) for row in rows)
    usage = sum((row.usage for row in rows), NO_USAGE)
    return {
        "requests": sum(row.requests for row in rows),
        **{name: getattr(usage, name) for name in TOKENS},
        **cost_members(paid),
    }


def cost_members(paid: Cost) -> dict[str, Any]:
    """Return a sum of costs as it is shown."""
    return {
        "standard_cost": dollars(paid.standard),
        "batch_cost": dollars(paid.batch),
        "unpriced_requests": paid.unpriced,
    }


def dollars(amount: float) -> float:
    """Return US dollars to the millionth: one token of a cheap model."""
    return round(amount, 6)


async def _off_loop(rows: Sequence[Used], work: Callable[[], bytes]) -> bytes:
    """Return what the work on these rows comes to. A client makes them many: one for each batch, model and day."""
    return work() if len(rows) <= MOST_ON_LOOP else await asyncio.to_thread(work)


def _json(
    head: Mapping[str, Any], rows: Sequence[Used], prices: Mapping[str, Price | None], *, by_batch: bool
) -> bytes:
    """Return the answer, encoded row by row: no step keeps the interpreter for long."""
    data = b",".join(_encode(usage_row(row, prices, by_batch=by_batch)) for row in rows)
    return b'%b,"data":[%b],"total":%b}' % (_encode(head)[:-1], data, _encode(usage_total(rows, prices)))


def _csv(rows: Sequence[Used], prices: Mapping[str, Price | None], *, by_batch: bool) -> bytes:
    text = io.StringIO()
    names = ["day", "workspace", "model", *(["batch"] if by_batch else []), "requests", *TOKENS]
    writer = csv.DictWriter(text, [*names, "standard_cost", "batch_cost"])
    writer.writeheader()
    for row in rows:
        shown = usage_row(row, prices, by_batch=by_batch)
        writer.writerow({name: _cell(value) for name, value in shown.items()})
    return text.getvalue().encode()


def _cell(value: object) -> object:
    """Spreadsheets take text that begins like a formula for one, and clients choose the names of models."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _choice(call: ApiCall, name: str, words: tuple[str, ...]) -> str:
    word = call.query(name)
    if word is None:
        return words[0]
    if word not in words:
        raise InvalidRequest(f"{name}: Input should be {' or '.join(words)}")
    return word


def _day(call: ApiCall, name: str) -> date | None:
    text = call.query(name)
    if text is None:
        return None
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{name}: Input should be a day such as 2026-01-31") from None
