"""What one batch may hold, and the cut of an input into parts that fit one batch each."""

import hashlib
from dataclasses import dataclass

import msgspec

HEAD, TAIL = b'{"requests":[', b"]}"
"""What stands around the requests in the body of a create."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one batch may hold: the wire's limits, unless a server has smaller ones."""

    requests: int = 100_000
    body_bytes: int = 256 * 2**20
    first: int | None = None
    """Requests in the first batch, where it is to be a small one."""


class Part(msgspec.Struct, frozen=True):
    """A run of lines that makes one batch: bytes ``start`` to ``end`` of the input, and the body they make."""

    first_line: int
    requests: int
    start: int
    end: int
    body_bytes: int
    sha256: str


class Cutter:
    """Cuts the input into parts as it goes by."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parts: list[Part] = []
        self._position = 0
        self._begin(1)

    def take(self, number: int, line: bytes) -> None:
        """Put the request on this line into the part at hand, or into the next."""
        size = len(line.strip()) + (1 if self._requests else 0)
        most = self._limits.requests if self._parts else self._limits.first or self._limits.requests
        if self._requests >= most or self._body_bytes + size > self._limits.body_bytes:
            self._close()
            self._begin(number)
            size = len(line.strip())
        self._requests += 1
        self._body_bytes += size
        self.skip(line)

    def skip(self, line: bytes) -> None:
        """Pass over a line that holds no request."""
        self._position += len(line)
        self._digest.update(line)

    def parts(self) -> tuple[Part, ...]:
        self._close()
        return tuple(self._parts)

    def _begin(self, number: int) -> None:
        self._first_line = number
        self._start = self._position
        self._requests = 0
        self._body_bytes = len(HEAD) + len(TAIL)
        self._digest = hashlib.sha256()

    def _close(self) -> None:
        sha256 = self._digest.hexdigest()
        self._parts.append(
            Part(self._first_line, self._requests, self._start, self._position, self._body_bytes, sha256)
        )
