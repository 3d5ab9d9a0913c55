"""The whole part of a JSON object that was cut off: what its tool call would have got, as far as it came. Pure."""

import re

import msgspec

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{},:]|[^\s"\[\]{},:]+', re.DOTALL)
_CLOSING = {"{": "}", "[": "]"}


def whole_part(text: str) -> bytes:
    """Return the longest beginning of an object that can be closed: members and elements that are complete.

    A string or number that the cut may have shortened is left out, with its name. No object at all is an empty one.
    """
    open_: list[str] = []
    end, closing = 0, "}"
    for token in _TOKEN.finditer(text):
        what = token[0]
        if not open_ and what != "{":
            break
        if what in _CLOSING:
            open_.append(what)
            end, closing = _mark(token.end(), open_)
        elif what in {"}", "]"}:
            if _CLOSING[open_.pop()] != what:
                break
            if not open_:
                end, closing = token.end(), ""
                break
            end, closing = _mark(token.end(), open_)
        elif what == ",":  # what stands before it is complete
            end, closing = _mark(token.start(), open_)
    return _checked((text[:end] or "{") + closing)


def _mark(end: int, open_: list[str]) -> tuple[int, str]:
    return end, "".join(_CLOSING[one] for one in reversed(open_))


def _checked(text: str) -> bytes:
    try:
        return msgspec.json.format(text.encode(), indent=-1)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return b"{}"
