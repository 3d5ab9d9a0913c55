"""Judges the requests of a create body: many at once where all is well, else one by one, to say what is wrong.

The fast way accepts nothing that the slow way refuses; what it does not accept proves nothing.
"""

import re
from collections.abc import Container, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import msgspec

from batchyard.domain.errors import InvalidRequest
from batchyard.domain.request import LONGEST_MODEL, kept_name
from batchyard.intake.grammar import MOST_MEMBERS
from batchyard.intake.outline import Outline, Span
from batchyard.intake.prefix import MARK, Beginning, prefix
from batchyard.intake.scan import nesting
from batchyard.intake.values import DEEPEST, check_json, check_utf8, judge

LONGEST_CUSTOM_ID = 64
DRAFT_BYTES = 300
"""What intake holds of a request that it has read: its draft and its custom_id, twice."""
LONGEST_KEY_SHOWN = 100
LONGEST_KEY_READ = 12 * LONGEST_KEY_SHOWN + 100
LONGEST_NAME_READ = 12 * LONGEST_MODEL + 2
"""A character may be written as two escapes."""
LARGE_BYTES = 1024 * 1024
"""A value that is judged in steps: the decoder takes up to 90 ms for 32 MB."""
NO_OBJECT = "The request body should be a JSON object: Input should be a valid dictionary"
NO_LIST = "requests: Input should be a valid list"
PATTERN = "^[a-zA-Z0-9_-]{1,64}$"

_OTHER = re.compile("Object contains unknown field `(.*)`", re.DOTALL)
"""What the decoder says of a member that no request has."""
_ALLOWED = re.compile(r"[a-zA-Z0-9_-]*")


class _Request(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    custom_id: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_CUSTOM_ID)]
    params: msgspec.Raw


class _Members(msgspec.Struct, gc=False):
    """The members of a request as they are written, whatever they are; a dict of all that may be there has no bound."""

    custom_id: msgspec.Raw = msgspec.Raw()
    params: msgspec.Raw = msgspec.Raw()


class _NoOthers(_Members, forbid_unknown_fields=True, gc=False):
    """The same, where there are no others."""


class _Begun(msgspec.Struct, gc=False):
    params: Beginning


_requests = msgspec.json.Decoder(list[_Request])
_several_begun = msgspec.json.Decoder(list[_Begun])
_begun = msgspec.json.Decoder(Beginning)
_members = msgspec.json.Decoder(_Members)
_no_others = msgspec.json.Decoder(_NoOthers)
_string = msgspec.json.Decoder(str)

Piece = bytes | memoryview
"""What is given out to be written: the params of many requests, or a view of the params of one."""
_REFUSALS = (msgspec.MsgspecError, ValueError, RecursionError)
"""What the decoder raises: ``ValueError`` for bad UTF-8 and for numbers that Python will not convert."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Requests that are right, as far as each can be judged alone."""

    custom_ids: Sequence[str]
    params: Sequence[msgspec.Raw]
    models: Sequence[str]
    prefixes: Sequence[int]


def several(window: bytes) -> Judged | None:
    """Judge the JSON array ``window`` of requests at once; None if one may be wrong, or none is there."""
    try:
        check_utf8(window)
        requests = _requests.decode(window)
        begun = [request.params for request in _several_begun.decode(window)]
    except _REFUSALS:
        return None
    custom_ids = [request.custom_id for request in requests]
    params = [request.params for request in requests]
    if not requests or not _ALLOWED.fullmatch("".join(custom_ids)) or _is_too_deep(window, params):
        return None
    marked = MARK in window
    prefixes = [prefix(each, marked=marked) for each in begun]
    return Judged(custom_ids, params, [kept_name(each.model) for each in begun], prefixes)


def steps(index: int, request: bytearray, position: int, known: Container[str]) -> Generator[None, None, Judged]:
    """Judge the request with this index, which begins at byte ``position`` of the body, or say what is wrong.

    Between steps that take some milliseconds each it yields.
    """
    if len(request) < LARGE_BYTES:
        custom_id, params, begun = _small(index, request, position)
    else:
        custom_id, params, begun = yield from _large(index, request, position)
    if custom_id in known:
        raise InvalidRequest(
            f"requests: custom_id's must be unique within a batch. Duplicate custom_id found: {custom_id}"
        )
    yield
    marked = MARK in request
    return Judged([custom_id], [params], [kept_name(begun.model)], [prefix(begun, marked=marked)])


def _small(index: int, request: bytearray, position: int) -> tuple[str, msgspec.Raw, Beginning]:
    """Return custom_id, params and what they begin with, in one step."""
    members, other = _opened(request)
    if members is None:
        members = _all_members(request)
    if members is None:
        check_json(request, position)
        raise InvalidRequest(f"requests.{index}: Input should be a valid dictionary")
    custom_id, params = _named(index, members, other)
    return custom_id, params, _beginning(params)


