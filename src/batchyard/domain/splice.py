"""Setting one member of a JSON object in its bytes: every other byte stays as the client wrote it."""

import re
from collections.abc import Iterator

import msgspec

_MARK = re.compile(rb'["\[\]{},:]')
_INSIDE = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
BLOCK_BYTES = 1024 * 1024
"""Read in one step: a thread that splices lets others go on in between."""
_SPACE = b" \t\n\r"


def splice(raw: bytes, name: str, value: bytes) -> bytes:
    """Return the object with its member ``name`` set to ``value`` (JSON): each time it stands there, else at the end.

    Bytes that are no JSON object come back as they are: whoever judges them will say so.
    """
    try:
        if not raw.lstrip(_SPACE).startswith(b"{"):
            return raw
        parts, last = [], 0
        for begin, end in _values(raw, name):
            parts += [raw[last:begin], value]
            last = end
        if not parts:
            return _appended(raw, name, value)
        return b"".join([*parts, raw[last:]])
    except msgspec.DecodeError:
        return raw


def _values(raw: bytes, name: str) -> Iterator[tuple[int, int]]:
    """Yield where the values of the top-level member begin and end, without the blanks around them."""
    wanted = msgspec.json.encode(name)
    depth, key, begin, at = 0, b"", -1, 0
    while (mark := _MARK.search(raw, at)) is not None:
        what, at = mark[0], mark.end()
        if what == b'"':
            at = _string_end(raw, at)
            key = raw[mark.start() : at] if depth == 1 and begin < 0 else key
            continue
        if depth == 1:
            if what in {b",", b"}"} and begin >= 0:
                yield _trimmed(raw, begin, mark.start())
                begin = -1
            elif what == b":" and (key == wanted or (b"\\" in key and msgspec.json.decode(key) == name)):
                begin = at
        if what in {b"{", b"["}:
            depth += 1
        elif what in {b"}", b"]"}:
            depth -= 1


def _string_end(raw: bytes, at: int) -> int:
    """Return where the string ends whose first character is at ``at``; without escapes as fast as memory is read."""
    end = raw.find(b'"', at)
    if end >= 0 and raw.find(b"\\", at, end) < 0:
        return end + 1
    while (inside := _INSIDE.match(raw, at, at + BLOCK_BYTES)) is not None and inside.end() > at:
        at = inside.end()
        if raw[at : at + 1] == b'"':
            return at + 1
    return at + 1 if raw[at : at + 1] == b'"' else len(raw)


def _trimmed(raw: bytes, begin: int, end: int) -> tuple[int, int]:
    value = raw[begin:end]
    return begin + len(value) - len(value.lstrip(_SPACE)), end - (len(value) - len(value.rstrip(_SPACE)))


def _appended(raw: bytes, name: str, value: bytes) -> bytes:
    end = raw.rstrip(_SPACE)
    if not end.endswith(b"}"):
        return raw
    body = end[:-1].rstrip(_SPACE)
    comma = b"" if body.endswith(b"{") else b","
    return b"%b%b%b:%b%b" % (raw[: len(end) - 1], comma, msgspec.json.encode(name), value, raw[len(end) - 1 :])
