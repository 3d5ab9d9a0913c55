"""What people want of a result: its text, the JSON in it, or what a tool was called with."""

import re
from typing import Any

import msgspec

EXTRACTS = ("text", "json", "tool")
_FENCE = re.compile(r"\s*```[a-zA-Z]*\n(.*)\n```\s*\Z", re.DOTALL)

_line = msgspec.json.Decoder()


class Answer(msgspec.Struct, frozen=True):
    """The columns that are joined to a row, in their order. ``answer`` is None where there is none, or no such one."""

    result: str
    answer: Any = None
    error: str | None = None
    stop_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


COLUMNS = Answer.__struct_fields__


def answer_of(line: bytes, extract: str) -> Answer:
    """Return what a result line says, with the part of its message that was asked for."""
    result = _line.decode(line)["result"]
    kind = result["type"]
    if kind != "succeeded":
        return Answer(kind, error=_reason(result.get("error")) if kind == "errored" else None)
    message = result["message"]
    usage = message.get("usage") or {}
    tokens = [usage.get(f"{which}input_tokens") or 0 for which in ("", "cache_creation_", "cache_read_")]
    try:
        answer, error = extracted(message, extract), None
    except ValueError as problem:
        answer, error = None, str(problem)
    return Answer(kind, answer, error, message.get("stop_reason"), sum(tokens), usage.get("output_tokens"))


def extracted(message: dict[str, Any], extract: str) -> Any:
    """Return the text of a message, the JSON that it is, or the input of its first tool; ``ValueError`` if none."""
    blocks = message.get("content") or []
    if extract == "tool":
        for block in blocks:
            if block.get("type") == "tool_use":
                return block.get("input")
        raise ValueError("no tool was called")
    text = "".join(block.get("text") or "" for block in blocks if block.get("type") == "text")
    return text if extract == "text" else _json(text)


def _json(text: str) -> Any:
    fenced = _FENCE.match(text)
    try:
        return msgspec.json.decode(fenced[1] if fenced else text)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("the answer is not JSON") from None


def _reason(error: Any) -> str:
    while isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]
    return f"{error.get('type')}: {error.get('message')}" if isinstance(error, dict) else "without a reason"
