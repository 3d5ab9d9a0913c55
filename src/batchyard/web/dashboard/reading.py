"""The pages of a batch's requests: the list, what went wrong, and one request with its answer."""

import asyncio
import binascii
from base64 import b64decode
from datetime import timedelta

import msgspec

from batchyard import wire
from batchyard.domain.batch import Batch, Status
from batchyard.domain.errors import NotFound
from batchyard.domain.ledger import OPEN
from batchyard.ports import Batches
from batchyard.web.batches import known_form
from batchyard.web.calls import Answer
from batchyard.web.dashboard import viewer
from batchyard.web.dashboard.files import Saved
from batchyard.web.dashboard.glance import FATES
from batchyard.web.dashboard.pages import Pages, Visit
from batchyard.web.dashboard.problems import ProblemBook
from batchyard.web.dashboard.requests import Requests, Seen

ROWS = 100
PICTURES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
}
"""Types that are shown, and what their bytes begin with: nothing else is handed to a browser as a picture."""
PICTURE_HEADERS = (
    ("content-security-policy", "default-src 'none'; sandbox"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
)


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Envelope(msgspec.Struct):
    error: _Error
    request_id: str | None = None


class _Errored(msgspec.Struct):
    error: _Envelope


class RequestPages:
    """Everything below ``/batches/{id}/`` that shows requests."""

    def __init__(self, batches: Batches, requests: Requests, problems: ProblemBook, pages: Pages) -> None:
        self._batches, self._requests, self._problems, self._pages = batches, requests, problems, pages

    async def list(self, visit: Visit, batch_id: str) -> Answer:
        """Show the requests of a batch, those of one fate once it has ended."""
        batch = await self._batches.get(visit.workspace, known_form(batch_id))
        fate = visit.query("fate") or ""
        fate = fate if fate in FATES and batch.status is Status.ENDED else ""
        first = _number(visit.query("first"))
        lines, more = await self._requests.page(batch, first, ROWS, fate)
        values = {
            "batch": batch,
            "title": batch.labels.name or batch.id,
            "lines": lines,
            "fate": fate,
            "fates": [fate for fate in FATES if getattr(batch.counts, fate)],
            "first": first,
            "earlier": max(0, first - ROWS) if first else None,
            "later": first + ROWS if more else None,
        }
        return self._pages.page(visit, "requests.html", values)

    async def problems(self, visit: Visit, batch_id: str) -> Answer:
        """Show the errors of a batch by type: a part of its page, which asks for it by itself."""
        batch = await self._batches.get(visit.workspace, known_form(batch_id))
        found = await self._problems.of(batch) if batch.counts.errored else None
        return self._pages.page(visit, "_problems.html", {"batch": batch, "problems": found})

    async def one(self, visit: Visit, batch_id: str) -> Answer:
        """Show a request: what was asked, what was answered, and every attempt."""
        batch, seen = await self._requests.one(visit.workspace, batch_id, visit.query("custom_id") or "")
        values = await asyncio.to_thread(_values, batch, seen)
        return self._pages.page(visit, "request.html", values)

    async def picture(self, visit: Visit, batch_id: str) -> Answer:
        """Return a picture that a request holds."""
        _, seen = await self._requests.one(visit.workspace, batch_id, visit.query("custom_id") or "")
        media_type, held = await asyncio.to_thread(_picture, seen.params or b"", _number(visit.query("number")))
        return Answer(held, 200, media_type, PICTURE_HEADERS)

    async def params(self, visit: Visit, batch_id: str) -> Saved:
        """Return the params as they were sent."""
        _, seen = await self._requests.one(visit.workspace, batch_id, visit.query("custom_id") or "")
        if seen.params is None:
            raise NotFound("The params of this request are not kept.")
        return Saved(Answer(seen.params, 200, wire.JSON), "params.json")

    async def result(self, visit: Visit, batch_id: str) -> Saved:
        """Return the result as its line has it."""
        _, seen = await self._requests.one(visit.workspace, batch_id, visit.query("custom_id") or "")
        if seen.result is None:
            raise NotFound("This request has no result yet.")
        return Saved(Answer(seen.result, 200, wire.JSON), "result.json")


def _values(batch: Batch, seen: Seen) -> dict[str, object]:
    result, fate = seen.result or b"", seen.line.result
    error = msgspec.json.decode(result, type=_Errored).error if fate == "errored" else None
    message = result.partition(b'"message":')[2][:-1] if fate == "succeeded" else None
    spent = sum((each.ended_at - each.started_at for each in seen.line.traces), timedelta())
    return {
        "batch": batch,
        "title": batch.labels.name or batch.id,
        "line": seen.line,
        "is_open": seen.line.result == OPEN,
        "asked": None if seen.params is None else viewer.request(seen.params),
        "size": len(seen.params or b""),
        "answered": None if message is None else viewer.answer(message),
        "error": error,
        "spent": spent,
    }


def _picture(params: bytes, number: int) -> tuple[str, bytes]:
    pictures = viewer.request(params).pictures
    if number >= len(pictures):
        raise NotFound("This request has no such picture.")
    picture = pictures[number]
    try:
        held = b64decode(picture.base64, validate=True)
    except binascii.Error:
        held = b""
    begin = PICTURES.get(picture.media_type)
    if begin is None or not held.startswith(begin):
        raise NotFound("This picture is of no type that is shown: PNG, JPEG, GIF or WebP.")
    return picture.media_type, held


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else 0
