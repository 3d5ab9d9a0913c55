"""Finds where a JSON value ends in a buffer that still grows, looking at every byte once.

It pairs quotes and brackets and judges nothing else: what it finds may be no JSON at all, but it finds the same end
however the bytes were cut into chunks. A backslash takes the next backslash or quote with it, in strings and, where it
is an error anyway, between them.
"""

import re
from itertools import accumulate

FIRST_BLOCK = 256
LARGEST_BLOCK = 16 * 1024

_MARK = re.compile(rb'["\[\]{}]')
_SCALAR_END = re.compile(rb'[ \t\n\r,:"\[\]{}]')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[]{}", b"\x01\xff\x01\xff")


class TooDeep(Exception):
    """Brackets nest deeper than allowed; ``size`` counts the bytes of the value up to the bracket that is too much."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def nesting(json: bytes) -> int:
    """Return how deep the brackets of valid JSON nest."""
    return max(depths_of(without_escapes(json).split(b'"')[::2], 0))


class Scanner:
    """Scans one value after another; ``reset`` goes to the next."""

    def __init__(self, deepest: int) -> None:
        self._deepest = deepest
        self.reset()

    def reset(self) -> None:
        self._seen = 0
        self._depth = 0
        self._in_string = False
        self._first = b""
        self._block_bytes = FIRST_BLOCK

    @property
    def seen(self) -> int:
        """How many bytes of the value were looked at; above 0 it has begun and not ended yet."""
        return self._seen

    def end(self, buffer: bytearray, start: int, *, whole: bool) -> int | None:
        """Look at one more block of the value at ``start``: return the index after the value, None if it may go on.

        Call it again, as long as it sees more, and then with more bytes after ``start``, wherever that lies in the
        buffer by then. ``whole`` says that there will be no more. Raises ``TooDeep``.
        """
        self._first = self._first or bytes(buffer[start : start + 1])
        if self._first not in b'"[{':
            return self._scalar_end(buffer, start, whole=whole)
        begin = start + self._seen
        block = without_escapes(bytes(buffer[begin : begin + self._block_bytes]))
        if block.endswith(b"\\"):
            block = block[:-1]  # what it escapes comes with the next block
        end = self._block_end(block) if block else None
        self._seen += len(block) if end is None else end
        self._block_bytes = min(2 * self._block_bytes, LARGEST_BLOCK)
        return None if end is None else start + self._seen

    def _scalar_end(self, buffer: bytearray, start: int, *, whole: bool) -> int | None:
        found = _SCALAR_END.search(buffer, start + self._seen)
        self._seen = (found.start() if found else len(buffer)) - start
        return start + self._seen if found or whole else None

    def _block_end(self, block: bytes) -> int | None:
        """Return where in the block the value ends, or go past it all at once."""
        parts = block.split(b'"')
        depths = depths_of(parts[self._in_string :: 2], self._depth)
        if self._first == b'"' or max(depths) > self._deepest or min(depths[1:], default=1) <= 0:
            return self._walk(block)
        self._depth = depths[-1]
        self._in_string ^= len(parts) % 2 == 0
        return None

    def _walk(self, block: bytes) -> int | None:
        """Go through the block mark by mark, to the end of the value or to a bracket that is too much."""
        for mark in _MARK.finditer(block):
            if mark[0] == b'"':
                self._in_string = not self._in_string
            elif not self._in_string:
                self._depth += 1 if mark[0] in b"[{" else -1
                if self._depth > self._deepest:
                    raise TooDeep(self._seen + mark.end())
            if self._depth == 0 and not self._in_string:
                return mark.end()
        return None


def without_escapes(json: bytes) -> bytes:
    """Return it with dots in place of escaped quotes and backslashes."""
    return json.replace(b"\\\\", b"..").replace(b'\\"', b"..")


def brackets_of(text: bytes) -> bytes:
    """Return the brackets alone."""
    return text.translate(None, _NO_BRACKETS)


def depths_of(parts: list[bytes], depth: int) -> list[int]:
    """Return the depth before the parts, which lie outside of strings, and after each of their brackets."""
    steps = b"".join(parts).translate(_STEPS, _NO_BRACKETS)
    return list(accumulate(memoryview(steps).cast("b"), initial=depth))
