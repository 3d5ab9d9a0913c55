"""The light judgement of params, for lanes whose model server judges the rest: what a batch cannot carry, and no more.

A user of such a server may send whatever it understands, under any version of the API. Fast mode is not for batches:
where a server has it, it costs a multiple of what the wait is meant to save.
"""

from typing import Any

import msgspec

from batchyard.domain.result import RequestError


class _Known(msgspec.Struct):
    """The members that matter here. Everything else is the model server's to judge."""

    model: str
    max_tokens: int
    messages: list[msgspec.Raw]
    stream: bool | None = None
    speed: msgspec.Raw = msgspec.Raw()


_LONGEST_FAST = len('"fast"') + 5 * len("fast")
"""Each letter may be written as an escape of six bytes."""
_known = msgspec.json.Decoder(_Known)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_WANTED: dict[str, tuple[Any, str]] = {
    "model": (str, "a valid string"),
    "max_tokens": (int, "a valid integer"),
    "messages": (list[msgspec.Raw], "a valid list"),
}


def refuse(raw: bytes) -> RequestError | None:
    """Return why a batch cannot carry these params to any server, None if it can."""
    try:
        known = _known.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _first_wrong(raw)
    if known.stream:
        return _error('"stream=True" is not supported in the Message Batches API')
    if _is_fast(known.speed):
        return _error("speed: fast mode is not supported in the Message Batches API")
    if known.max_tokens < 1:
        return _error("max_tokens: must be greater than or equal to 1")
    if not known.messages:
        return _error("messages: at least one message is required")
    return None


def _is_fast(speed: msgspec.Raw) -> bool:
    return 0 < len(speed) <= _LONGEST_FAST and msgspec.json.decode(speed) == "fast"


def _first_wrong(raw: bytes) -> RequestError | None:
    try:
        members = _members.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _error("params: Input should be a valid dictionary")
    for name, (wanted, words) in _WANTED.items():
        if name not in members:
            return _error(f"{name}: Field required")
        try:
            msgspec.json.decode(members[name], type=wanted)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _error(f"{name}: Input should be {words}")
    return _error("stream: Input should be a valid boolean")


def _error(message: str) -> RequestError:
    return RequestError("invalid_request_error", message)
