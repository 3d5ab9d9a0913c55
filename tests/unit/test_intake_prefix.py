"""Which requests of a create body count as beginning alike."""

import json
from typing import Any

import pytest

from batchyard.intake.body import Intake, Limits

LONG, MARKED = "s" * 1100, {"cache_control": {"type": "ephemeral"}}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def said(*blocks: dict[str, Any] | str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [text(one) if isinstance(one, str) else one for one in blocks]}]


def prefixes(*members: dict[str, Any], at_once: bool = True) -> list[int]:
    """The groups of requests with these members: 0 for none, else 1, 2, ... in the order in which they come up."""
    requests = [
        {"custom_id": f"r{number}", "params": {"model": "m", "max_tokens": 1, "messages": said(f"{number}"), **one}}
        for number, one in enumerate(members)
    ]
    intake = Intake(Limits(), window_bytes=2**20 if at_once else 64)
    intake.feed(json.dumps({"requests": requests}).encode())
    intake.finish()
    names: dict[int, int] = {0: 0}
    return [names.setdefault(prefix, len(names)) for prefix in intake.drafts.prefixes]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_long_system_prompt_or_long_tools_make_a_group(at_once: bool) -> None:
    tools = [{"name": "f", "description": LONG, "input_schema": {"type": "object"}}]
    members: list[dict[str, Any]] = [{"system": LONG}, {"system": LONG + "!"}, {"system": LONG}, {"tools": tools}, {}]

    assert prefixes(*members, {"tools": tools}, at_once=at_once) == [1, 2, 1, 3, 0, 3]


def test_a_short_beginning_makes_none_unless_it_is_marked() -> None:
    marked = [text("brief", **MARKED)]

    assert prefixes({"system": "brief"}, {"system": "brief"}) == [0, 0]
    assert prefixes({"system": marked}, {"system": marked}, {"system": "brief"}) == [1, 1, 0]


def test_marked_messages_count_up_to_the_last_mark_that_something_follows() -> None:
    book, other = text("a book", **MARKED), text("another", **MARKED)

    assert prefixes(
        {"messages": said(book, "one?")},
        {"messages": said(book, "two?")},
        {"messages": said(other, "one?")},
        {"messages": said(book, text("three?", **MARKED))},
        {"messages": said(text("all of it", **MARKED))},
    ) == [1, 1, 2, 1, 0]


def test_odd_params_are_in_no_group() -> None:
    odd: list[dict[str, Any]] = [{"messages": 3}, {"messages": [["cache_control"]]}, {"system": None}, {"tools": 1.5}]

    assert prefixes(*odd) == [0, 0, 0, 0]
