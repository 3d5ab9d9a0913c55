"""The files of an ended batch as people look into them: its index, its ledger, its results in the order of arrival.

The index has a line for each request: custom_id, place and length of its result line, arrival; and where its params
lie, in files sealed by versions that note it.
"""

import asyncio
from array import array
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass, field

import msgspec

from batchyard.domain.batch import Batch, Sealed
from batchyard.domain.errors import NotFound
from batchyard.domain.events import DamageFound, Emit
from batchyard.domain.request import ParamsAt
from batchyard.ports import Batches, BlobReader, Blobs, Damaged
from batchyard.web.results import DamagedResults

PART = 256 * 1024
"""Bytes of a file that are read at once."""
PARTS_KEPT = 8
"""Parts of the results that are held: requests that ran together have their lines near each other."""
_decode = msgspec.json.Decoder(list[str | int]).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the index. ``params`` is None in files of versions that did not note it."""

    seq: int
    custom_id: str
    offset: int
    length: int
    arrival: int
    params: ParamsAt | None


class SealedFiles:
    """Opens the files of ended batches; damage is told once, and is no answer."""

    def __init__(self, batches: Batches, blobs: Blobs, emit: Emit) -> None:
        self._batches, self._blobs, self._emit = batches, blobs, emit

    async def sealed(self, batch: Batch) -> Sealed:
        """Return the files' names; raise ``NotFound`` where they are gone."""
        if batch.sealed is None:
            raise NotFound(f"Message Batch {batch.id} has no available results.")
        return batch.sealed

    async def open(self, batch: Batch, name: str) -> BlobReader:
        """Open a file of the batch."""
        try:
            return await self._blobs.open(name)
        except Damaged as damage:
            await self._batches.get(batch.workspace, batch.id)  # deleted meanwhile: then it is not found, not damaged
            raise self.damaged(batch, name, damage) from damage

    def damaged(self, batch: Batch, name: str, damage: Damaged) -> DamagedResults:
        """Tell of the damage, and return what the caller is told."""
        self._emit(DamageFound(name, str(damage)))
        return DamagedResults(batch.id)

    async def lines(self, batch: Batch, name: str) -> AsyncIterator[list[bytes]]:
        """Yield the lines of a file, many at a time."""
        reader = await self.open(batch, name)
        try:
            at, rest = 0, b""
            while at < reader.size:
                part = await reader.read(at, min(PART, reader.size - at))
                at += len(part)
                *whole, rest = (rest + part).split(b"\n")
                yield whole
        except Damaged as damage:
            raise self.damaged(batch, name, damage) from damage
        finally:
            reader.close()

    async def index(self, batch: Batch) -> AsyncIterator[list[Entry]]:
        """Yield the entries of the index, many at a time, decoded beside the loop."""
        sealed, first = await self.sealed(batch), 0
        async for lines in self.lines(batch, sealed.index):
            yield await asyncio.to_thread(lambda: list(_entries(lines, first, batch.body)))  # noqa: B023 awaited here
            first += len(lines)

    async def find(self, batch: Batch, custom_id: str) -> Entry | None:
        """Return the entry of a request; None if there is none."""
        sealed, first = await self.sealed(batch), 0
        begin = _encode([custom_id])[:-1] + b","
        async for lines in self.lines(batch, sealed.index):
            for seq, line in enumerate(lines, first):
                if line.startswith(begin):
                    return next(_entries([line], seq, batch.body))
            first += len(lines)
        return None

    async def chosen(self, batch: Batch, wanted: Collection[int]) -> list[Entry]:
        """Return the entries of these requests, in their order; others are not decoded."""
        sealed, first, found = await self.sealed(batch), 0, list[Entry]()
        async for lines in self.lines(batch, sealed.index):
            places = [seq for seq in range(first, first + len(lines)) if seq in wanted]
            found += [entry for seq in places for entry in _entries([lines[seq - first]], seq, batch.body)]
            first += len(lines)
        return found


def _entries(lines: list[bytes], first: int, body: str) -> Iterator[Entry]:
    for seq, line in enumerate(lines, first):
        custom_id, offset, length, arrival, *params = _decode(line)
        assert isinstance(offset, int)
        assert isinstance(length, int)
        assert isinstance(arrival, int)
        at = ParamsAt(body, *map(int, params)) if params else None
        yield Entry(seq, str(custom_id), offset, length, arrival, at)


@dataclass(slots=True)
class ArrivalOrder:
    """Where the result lines lie, in the order in which the results came; those that never came last, in theirs."""

    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    lengths: "array[int]" = field(default_factory=lambda: array("q"))
    arrivals: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, entries: list[Entry]) -> None:
        """Take the next entries of the index."""
        for entry in entries:
            self.offsets.append(entry.offset)
            self.lengths.append(entry.length)
            self.arrivals.append(entry.arrival)

    def places(self) -> "array[int]":
        """Return the requests in that order."""
        last = len(self.arrivals)
        return array("q", sorted(range(last), key=lambda seq: (self.arrivals[seq] or last + 1, seq)))


class ResultLines:
    """Reads lines of a results file anywhere, with some of what was read before kept."""

    def __init__(self, reader: BlobReader) -> None:
        self._reader = reader
        self._parts: OrderedDict[int, bytes] = OrderedDict()

    async def line(self, offset: int, length: int) -> bytes:
        """Return the line, with its newline. Raises ``Damaged``."""
        if length > PART:
            return await self._reader.read(offset, length)
        first = offset // PART
        found = await self._part(first)
        start = offset - first * PART
        if start + length > PART:
            found += await self._part(first + 1)
        return found[start : start + length]

    async def _part(self, number: int) -> bytes:
        if number in self._parts:
            self._parts.move_to_end(number)
            return self._parts[number]
        start = number * PART
        part = await self._reader.read(start, min(PART, self._reader.size - start))
        self._parts[number] = part
        if len(self._parts) > PARTS_KEPT:
            self._parts.popitem(last=False)
        return part
