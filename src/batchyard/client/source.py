"""The input of a job: checked whole before anything is sent, and cut into parts that fit one batch each.

INPUT is one request a line, ``{"custom_id": …, "params": {…}}``. A part is a run of lines; its body is written from
the file again for each create, so that memory holds custom_ids at most, and never params.
"""

import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from batchyard.client.errors import BadInput, WrongUse

MOST_PROBLEMS = 20
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_HEAD, _TAIL = b'{"requests":[', b"]}"
_BLOCK = 2**18

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_anything = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one batch may hold: the wire's limits, unless a server has smaller ones."""

    requests: int = 100_000
    body_bytes: int = 256 * 2**20


class Part(msgspec.Struct, frozen=True):
    """A run of lines that makes one batch: bytes ``start`` to ``end`` of the input, and the body they make."""

    first_line: int
    requests: int
    start: int
    end: int
    body_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole input: its parts in order, and the hash that knows it again."""

    parts: tuple[Part, ...]
    sha256: str

    @property
    def requests(self) -> int:
        return sum(part.requests for part in self.parts)


class InputChanged(WrongUse):
    """The input is not what it was when it was checked; the create that noticed it made no batch."""


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Open the input so that it can be read twice: ``-`` and pipes are copied to a temporary file first."""
    with ExitStack() as files:
        try:
            source = sys.stdin.buffer if path == "-" else files.enter_context(Path(path).open("rb"))
            if path == "-" or not source.seekable():
                copy = files.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(source, copy)
                copy.seek(0)
                source = copy
        except OSError as problem:
            raise WrongUse(f"{path}: cannot be read: {problem.strerror}") from None
        yield source


def check(source: BinaryIO, name: str, limits: Limits) -> Plan:
    """Read the input to its end and return its parts; ``BadInput`` names every wrong line, up to a limit."""
    problems: list[str] = []
    wrong = 0
    first_seen: dict[str, int] = {}
    cutter = _Cutter(limits)
    whole = hashlib.sha256()
    for number, line in enumerate(_lines(source, limits.body_bytes), start=1):
        whole.update(line)
        try:
            if line.strip():
                _check_line(line, number, first_seen, limits)
                cutter.take(number, line)
            else:
                cutter.skip(line)
        except ValueError as problem:
            wrong += 1
            if wrong <= MOST_PROBLEMS:
                problems.append(f"{name}:{number}: {problem}")
    if wrong:
        raise BadInput(problems, wrong - len(problems))
    if not first_seen:
        raise BadInput([f"{name}: holds no request"])
    return Plan(cutter.parts(), whole.hexdigest())


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
        glue = _HEAD
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
        yield _TAIL


def custom_ids(source: BinaryIO, part: Part) -> Iterator[tuple[str, int]]:
    """Yield each custom_id of a part with its line, in order."""
    number = part.first_line
    for lines in _blocks(source, part):
        for line in lines:
            if line.strip():
                yield _text.decode(_members.decode(line)["custom_id"]), number
            number += 1


class _Cutter:
    """Cuts the input into parts as it goes by."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parts: list[Part] = []
        self._position = 0
        self._begin(1)

    def take(self, number: int, line: bytes) -> None:
        size = len(line.strip()) + (1 if self._requests else 0)
        if self._requests == self._limits.requests or self._body_bytes + size > self._limits.body_bytes:
            self._close()
            self._begin(number)
            size = len(line.strip())
        self._requests += 1
        self._body_bytes += size
        self.skip(line)

    def skip(self, line: bytes) -> None:
        self._position += len(line)
        self._digest.update(line)

    def parts(self) -> tuple[Part, ...]:
        self._close()
        return tuple(self._parts)

    def _begin(self, number: int) -> None:
        self._first_line = number
        self._start = self._position
        self._requests = 0
        self._body_bytes = len(_HEAD) + len(_TAIL)
        self._digest = hashlib.sha256()

    def _close(self) -> None:
        sha256 = self._digest.hexdigest()
        self._parts.append(
            Part(self._first_line, self._requests, self._start, self._position, self._body_bytes, sha256)
        )


def _check_line(line: bytes, number: int, first_seen: dict[str, int], limits: Limits) -> None:
    if len(line.strip()) + len(_HEAD) + len(_TAIL) > limits.body_bytes:
        raise ValueError(f"too large for any batch: the limit is {limits.body_bytes} bytes")
    members = _object(line)
    if set(members) != {"custom_id", "params"}:
        raise ValueError(_wrong_members(set(members)))
    try:
        custom_id = _text.decode(members["custom_id"])
    except msgspec.ValidationError:
        raise ValueError("custom_id must be a string") from None
    if not _CUSTOM_ID.match(custom_id):
        raise ValueError(f"custom_id {custom_id[:80]!r} must be 1 to 64 of the characters a-z A-Z 0-9 _ -")
    if not bytes(members["params"]).startswith(b"{"):
        raise ValueError("params must be an object")
    if first_seen.setdefault(custom_id, number) != number:
        raise ValueError(f"custom_id {custom_id!r} is on line {first_seen[custom_id]} already")


def _object(line: bytes) -> dict[str, msgspec.Raw]:
    if line.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise ValueError("begins with a byte order mark: save the file as UTF-8 without one")
    try:
        line.isascii() or line.decode()
        if b"\\u" in line:  # raw members are not searched for half a surrogate pair, which a server refuses
            _anything.decode(line)
    except UnicodeDecodeError as problem:
        raise ValueError(f"not UTF-8 at byte {problem.start + 1}") from None
    except msgspec.ValidationError:
        pass  # a number that this client could not hold is the model server's to judge
    except (msgspec.DecodeError, RecursionError) as problem:
        half = " (is there half a surrogate pair?)" if b"\\ud" in line.lower() else ""
        raise ValueError(_not_json(problem) + half) from None
    try:
        return _members.decode(line)
    except msgspec.ValidationError:
        raise ValueError('must be an object {"custom_id": …, "params": {…}}') from None
    except (msgspec.DecodeError, RecursionError) as problem:
        raise ValueError(_not_json(problem)) from None


def _not_json(problem: Exception) -> str:
    if isinstance(problem, RecursionError):
        return "nested too deeply"
    return f"not JSON: {str(problem).removeprefix('JSON is malformed: ')}"


def _wrong_members(members: set[str]) -> str:
    if "requests" in members:
        return "this is the body of a create; INPUT has one request a line"
    if {"method", "url", "body"} <= members:
        return "this is a line of another batch format; INPUT has lines with custom_id and params"
    missing = [f"{name} is missing" for name in ("custom_id", "params") if name not in members]
    return ", ".join(
        missing + [f"{name[:40]!r} does not belong here" for name in sorted(members - {"custom_id", "params"})][:3]
    )


def _lines(source: BinaryIO, longest: int) -> Iterator[bytes]:
    """Yield each line with its end. Of one that is too long only the beginning, itself too long, is kept."""
    source.seek(0)
    while line := source.readline(longest + 1):
        yield line
        while not line.endswith(b"\n") and (line := source.readline(_BLOCK)):
            pass


def _blocks(source: BinaryIO, part: Part) -> Iterator[list[bytes]]:
    """Yield the lines of a part, some at a time; each block is sought anew, so that two readers may take turns."""
    position = part.start
    while position < part.end:
        source.seek(position)
        lines, size = [], 0
        while size < min(_BLOCK, part.end - position) and (line := source.readline()):
            lines.append(line)
            size += len(line)
        if not lines:
            return
        position += size
        yield lines
