"""The requests of a batch, running or ended: page by page, or one by its custom_id with params, attempts and result."""

import zlib
from dataclasses import dataclass
from datetime import datetime

import msgspec

from batchyard import wire
from batchyard.domain.batch import Batch, Status
from batchyard.domain.errors import NotFound
from batchyard.domain.ledger import OPEN
from batchyard.domain.request import ParamsAt
from batchyard.domain.result import kind
from batchyard.ports import Batches, Blobs, Damaged, Final, Views
from batchyard.web.batches import known_form
from batchyard.web.sealed import SealedFiles


class Attempt(msgspec.Struct, array_like=True, frozen=True):
    """One line of a request's history."""

    outcome: str
    started_at: datetime
    ended_at: datetime
    reason: str = ""


class Line(msgspec.Struct, frozen=True):
    """A request as the attempt ledger has it."""

    seq: int
    custom_id: str
    result: str
    attempts: int
    paid: int
    deaths: int
    traces: list[Attempt] = []
    possible_duplicate: bool = False


_decode = msgspec.json.Decoder(Line).decode


@dataclass(frozen=True, slots=True)
class Seen:
    """One request. ``result`` is the JSON of its line's ``result``; ``params`` its own bytes, None where its batch
    ended under a version that did not note where they lie."""

    line: Line
    result: bytes | None
    params: bytes | None


class Requests:
    """Reads them: from the store while the batch runs, from its files once it has ended."""

    def __init__(self, batches: Batches, views: Views, files: SealedFiles, blobs: Blobs) -> None:
        self._batches, self._views, self._files, self._blobs = batches, views, files, blobs

    async def page(self, batch: Batch, first: int, limit: int, fate: str) -> tuple[list[Line], bool]:
        """Return requests from the ``first`` of that fate on (any fate where it is empty), and whether there are more.

        A batch that runs is shown by place alone.
        """
        if batch.status is not Status.ENDED:
            rows = await self._views.rows(batch.workspace, batch.id, first=first, limit=limit)
            return [_line(row) for row in rows], first + len(rows) < batch.counts.total and bool(rows)
        sealed = await self._files.sealed(batch)
        mark, passed, found = b'"result":"%b"' % fate.encode(), 0, list[Line]()
        async for lines in self._files.lines(batch, sealed.ledger):
            for line in lines:
                if fate and mark not in line:
                    continue
                passed += 1
                if passed > first + limit:
                    return found, True
                if passed > first:
                    found.append(_decode(line))
        return found, False

    async def one(self, workspace: str, batch_id: str, custom_id: str) -> tuple[Batch, Seen]:
        """Return a request and its batch; raise ``NotFound``."""
        batch = await self._batches.get(workspace, known_form(batch_id))
        if batch.status is not Status.ENDED:
            seen = await self._running(batch, custom_id)
            if seen is not None:
                return batch, seen
            batch = await self._batches.get(workspace, batch_id)  # it may have ended between the two looks
        seen = await self._ended(batch, custom_id) if batch.status is Status.ENDED else None
        if seen is None:
            raise NotFound(f"Message Batch {batch.id} has no request with the custom_id {custom_id[:100]}.")
        return batch, seen

    async def _running(self, batch: Batch, custom_id: str) -> Seen | None:
        place = await self._views.place(batch.workspace, batch.id, custom_id)
        rows = [] if place is None else await self._views.rows(batch.workspace, batch.id, first=place, limit=1)
        if not rows or rows[0].custom_id != custom_id:
            return None
        result = wire.result_line(custom_id, rows[0].result) if rows[0].arrival else None
        params = await self._params(batch, rows[0].params)
        return Seen(_line(rows[0]), None if result is None else _result(result), params)

    async def _ended(self, batch: Batch, custom_id: str) -> Seen | None:
        sealed = await self._files.sealed(batch)
        entry = await self._files.find(batch, custom_id)
        if entry is None:
            return None
        reader = await self._files.open(batch, sealed.results)
        try:
            line = await reader.read(entry.offset, entry.length)
        except Damaged as damage:
            raise self._files.damaged(batch, sealed.results, damage) from damage
        finally:
            reader.close()
        params = None if entry.params is None else await self._params(batch, entry.params)
        return Seen(await self._ledger_line(batch, entry.seq), _result(line), params)

    async def _ledger_line(self, batch: Batch, seq: int) -> Line:
        sealed, first = await self._files.sealed(batch), 0
        async for lines in self._files.lines(batch, sealed.ledger):
            if seq < first + len(lines):
                return _decode(lines[seq - first])
            first += len(lines)
        raise self._files.damaged(batch, sealed.ledger, Damaged("it has fewer lines than the batch has requests"))

    async def _params(self, batch: Batch, at: ParamsAt) -> bytes:
        try:
            params = await self._blobs.read(at.blob, at.offset, at.length)
            if zlib.crc32(params) != at.crc:
                raise Damaged("the stored params fail their checksum")
        except Damaged as damage:
            await self._batches.get(batch.workspace, batch.id)  # deleted meanwhile: then it is not found, not damaged
            raise self._files.damaged(batch, at.blob, damage) from damage
        return params


def _result(line: bytes) -> bytes:
    """Return the last member of a result line as it stands: a Message may have a shape that no decoder takes."""
    return line.partition(b',"result":')[2].rstrip()[:-1]


def _line(final: Final) -> Line:
    return Line(
        final.seq,
        final.custom_id,
        kind(final.result) if final.arrival else OPEN,
        final.attempts,
        final.paid,
        final.deaths,
        [Attempt(trace.outcome, trace.started_at, trace.ended_at, trace.reason) for trace in final.traces],
        final.paid > 0,
    )