def _large(index: int, request: bytearray, position: int) -> Generator[None, None, tuple[str, msgspec.Raw, Beginning]]:
    """Return the same of a request that takes long, step by step."""
    outline = Outline(request, _Members.__struct_fields__, Beginning.__struct_fields__)
    yield from judge(outline, request, position)
    if not request.startswith(b"{"):
        raise InvalidRequest(f"requests.{index}: Input should be a valid dictionary")
    members = _Members(**{name: outline.raw(span) for name, span in outline.members.items()})
    custom_id, params = _named(index, members, None if outline.other is None else text(request, outline.other))
    begun = {name: outline.raw(span) for name, span in outline.inner["params"].items()}
    model = begun.pop("model", msgspec.Raw(b'""'))
    return custom_id, params, Beginning(_short(model), **begun)


def _opened(request: bytes | bytearray) -> tuple[_Members | None, str | None]:
    """Return the members of a request if there are no others; else None, and the name of the first other one."""
    try:
        check_utf8(request)
        return _no_others.decode(request), None
    except msgspec.ValidationError as error:
        other = _OTHER.fullmatch(str(error))
        return None, other and other[1]
    except _REFUSALS:
        return None, None


def _all_members(request: bytes | bytearray) -> _Members | None:
    """Return the members of a request that has others too; None where it is not right."""
    try:
        check_utf8(request)
        return _members.decode(request)
    except _REFUSALS:
        return None


def _named(index: int, members: _Members, other: str | None) -> tuple[str, msgspec.Raw]:
    """Return custom_id and params; or say what is wrong with them, or that there is more."""
    if not len(members.custom_id):
        raise InvalidRequest(f"requests.{index}.custom_id: Field required")
    custom_id = _custom_id(bytes(members.custom_id), f"requests.{index}.custom_id")
    if not len(members.params):
        raise InvalidRequest(f"requests.{index}.params: Field required")
    if bytes(memoryview(members.params)[:1]) != b"{":
        raise InvalidRequest(f"requests.{index}.params: Input should be a valid dictionary")
    if other is not None:
        raise InvalidRequest(f"requests.{index}.{shown(other)}: Extra inputs are not permitted")
    return custom_id, members.params


def too_many(most: int) -> InvalidRequest:
    return InvalidRequest(f"requests: List should have at most {most} items after validation, not {most + 1} or more")


def too_many_members(unknown: str | None) -> InvalidRequest:
    if unknown is not None:
        return not_permitted(unknown)
    return InvalidRequest(f"requests: it is given more than {MOST_MEMBERS} times, give it once")


def not_permitted(key: str) -> InvalidRequest:
    return InvalidRequest(f"{shown(key)}: Extra inputs are not permitted")


def shown(key: str) -> str:
    """Return the key, cut to what fits in a message."""
    return key if len(key) <= LONGEST_KEY_SHOWN else key[:LONGEST_KEY_SHOWN] + "…"


def _custom_id(value: bytes, path: str) -> str:
    if not value.startswith(b'"'):
        raise InvalidRequest(f"{path}: Input should be a valid string")
    custom_id = text(value, (0, len(value)))
    if not custom_id:
        raise InvalidRequest(f"{path}: String should have at least 1 character")
    if len(custom_id) > LONGEST_CUSTOM_ID:
        raise InvalidRequest(f"{path}: String should have at most {LONGEST_CUSTOM_ID} characters")
    if not _ALLOWED.fullmatch(custom_id):
        raise InvalidRequest(f"{path}: String should match pattern '{PATTERN}'")
    return custom_id


def _beginning(params: msgspec.Raw) -> Beginning:
    try:
        return _begun.decode(params)
    except _REFUSALS:  # a number too large for Python is no name, and the params are judged later
        return Beginning()


def text(value: bytes | bytearray, span: Span) -> str:
    """Return what the JSON string that lies there says, of a long one the beginning."""
    begin, end = span
    raw = bytes(value[begin : min(end, begin + LONGEST_KEY_READ)])
    if len(raw) == end - begin:
        return _string.decode(raw)
    for cut in range(len(raw), 0, -1):
        with suppress(msgspec.MsgspecError, ValueError):  # this cut an escape or a character
            return _string.decode(raw[:cut] + b'"')
    raise AssertionError("a JSON string has no beginning")


def _short(model: msgspec.Raw) -> object:
    """Return what stands for the model's name, if it may be one."""
    return _string.decode(model) if len(model) <= LONGEST_NAME_READ and bytes(model)[:1] == b'"' else ""


def _is_too_deep(window: bytes, params: Sequence[msgspec.Raw]) -> bool:
    """Whether the value of a request nests deeper than allowed, be it one that a later key replaces.

    Brackets bound the depth, and counting them is cheap: each request has one of its own and at least one in params.
    """
    openers = _openers(window) - 1
    if openers - 2 * len(params) < DEEPEST:
        return False
    if openers != len(params) + _openers(b"".join(params)):
        return nesting(window) > DEEPEST + 2
    long = (bytes(value) for value in params if len(value) >= 2 * DEEPEST)
    return any(_openers(value) > DEEPEST and nesting(value) > DEEPEST for value in long)


def _openers(json: bytes) -> int:
    """Count opening brackets, in strings too. ``replace`` finds them five times as fast as ``count``."""
    return len(json) - len(json.replace(b"[", b"").replace(b"{", b""))
