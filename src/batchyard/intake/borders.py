"""Guesses where a window of requests may be cut: at commas that seem to stand between two of them.

A guess that is wrong is no harm: what lies before it is then no list of requests.
"""

import re
from collections.abc import Iterator

KEYS_TRIED = 8
"""How many keys from the end of a window may begin a request; then it is read one by one."""
MOST_INDENT = 512

_KEYS = (b'"custom_id"', b'"params"')
_BORDER = re.compile(rb"\}[ \t\n\r]*+(,)[ \t\n\r]*+\{[ \t\n\r]*+\Z")


def cuts(buffer: bytearray, at: int, window_bytes: int, *, whole: bool) -> Iterator[int]:
    """Yield where the list may end, if nothing comes after the buffer, then such commas, the last one first."""
    end = min(len(buffer), at + window_bytes)
    if whole and end == len(buffer):
        yield max(buffer.rfind(b"]", at), at)
    for _ in range(KEYS_TRIED):
        end = max(buffer.rfind(key, at, end) for key in _KEYS)
        if end < 0:
            return
        begin = max(at, end - MOST_INDENT)
        border = _BORDER.search(buffer[begin:end])
        if border is not None:
            yield begin + border.start(1)
