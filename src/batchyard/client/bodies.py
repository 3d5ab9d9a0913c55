"""A file that is the body of one create, ``{"requests": […]}``, read one request at a time, however it is laid out."""

import json
import re
from collections.abc import Iterator
from typing import BinaryIO

from batchyard.client.lines import BLOCK

_BEGINNING = re.compile(rb'\s*\{\s*"requests"\s*:\s*\[')
_ELEMENT = json.JSONDecoder(parse_int=str, parse_float=str)
"""Finds where a request ends. What it makes of numbers is thrown away: the bytes are what is kept."""
_NO_ENDS = bytes.maketrans(b"\r\n", b"  ")


def is_body(head: bytes) -> bool:
    """Whether a file that begins so is the body of a create."""
    return _BEGINNING.match(head) is not None


def requests_of(source: BinaryIO, longest: int) -> Iterator[tuple[int, bytes | ValueError]]:
    """Yield each request on one line, with its place in the list, counted from 1.

    Ends of lines between the tokens of a request become spaces; every other byte stays. After the first request that
    is no JSON nothing can be told apart any more: that is the last yielded.
    """
    text = _Window(source)
    found = _BEGINNING.match(text.at_least(2**16))
    assert found is not None, "reading a body that is none"
    text.drop(found.end())
    number = 0
    try:
        while (sign := text.next_sign()) != b"]":
            if number and sign != b",":
                raise ValueError(f"',' or ']' is missing before {_shown(sign)}")
            if number:
                text.drop(1)
                text.next_sign()
            number += 1
            yield number, text.element(longest).translate(_NO_ENDS) + b"\n"
        text.drop(1)
        if text.next_sign() != b"}":
            raise ValueError("the body has more members than 'requests', or does not end with '}'")
        text.drop(1)
        if text.next_sign():
            raise ValueError("something follows the body")
    except ValueError as problem:
        yield max(number, 1), problem


class _Window:
    """What was read of the source and not used yet."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._bytes = b""
        self._is_whole = False

    def at_least(self, count: int) -> bytes:
        """Return what is there, at least so much unless the source ends."""
        while len(self._bytes) < count and not self._is_whole:
            chunk = self._source.read(max(BLOCK, count - len(self._bytes)))
            self._bytes += chunk
            self._is_whole = not chunk
        return self._bytes

    def drop(self, count: int) -> None:
        self._bytes = self._bytes[count:]

    def next_sign(self) -> bytes:
        """Drop white space; return the byte after it, or nothing at the end."""
        while True:
            self._bytes = self.at_least(1).lstrip(b" \t\r\n")
            if self._bytes or self._is_whole:
                return self._bytes[:1]

    def element(self, longest: int) -> bytes:
        """Take one JSON value from the beginning; ``ValueError`` if there is none within so many bytes."""
        size = 2**16
        while True:
            window = self.at_least(size)[:size]
            try:
                return self._taken(window)
            except RecursionError:
                raise ValueError("nested too deeply") from None
            except ValueError as problem:
                if len(window) < size or size > longest:
                    raise ValueError(f"not JSON, or no end of it: {_said(problem)}") from None
                size *= 4

    def _taken(self, window: bytes) -> bytes:
        text = window.decode(errors="surrogateescape")
        _, end = _ELEMENT.raw_decode(text)
        taken = text[:end].encode(errors="surrogateescape")
        if len(taken) == len(window) and not self._is_whole:
            raise ValueError("a number may go on")
        self.drop(len(taken))
        return taken


def _said(problem: ValueError) -> str:
    return problem.msg if isinstance(problem, json.JSONDecodeError) else str(problem)


def _shown(sign: bytes) -> str:
    return repr(sign.decode(errors="replace")) if sign else "the end"
