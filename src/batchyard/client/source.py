"""The input of a job: checked whole before anything is sent, and cut into parts that fit one batch each.

A part is a run of lines ``{"custom_id": …, "params": {…}}``; its body is written from the file again for each create,
so that memory holds 16 bytes of each request at most, and never params.
"""

import hashlib
import heapq
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from batchyard.client.errors import BadInput, WrongUse
from batchyard.client.limits import HEAD, TAIL, Cutter, Limits, Part
from batchyard.client.lines import BLOCK, custom_id_of, judged, read_lines
from batchyard.client.params import Notes
from batchyard.client.seen import Seen

MOST_PROBLEMS = 20

Numbered = tuple[int, bytes | ValueError]
"""A line of requests with the number that people know it by; or what is wrong there."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole input: its parts in order, and the hash that knows it again."""

    parts: tuple[Part, ...]
    sha256: str
    notes: tuple[str, ...] = ()
    """What is not wrong, but may be meant otherwise."""

    @property
    def requests(self) -> int:
        return sum(part.requests for part in self.parts)


class InputChanged(WrongUse):
    """The input is not what it was when it was checked; the create that noticed it made no batch."""


def check(source: BinaryIO, name: str, limits: Limits) -> Plan:
    """Read request lines to their end and return the parts; ``BadInput`` names every wrong line, up to a limit."""

    def numbered() -> Iterator[Numbered]:
        source.seek(0)
        return enumerate(read_lines(source, limits.body_bytes), start=1)

    return checked(numbered, name, limits)


def checked(
    numbered: Callable[[], Iterator[Numbered]],
    name: str,
    limits: Limits,
    keep: Callable[[bytes], object] = lambda _line: None,
) -> Plan:
    """Read numbered lines to their end and return the parts. ``keep`` is given each line that may be sent."""
    problems: list[tuple[int, str]] = []
    wrong = 0
    seen, notes, cutter, whole = Seen(), Notes(), Cutter(limits), hashlib.sha256()
    for number, line in numbered():
        try:
            if isinstance(line, ValueError):
                raise line
            whole.update(line)
            if line.strip():
                custom_id, lacking = judged(line, limits)
                seen.add(custom_id, number)
                notes.add(lacking, number)
                cutter.take(number, line)
            else:
                cutter.skip(line)
            keep(line)
        except ValueError as problem:
            wrong += 1
            if wrong <= MOST_PROBLEMS:
                problems.append((number, str(problem)))
    repeated, repeats = _repeated(numbered, seen)
    if wrong + repeated:
        told = heapq.nsmallest(MOST_PROBLEMS, problems + repeats)
        raise BadInput([f"{name}:{number}: {problem}" for number, problem in told], wrong + repeated - len(told))
    if not seen.count:
        raise BadInput([f"{name}: holds no request"])
    return Plan(cutter.parts(), whole.hexdigest(), notes.told(name))


def _repeated(numbered: Callable[[], Iterator[Numbered]], seen: Seen) -> tuple[int, list[tuple[int, str]]]:
    """Return how many requests repeat a custom_id, and the first of them as problems."""
    count = 0

    def counted() -> Iterator[tuple[int, int]]:
        nonlocal count
        for pair in seen.repeats():
            count += 1
            yield pair

    pairs = heapq.nsmallest(MOST_PROBLEMS, counted())
    wanted = {number for pair in pairs for number in pair}
    ids: dict[int, str] = {}
    if wanted:
        for number, line in numbered():
            if number in wanted and isinstance(line, bytes):
                ids[number] = custom_id_of(line)
            if len(ids) == len(wanted):
                break
    repeats = [
        (number, f"custom_id {ids[number]!r} is on line {first} already")
        for number, first in pairs
        if number in ids and ids[number] == ids.get(first)
    ]
    return count - (len(pairs) - len(repeats)), repeats


class PartBody:
    """The body of one part's create, read from the input again and proved to be what was checked."""

    def __init__(self, source: BinaryIO, part: Part) -> None:
        self.size = part.body_bytes
        self.problem: Exception | None = None
        self._source = source
        self._part = part

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body. The end is held back until the hash fits: a changed input makes no batch."""
        digest = hashlib.sha256()
        glue = HEAD
        for lines in _blocks(self._source, self._part):
            block = bytearray()
            for line in lines:
                digest.update(line)
                if request := line.strip():
                    block += glue + request
                    glue = b","
            yield bytes(block)
        if digest.hexdigest() != self._part.sha256:
            self.problem = InputChanged("the input changed while it was sent: run it again once it is still")
            raise self.problem
        yield TAIL


def request_lines(source: BinaryIO, part: Part) -> Iterator[tuple[int, bytes]]:
    """Yield each request of a part with its line, in order."""
    number = part.first_line
    for lines in _blocks(source, part):
        for line in lines:
            if request := line.strip():
                yield number, request
            number += 1


def custom_ids(source: BinaryIO, part: Part) -> Iterator[tuple[str, int]]:
    """Yield each custom_id of a part with its line, in order."""
    for number, request in request_lines(source, part):
        yield custom_id_of(request), number


def _blocks(source: BinaryIO, part: Part) -> Iterator[list[bytes]]:
    """Yield the lines of a part, some at a time; each block is sought anew, so that two readers may take turns."""
    position = part.start
    while position < part.end:
        source.seek(position)
        lines, size = [], 0
        while size < min(BLOCK, part.end - position) and (line := source.readline()):
            lines.append(line)
            size += len(line)
        if not lines:
            return
        position += size
        yield lines
