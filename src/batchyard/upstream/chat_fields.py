"""Reading the members of params one by one: each is carried over or named in a refusal, none is dropped in silence."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

Fields = Mapping[str, msgspec.Raw]

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL = b"null"


class CannotCarry(Exception):
    """Chat completions have no place for something; the message names it."""


def cannot(path: str, why: str) -> CannotCarry:
    """Return what to raise, with the path of what cannot be carried."""
    return CannotCarry(f"{path}: {why}")


def fields(raw: bytes | msgspec.Raw, path: str) -> Fields:
    """Return the members of an object, those that are null left out."""
    try:
        members = _fields.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise cannot(path, "Input should be an object") from None
    return {name: value for name, value in members.items() if bytes(value) != _NULL}


def read(raw: msgspec.Raw, wanted: Any, path: str) -> Any:
    """Return a value of this type."""
    try:
        return msgspec.json.decode(raw, type=wanted)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        name = {str: "text", bool: "a boolean", int: "an integer"}.get(wanted, "of another type")
        raise cannot(path, f"Input should be {name}") from None


def text(members: Fields, name: str, path: str) -> str:
    """Return a member that must be there, and text."""
    if name not in members:
        raise cannot(f"{path}.{name}", "Field required")
    return str(read(members[name], str, f"{path}.{name}"))


def items(raw: msgspec.Raw, path: str) -> list[msgspec.Raw]:
    """Return the elements of a list."""
    found: list[msgspec.Raw] = read(raw, list[msgspec.Raw], path)
    return found


def only(members: Fields, known: Iterable[str], path: str) -> None:
    """Refuse members that nobody here carries."""
    for name in members:
        if name not in known:
            raise cannot(f"{path}.{name}" if path else name, "chat completions cannot carry this")
