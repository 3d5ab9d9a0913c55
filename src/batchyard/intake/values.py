"""Whether what was read is JSON, and the words for what is not."""

from codecs import BOM_UTF8, getincrementaldecoder
from collections.abc import Iterator

from batchyard.domain.errors import InvalidRequest
from batchyard.intake.outline import NotJson, Outline

DEEPEST = 500
"""How deep the values of a body may nest. The decoder recurses in C, up to Python's own limit of 1,000."""
UTF8_BYTES = 256 * 1024
"""Decoded at once to check UTF-8: as text it may take four times as much."""

_utf8 = getincrementaldecoder("utf-8")


def check_json(value: bytearray, position: int) -> None:
    """Raise ``InvalidRequest`` unless the bytes at this position of the body are one JSON value."""
    for _ in judge(Outline(value, (), ()), value, position):
        pass


def judge(outline: Outline, value: bytearray, position: int) -> Iterator[None]:
    """Go through a value at this position of the body, in steps. Raises ``InvalidRequest`` if it is no JSON."""
    if not value:
        raise malformed("a value is missing", position)
    if value.startswith(BOM_UTF8):
        raise malformed("it begins with a byte order mark; send UTF-8 without one", position)
    try:
        yield from _utf8_steps(value)
        yield from outline.steps()
    except UnicodeDecodeError as error:
        raise malformed("it is not UTF-8", position + error.start) from None
    except RecursionError:
        raise too_deep(position) from None
    except NotJson as wrong:
        what, _, place = str(wrong).removeprefix("JSON is malformed: ").rstrip(")").partition(" (byte ")
        if not place:
            raise malformed("a value ends too early", position + len(value)) from None
        raise malformed(what, position + wrong.counted_from + int(place)) from None


def check_utf8(json: bytes | bytearray) -> None:
    """Raise ``UnicodeDecodeError`` where it is not. The JSON decoder does not look into strings that it skips."""
    for _ in _utf8_steps(json):
        pass


def _utf8_steps(json: bytes | bytearray) -> Iterator[None]:
    if json.isascii():
        return
    decoder = _utf8()
    for start in range(0, len(json), UTF8_BYTES):
        part, _ = decoder.getstate()
        try:
            decoder.decode(json[start : start + UTF8_BYTES], final=start + UTF8_BYTES >= len(json))
        except UnicodeDecodeError as error:
            error.start += start - len(part)
            raise
        yield


def malformed(what: str, position: int) -> InvalidRequest:
    return InvalidRequest(f"The request body is not valid JSON: {what} at byte {position}")


def too_deep(position: int) -> InvalidRequest:
    return malformed(f"more than {DEEPEST} levels of nesting in the value", position)
