"""What a create body comes to by a strict parser of whole documents; it needs no test tool, as the fuzzer has none."""

import json
import re
from typing import Any


class NotStrict(ValueError):
    pass


class Members(list[tuple[str, Any]]):
    """The members of a JSON object in order, keys given twice and all."""


def members(pairs: list[tuple[str, Any]]) -> Members:
    return Members(pairs)


def strict(body: bytes) -> Any:
    """Parse as RFC 8259 has it: UTF-8, no constants beyond it, no half surrogates. Numbers stay as they are written."""

    def refuse(constant: str) -> None:
        raise NotStrict(constant)

    def check(value: Any) -> Any:
        match value:
            case str():
                value.encode()
            case Members():
                for key, member in value:
                    key.encode()
                    check(member)
            case list():
                for each in value:
                    check(each)
        return value

    text = body.decode()
    if text.startswith("\ufeff"):
        raise NotStrict("byte order mark")
    return check(
        json.loads(text, object_pairs_hook=members, parse_constant=refuse, parse_int=lambda s: ("n", s),
                   parse_float=lambda s: ("n", s))
    )  # fmt: skip


def reference(body: bytes) -> list[tuple[str, Any]] | None:
    """Return (custom_id, params) of each request, or None for a body that must be refused."""
    try:
        document = strict(body)
    except ValueError:
        return None
    if not isinstance(document, Members) or not document or {key for key, _ in document} != {"requests"}:
        return None
    lists = [value for _, value in document]
    if not isinstance(lists[-1], list) or isinstance(lists[-1], Members) or not lists[-1]:
        return None
    found: list[tuple[str, Any]] = []
    for each in lists:  # one that is replaced later is judged all the same: it was read by then
        if isinstance(each, list) and not isinstance(each, Members):
            found = [request for request in map(entry, each) if request is not None]
            if len(found) != len(each) or len({custom_id for custom_id, _ in found}) != len(each):
                return None
    return found


def entry(value: Any) -> tuple[str, Any] | None:
    if not isinstance(value, Members) or {key for key, _ in value} != {"custom_id", "params"}:
        return None
    last = dict(value)
    custom_id, params = last["custom_id"], last["params"]
    if not isinstance(custom_id, str) or not re.fullmatch("[a-zA-Z0-9_-]{1,64}", custom_id):
        return None
    return (custom_id, params) if isinstance(params, Members) else None
