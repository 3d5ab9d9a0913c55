"""What went wrong in a batch: its errors by type and words, with some of the requests that met each."""

import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from batchyard.domain.batch import Batch, Status
from batchyard.domain.result import Errored
from batchyard.ports import Damaged, Views
from batchyard.web.sealed import ResultLines, SealedFiles

MOST_READ = 2000
"""Errors that are looked at, the first ones: a batch may have 100,000."""
SAMPLES = 5
MOST_GROUPS = 50
BATCHES_KEPT = 64
_NUMBERS = re.compile(r"\d+")


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Envelope(msgspec.Struct):
    error: _Error


class _Result(msgspec.Struct):
    error: _Envelope


class _Line(msgspec.Struct):
    custom_id: str
    result: _Result


_decode = msgspec.json.Decoder(_Line).decode


@dataclass(slots=True)
class Problem:
    """Errors of one type whose messages differ in nothing but numbers. ``samples`` are custom_ids."""

    type: str
    message: str
    count: int = 0
    samples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Problems:
    """The groups, the largest first, of the first ``read`` errors."""

    groups: Sequence[Problem]
    read: int


class ProblemBook:
    """Finds them. What a batch that has ended met changes no more, and is remembered for a while."""

    def __init__(self, views: Views, files: SealedFiles) -> None:
        self._views, self._files = views, files
        self._known: OrderedDict[str, Problems] = OrderedDict()

    async def of(self, batch: Batch) -> Problems:
        """Return the problems of a batch."""
        if batch.status is not Status.ENDED:
            came = await self._views.errors(batch.workspace, batch.id, limit=MOST_READ)
            return grouped(
                (one.custom_id, one.result.error.type, one.result.error.message)
                for one in came
                if isinstance(one.result, Errored)
            )
        sealed = await self._files.sealed(batch)
        if sealed.results not in self._known:
            self._known[sealed.results] = grouped([error async for error in self._sealed(batch)])
            if len(self._known) > BATCHES_KEPT:
                self._known.popitem(last=False)
        return self._known[sealed.results]

    async def _sealed(self, batch: Batch) -> AsyncIterator[tuple[str, str, str]]:
        sealed, seq, wanted = await self._files.sealed(batch), 0, set[int]()
        async for part in self._files.lines(batch, sealed.ledger):
            wanted.update(at for at, line in enumerate(part, seq) if b'"result":"errored"' in line)
            seq += len(part)
            if len(wanted) >= MOST_READ:
                break
        reader = await self._files.open(batch, sealed.results)
        try:
            lines = ResultLines(reader)
            for entry in (await self._files.chosen(batch, wanted))[:MOST_READ]:
                line = _decode(await lines.line(entry.offset, entry.length))
                error = line.result.error.error
                yield line.custom_id, error.type, error.message
        except Damaged as damage:
            raise self._files.damaged(batch, sealed.results, damage) from damage
        finally:
            reader.close()


def grouped(errors: Iterable[tuple[str, str, str]]) -> Problems:
    """Return the groups of these errors: custom_id, type and message of each."""
    groups: dict[tuple[str, str], Problem] = {}
    read = 0
    for custom_id, kind, message in errors:
        read += 1
        key = (kind, _NUMBERS.sub("0", message[:300]))
        if key not in groups and len(groups) >= MOST_GROUPS:
            key = (kind, "")
        group = groups.setdefault(key, Problem(kind, message[:1000] if key[1] else "(other messages)"))
        group.count += 1
        if len(group.samples) < SAMPLES:
            group.samples.append(custom_id)
    return Problems(sorted(groups.values(), key=lambda group: -group.count), read)
