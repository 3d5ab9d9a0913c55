"""Results: the sealed file of a batch, whole or a range of it, the same bytes on every read."""

import re
from typing import NoReturn

from batchyard import wire
from batchyard.domain.batch import Batch, Sealed
from batchyard.domain.errors import NotFound
from batchyard.domain.events import DamageFound, Emit
from batchyard.ports import Batches, Blobs, Damaged
from batchyard.web.batches import known_form
from batchyard.web.calls import ApiCall, Bare, Refusal, Sendable
from batchyard.web.downloads import Download, Span
from batchyard.web.settings import WebSettings

_RANGE = re.compile(r"bytes=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*\Z", re.ASCII | re.IGNORECASE)


class Results:
    """``GET /v1/messages/batches/{id}/results``."""

    def __init__(self, batches: Batches, blobs: Blobs, emit: Emit, settings: WebSettings) -> None:
        self._batches = batches
        self._blobs = blobs
        self._emit = emit
        self._settings = settings

    async def results(self, call: ApiCall, batch_id: str) -> Sendable:
        batch = await self._batches.get(call.workspace, known_form(batch_id))
        if not batch.has_results or batch.sealed is None:
            raise NotFound(f"Message Batch {batch.id} has no available results.")
        etag = f'"{batch.sealed.sha256}"'
        name = f'attachment; filename="{batch.id}_results.jsonl"'  # never shown as a page of ours
        headers = (("etag", etag), ("accept-ranges", "bytes"), ("content-disposition", name))
        if _matches(call.headers.get("if-none-match"), etag):
            return Bare(304, wire.JSONL, None, headers)
        span = chosen_range(call, batch.sealed.size, etag)
        if call.method == "HEAD":
            return Bare(200, wire.JSONL, batch.sealed.size, headers)
        return await self._download(batch, batch.sealed, span, headers)

    async def _download(
        self, batch: Batch, sealed: Sealed, span: Span | None, headers: tuple[tuple[str, str], ...]
    ) -> Download:
        """Open the file and read its first part, so that damage found at once is an error and not a cut."""
        first, end = (span.first, span.end) if span else (0, sealed.size)
        try:
            reader = await self._blobs.open(sealed.results)
        except Damaged as damage:
            await self._batches.get(batch.workspace, batch.id)  # deleted meanwhile: then it is not found, not damaged
            self._report(batch, sealed, damage)
        if reader.size != sealed.size:
            reader.close()
            self._report(batch, sealed, Damaged(f"it has {reader.size} bytes, not {sealed.size}"))
        try:
            chunk = await reader.read(first, min(self._settings.read_bytes, end - first))
        except BaseException as error:
            reader.close()
            if isinstance(error, Damaged):
                self._report(batch, sealed, error)
            raise
        shown = (sealed.results, sealed.size)
        return Download(self._batches, self._emit, self._settings, batch, *shown, reader, chunk, span, headers)

    def _report(self, batch: Batch, sealed: Sealed, damage: Damaged) -> NoReturn:
        self._emit(DamageFound(sealed.results, str(damage)))
        raise DamagedResults(batch.id) from damage


class DamagedResults(Refusal):
    """Nothing that the caller can mend, nor a retry."""

    type = "api_error"

    def __init__(self, batch_id: str) -> None:
        message = f"The stored results of Message Batch {batch_id} are damaged; nothing of them was sent."
        super().__init__(500, message, [("x-should-retry", "false")])


def chosen_range(call: ApiCall, size: int, etag: str) -> Span | None:
    """Return the one range that is asked for, None for the whole; raise 416 where it lies behind the end.

    Several ranges, other units and what cannot be read get the whole, as does a range of another version.
    """
    match = _RANGE.match(call.headers.get("range", "").strip()) if call.method == "GET" else None
    condition = call.headers.get("if-range")
    if match is None or not (match[1] or match[2]) or (condition is not None and condition.strip() != etag):
        return None
    if not match[1]:
        first, end = max(0, size - int(match[2])), size
    else:
        first, end = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
        if match[2] and int(match[2]) < first:
            return None
    if first >= size:
        raise Refusal(416, "range: it lies behind the end of the results.", [("content-range", f"bytes */{size}")])
    return Span(first, end)


def _matches(condition: str | None, etag: str) -> bool:
    if condition is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return "*" in tags or etag in tags
