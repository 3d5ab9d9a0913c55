"""The body of a create call, split into drafts while it streams.

    chunks ──> buffer ──> window, cut between two requests ──> all at once, or one by one ──> drafts, params

It knows neither files nor the network. What it gives out and which error it raises do not depend on how the body was
cut into chunks; only a body that is too large may be refused before an error that lies near its end is seen.
"""

import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from batchyard.domain.errors import BatchyardError, InvalidRequest, TooLarge
from batchyard.domain.request import Drafts
from batchyard.intake import grammar, requests
from batchyard.intake.borders import cuts
from batchyard.intake.grammar import Expect
from batchyard.intake.outline import Outline
from batchyard.intake.requests import Judged, Piece
from batchyard.intake.scan import FIRST_BLOCK, Scanner, TooDeep
from batchyard.intake.values import DEEPEST, judge, malformed, too_deep

WINDOW_BYTES = 256 * 1024
"""How much is decoded in one call: long enough that the call costs little, short enough that the loop goes on."""

MOST_STEPS = 400
"""Marks, values and blocks of ``FIRST_BLOCK`` bytes that are read in one call, some 20 µs each."""

_BLANK = re.compile(rb"[ \t\n\r]*+")


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a body, and each request in it from brace to brace, may be."""

    max_requests: int = 100_000
    max_body_bytes: int = 268_435_456
    max_request_bytes: int = 33_554_432


class Intake:
    """``feed`` the chunks, then ``finish``. Both give bytes to append to the body blob, and raise what is wrong.

    After an error the same error comes again. ``drafts`` and ``body_sha256`` are right once ``finish`` has returned."""

    def __init__(self, limits: Limits, *, window_bytes: int = WINDOW_BYTES) -> None:
        self.drafts = Drafts()
        self._limits = limits
        self._window_bytes = window_bytes
        self._digest = hashlib.sha256(usedforsecurity=False)
        self._size = 0
        self._buffer = bytearray()
        self._at = self._dropped = self._offset = self._one_by_one_until = 0
        self._scanner = Scanner(DEEPEST + 1)
        self._expect = Expect.BODY
        self._key = ""
        self._unknown_key: str | None = None
        self._has_requests = False
        self._wrong: InvalidRequest | None = None
        self._judging: Iterator[None] | None = None
        self._judged_bytes = 0
        self._whole, self._is_paused, self._members = False, False, 0
        self._custom_ids: set[str] = set()
        self._pieces: list[Piece] = []
        self._refusal: BatchyardError | None = None

    def feed(self, chunk: bytes, *, is_last: bool = False) -> Sequence[Piece]:
        """Take the next bytes of the body. Raises ``InvalidRequest`` or ``TooLarge``.

        What takes long is done in steps, one a call: while ``is_behind``, let the loop go on, and feed it nothing.
        """
        self._size += len(chunk)
        self._digest.update(chunk)
        self._whole = self._whole or is_last
        return self._read(chunk, most_steps=MOST_STEPS)

    def finish(self) -> Sequence[Piece]:
        """End the body: it was whole and right, or this raises."""
        self._whole = True
        return self._read(b"", most_steps=inf)

    @property
    def held_bytes(self) -> int:
        """About how much memory it takes now: what is read, and what it knows of the requests before."""
        return len(self._buffer) + self._judged_bytes + requests.DRAFT_BYTES * len(self.drafts)

    @property
    def is_behind(self) -> bool:
        """Whether there is more to do with the bytes that came."""
        return self._judging is not None or self._is_paused

    @property
    def body_sha256(self) -> str:
        """The hash of all bytes fed, in hexadecimal."""
        return self._digest.hexdigest()

    def _read(self, chunk: bytes, *, most_steps: float) -> Sequence[Piece]:
        if self._refusal is not None:
            raise self._refusal
        try:
            if self._size > self._limits.max_body_bytes:
                raise TooLarge(f"Request exceeds the maximum size of {self._limits.max_body_bytes} bytes")
            self._buffer += chunk
            self._take_steps(most_steps)
            if most_steps == inf:
                self._check_end()
        except BatchyardError as refusal:
            self._refusal = refusal
            self._buffer.clear()
            raise
        self._drop()
        pieces, self._pieces = self._pieces, []
        return pieces

    def _take_steps(self, most: float) -> None:
        self._go_on()
        while most > 0 and (most == inf or self._judging is None) and (taken := self._step()):
            most -= taken
        self._is_paused = most <= 0

    def _step(self) -> int:
        """Go on by a mark, a value, a block or a window: how many steps that is, 0 if it needs more bytes."""
        if self._judging is not None:
            self._go_on()
            return 1
        if self._scanner.seen:
            return self._value()
        blank = _BLANK.match(self._buffer, self._at)
        self._at = blank.end() if blank else self._at
        if self._at == len(self._buffer):
            return 0
        byte = self._buffer[self._at]
        if self._expect is Expect.VALUE and self._key == "requests" and byte == ord("["):
            self._expect = Expect.FIRST_REQUEST
        elif following := grammar.MOVES.get((self._expect, byte)):
            self._expect = following
        else:
            return self._begin_value(byte)
        self._at += 1
        return 1

    @property
    def _position(self) -> int:
        """Where in the body reading stands."""
        return self._dropped + self._at

    def _begin_value(self, byte: int) -> int:
        if self._expect in grammar.MARKS or (self._expect in grammar.KEYS and byte != ord('"')):
            raise malformed(f"expected {self._expect.value}", self._position)
        if self._expect in grammar.REQUESTS:
            if len(self.drafts) >= self._limits.max_requests:
                raise requests.too_many(self._limits.max_requests)
            if self._position >= self._one_by_one_until:
                if len(self._buffer) - self._at < self._window_bytes and not self._whole:
                    return 0
                if self._window():
                    return 1
                self._one_by_one_until = self._position + self._window_bytes
        return self._value()

    def _window(self) -> bool:
        """Take the requests up to a border in one go; False if no border was found, or one of them may be wrong."""
        for cut in cuts(self._buffer, self._at, self._window_bytes, whole=self._whole):
            with memoryview(self._buffer) as view:
                window = b"".join((b"[", view[self._at : cut], b"]"))
            judged = requests.several(window)
            if judged is not None and cut - self._at <= self._limits.max_request_bytes and self._are_new(judged):
                self._add(judged)
                self._at = cut
                self._expect = Expect.AFTER_REQUEST
                return True
        return False

    def _are_new(self, judged: Judged) -> bool:
        fresh = set(judged.custom_ids)
        return (
            len(self.drafts) + len(judged.custom_ids) <= self._limits.max_requests
            and len(fresh) == len(judged.custom_ids)
            and fresh.isdisjoint(self._custom_ids)
        )

    def _add(self, judged: Judged) -> None:
        self._custom_ids.update(judged.custom_ids)
        lengths = list(map(len, judged.params))
        self.drafts.extend(
            judged.custom_ids,
            lengths,
            map(zlib.crc32, judged.params),
            judged.models,
            first=self._offset,
            prefixes=judged.prefixes,
        )
        self._offset += sum(lengths)
        self._pieces.append(memoryview(judged.params[0]) if len(lengths) == 1 else b"".join(judged.params))

    def _value(self) -> int:
        """Read on in a value, and judge it at its end: how many steps that was, 0 if more is not there yet."""
        start, most, before = self._at, self._limits.max_request_bytes, self._scanner.seen
        try:
            end = self._scanner.end(self._buffer, start, whole=self._whole)
        except TooDeep as error:
            raise (self._too_long() if error.size > most else too_deep(self._position)) from None
        if self._scanner.seen > most:
            raise self._too_long()
        if end is None:
            return -((before - self._scanner.seen) // FIRST_BLOCK)
        position = self._position
        self._scanner.reset()
        self._at = end
        self._judge(self._taken(start, end), position)
        return 1

    def _taken(self, start: int, end: int) -> bytearray:
        """Return what was read last; a large value is not copied, it keeps the buffer, and the rest gets a new one."""
        if end - start < requests.LARGE_BYTES:
            return self._buffer[start:end]
        value, self._buffer = self._buffer, self._buffer[end:]
        del value[end:]
        del value[:start]
        self._dropped, self._at = self._dropped + end, 0
        return value

    def _drop(self) -> None:
        """Let go of the bytes that were read."""
        del self._buffer[: self._at]
        self._dropped += self._at
        self._at = 0

    def _too_long(self) -> BatchyardError:
        if self._expect in grammar.REQUESTS:
            most = self._limits.max_request_bytes
            return TooLarge(f"requests.{len(self.drafts)}: Request exceeds the maximum size of {most} bytes")
        if self._expect is Expect.BODY:
            return InvalidRequest(requests.NO_OBJECT)
        if self._expect is Expect.VALUE and self._key == "requests":
            return InvalidRequest(requests.NO_LIST)
        return (
            requests.not_permitted(self._unknown_key)
            if self._unknown_key
            else malformed("a key is too long", self._position)
        )

    def _judge(self, value: bytearray, position: int) -> None:
        """Judge what was read last: at once, or in steps where it is large."""
        self._judging = (self._request if self._expect in grammar.REQUESTS else self._other)(value, position)
        self._judged_bytes = len(value)
        while len(value) < requests.LARGE_BYTES and self._judging is not None:
            self._go_on()

    def _go_on(self) -> None:
        """Take one step in judging a value, if any."""
        if self._judging is not None and next(self._judging, self) is self:
            self._judging, self._judged_bytes = None, 0

    def _request(self, value: bytearray, position: int) -> Iterator[None]:
        self._add((yield from requests.steps(len(self.drafts), value, position, self._custom_ids)))
        self._expect = Expect.AFTER_REQUEST

    def _other(self, value: bytearray, position: int) -> Iterator[None]:
        yield from judge(Outline(value, (), ()), value, position)
        if self._expect is Expect.BODY:
            self._wrong, self._expect = InvalidRequest(requests.NO_OBJECT), Expect.END
        elif self._expect is Expect.VALUE:
            if self._key == "requests":
                self._wrong = InvalidRequest(requests.NO_LIST)
            self._expect = Expect.AFTER_VALUE
        else:
            self._judge_key(requests.text(value, (0, len(value))))
            self._expect = Expect.COLON

    def _judge_key(self, key: str) -> None:
        """A second list replaces the first, as a JSON parser would have it; an unknown key beside a list is refused."""
        self._key = key
        self._members += 1
        if self._members > grammar.MOST_MEMBERS:
            raise requests.too_many_members(self._unknown_key)
        if key == "requests":
            self._has_requests = True
            self._wrong = None
            self.drafts = Drafts()
            self._custom_ids.clear()
        else:
            self._unknown_key = self._unknown_key if self._unknown_key is not None else key
        if self._has_requests and self._unknown_key is not None:
            raise requests.not_permitted(self._unknown_key)

    def _check_end(self) -> None:
        if self._expect is Expect.BODY:
            raise malformed("it is empty", self._position)
        if self._expect is not Expect.END:
            raise malformed(f"it ends where {self._expect.value} was expected", self._size)
        if self._wrong is not None:
            raise self._wrong
        if not self._has_requests:
            raise InvalidRequest("requests: Field required")
        if not self.drafts:
            raise InvalidRequest("requests: List should have at least 1 item after validation, not 0")
