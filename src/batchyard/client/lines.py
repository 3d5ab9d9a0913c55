"""Lines of request JSON: read from a file without holding it, and judged one by one."""

import re
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from batchyard.client.limits import HEAD, TAIL, Limits
from batchyard.client.params import Params

BLOCK = 2**18
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")


class _Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    custom_id: str
    params: Params


_request = msgspec.json.Decoder(_Request)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_anything = msgspec.json.Decoder()


def read_lines(source: BinaryIO, longest: int) -> Iterator[bytes]:
    """Yield each line with its end. Of one that is too long only the beginning, itself too long, is kept."""
    while line := source.readline(longest + 1):
        yield line
        while not line.endswith(b"\n") and (line := source.readline(BLOCK)):
            pass


def custom_id_of(line: bytes) -> str:
    """Return the custom_id of a line that was judged right before."""
    return _text.decode(_members.decode(line)["custom_id"])


def judged(line: bytes, limits: Limits) -> tuple[str, tuple[str, ...]]:
    """Return the custom_id of a request line, and what its params lack; ``ValueError`` says what is wrong with it."""
    if len(line.strip()) + len(HEAD) + len(TAIL) > limits.body_bytes:
        raise ValueError(f"too large for any batch: the limit is {limits.body_bytes} bytes. Make it smaller")
    check_text(line)
    try:
        request = _request.decode(line)
    except (msgspec.MsgspecError, RecursionError):
        raise ValueError(_why_no_request(line)) from None
    check_custom_id(request.custom_id)
    return request.custom_id, request.params.lacking()


def _why_no_request(line: bytes) -> str:
    members = members_of(line)
    if set(members) != {"custom_id", "params"}:
        return _wrong_members(set(members))
    if not bytes(members["custom_id"]).startswith(b'"'):
        return "custom_id must be a string"
    return "params must be an object"


def check_custom_id(custom_id: str) -> None:
    """Raise ``ValueError`` unless every server of this API takes the custom_id."""
    if not _CUSTOM_ID.match(custom_id):
        raise ValueError(f"custom_id {custom_id[:80]!r} must be 1 to 64 of the characters a-z A-Z 0-9 _ -")


def members_of(line: bytes) -> dict[str, msgspec.Raw]:
    """Return the members of the object on a line, undecoded; ``ValueError`` says why it is none."""
    check_text(line)
    try:
        return _members.decode(line)
    except msgspec.ValidationError:
        raise ValueError('must be an object {"custom_id": …, "params": {…}}') from None
    except (msgspec.DecodeError, RecursionError) as problem:
        raise ValueError(_not_json(problem)) from None


def check_text(line: bytes) -> None:
    """Raise ``ValueError`` for a line that is no UTF-8, or has half of a character that takes two."""
    if line.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise ValueError("begins with a byte order mark: save the file as UTF-8 without one")
    try:
        line.isascii() or line.decode()
        if b"\\u" in line:  # raw members are not searched for half a surrogate pair, which a server refuses
            _anything.decode(line)
    except UnicodeDecodeError as problem:
        raise ValueError(f"not UTF-8 at byte {problem.start + 1}: save the file as UTF-8") from None
    except msgspec.ValidationError:
        pass  # a number that this client could not hold is the model server's to judge
    except (msgspec.DecodeError, RecursionError) as problem:
        half = " (is there half a surrogate pair?)" if b"\\ud" in line.lower() else ""
        raise ValueError(_not_json(problem) + half) from None


def _not_json(problem: Exception) -> str:
    if isinstance(problem, RecursionError):
        return "nested too deeply"
    return f"not JSON: {str(problem).removeprefix('JSON is malformed: ')}. A line must be one whole object"


def _wrong_members(members: set[str]) -> str:
    if "requests" in members:
        return "this is the body of a create; INPUT has one request a line"
    if {"method", "url", "body"} <= members:
        return "this is a line of another batch format; INPUT has lines with custom_id and params"
    missing = [f"{name} is missing" for name in ("custom_id", "params") if name not in members]
    return ", ".join(
        missing + [f"{name[:40]!r} does not belong here" for name in sorted(members - {"custom_id", "params"})][:3]
    )
