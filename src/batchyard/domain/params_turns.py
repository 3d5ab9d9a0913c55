"""What must hold between the messages of a request: content that is not empty, tool results that answer tool uses,
and the marks for the prompt cache."""

from collections.abc import Iterator
from typing import Any

from batchyard.domain.shapes import quoted

Members = dict[str, Any]
Block = dict[str, Any]

MOST_CACHE_MARKS = 4


def turns_flaw(members: Members) -> str | None:
    """Return what is wrong with the order of the messages or what they lack."""
    messages = members["messages"]
    for place, message in enumerate(messages):
        if message["content"] in ("", []) and not (message["role"] == "assistant" and place == len(messages) - 1):
            sentence = "all messages must have non-empty content except for the optional final assistant message"
            return f"messages.{place}: {sentence}"
    if all(type(message["content"]) is str for message in messages):
        return None
    return _pairing_flaw(list(_turns(messages)))


def marks_flaw(members: Members) -> str | None:
    """Return what is wrong with the marks for the prompt cache: too many, or an hour after five minutes."""
    marks = [(path, mark) for path, block in blocks(members) if (mark := block.get("cache_control"))]
    if mark := members.get("cache_control"):
        marks.append(("cache_control", mark))
    if len(marks) > MOST_CACHE_MARKS:
        return f"A maximum of {MOST_CACHE_MARKS} blocks with cache_control may be provided. Found {len(marks)}."
    short = False
    for path, mark in marks:
        if mark.get("ttl") != "1h":
            short = True
        elif short:
            return (
                f"{path}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
                "cache_control block. Note that blocks are processed in the following order: `tools`, `system`, "
                "`messages`."
            )
    return None


def blocks(members: Members) -> Iterator[tuple[str, Block]]:
    """Yield every block in the order in which the prompt cache sees them, each with its path."""
    for place, tool in enumerate(members.get("tools") or []):
        yield f"tools.{place}", tool
    if isinstance(members.get("system"), list):
        yield from _listed("system", members["system"])
    for place, message in enumerate(members["messages"]):
        if type(message["content"]) is list:
            yield from _listed(f"messages.{place}.content", message["content"])


def _listed(path: str, listed: list[Block]) -> Iterator[tuple[str, Block]]:
    for place, block in enumerate(listed):
        content = block.get("content")
        if block.get("type") == "tool_result" and type(content) is list:
            yield from _listed(f"{path}.{place}.content", content)
        yield f"{path}.{place}", block


def _turns(messages: list[Block]) -> Iterator[tuple[str, int, list[tuple[str, Block]]]]:
    """Yield role, place of the last message and blocks of each turn: neighbours of one role are one turn."""
    role, last, gathered = "", 0, list[tuple[str, Block]]()
    for place, message in enumerate(messages):
        if message["role"] == "system":
            continue
        if message["role"] != role and role:
            yield role, last, gathered
            gathered = []
        role, last = message["role"], place
        if type(message["content"]) is list:
            gathered += [(f"messages.{place}.content.{at}", block) for at, block in enumerate(message["content"])]
    if role:
        yield role, last, gathered


def _pairing_flaw(turns: list[tuple[str, int, list[tuple[str, Block]]]]) -> str | None:
    asked: list[str] = []
    asked_at = 0
    for role, last, gathered in turns:
        if role == "assistant":
            asked = [block["id"] for _, block in gathered if block.get("type") == "tool_use"]
            asked_at = last
            continue
        results = [(path, block["tool_use_id"]) for path, block in gathered if block.get("type") == "tool_result"]
        stray = next((path for path, answered in results if answered not in asked), None)
        open_ids = set(asked) - {answered for _, answered in results}
        if stray is not None:
            return _stray_result(stray, next(answered for path, answered in results if path == stray))
        if open_ids:
            return _open_uses(asked_at, [each for each in asked if each in open_ids])
        asked = []
    return _open_uses(asked_at, asked) if asked else None


def _stray_result(path: str, answered: str) -> str:
    return (
        f"{path}: unexpected `tool_use_id` found in `tool_result` blocks: {quoted(answered)}. Each `tool_result` block "
        "must have a corresponding `tool_use` block in the previous message."
    )


def _open_uses(place: int, open_ids: list[str]) -> str:
    return (
        f"messages.{place}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{quoted(', '.join(open_ids))}. Each `tool_use` block must have a corresponding `tool_result` block in the "
        "next message."
    )
