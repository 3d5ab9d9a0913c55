"""What Ollama's Messages API would leave out without a word is refused by name; what it reads goes through."""

import json
from typing import Any

import pytest

from batchyard.domain.unheeded import unheeded

TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object"}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}


def asked(*blocks: dict[str, Any], **members: Any) -> bytes:
    content = list(blocks) or "hello"
    return json.dumps(
        {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": content}], **members}
    ).encode()


def result(**members: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t", **members}


@pytest.mark.parametrize(
    "params",
    [
        asked(),
        asked({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}, IMAGE),
        asked(
            system=[{"type": "text", "text": "x"}],
            temperature=0.5,
            top_p=1,
            top_k=3,
            stop_sequences=["x"],
            stream=False,
        ),
        asked(
            tools=[
                TOOL,
                {**TOOL, "type": "custom", "strict": False},
                {"type": "web_search_20250305", "name": "web_search"},
            ]
        ),
        asked(tools=[TOOL], tool_choice={"type": "auto"}),
        asked(tools=[TOOL], tool_choice={"type": "auto", "disable_parallel_tool_use": False}),
        asked(thinking={"type": "enabled", "budget_tokens": 1024}, output_config={"effort": "low"}),
        asked(metadata={"user_id": "u"}, service_tier="auto", container=None),
        asked(result(content=[{"type": "text", "text": "x"}, IMAGE], is_error=False)),
        asked({"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "redacted_thinking", "data": "x"}),
        b"[]",
        b"not json",
        b'{"messages": 5, "tools": {}, "system": 1, "output_config": []}',
    ],
)
def test_what_it_reads_goes_through_and_so_does_what_it_refuses_itself(params: bytes) -> None:
    assert unheeded(params) is None


@pytest.mark.parametrize(
    ("params", "path"),
    [
        (asked(tools=[TOOL], tool_choice={"type": "any"}), "tool_choice"),
        (asked(tools=[TOOL], tool_choice={"type": "none"}), "tool_choice"),
        (asked(tools=[TOOL], tool_choice={"type": "tool", "name": "f"}), "tool_choice"),
        (asked(tools=[TOOL], tool_choice={"type": "auto", "disable_parallel_tool_use": True}), "tool_choice"),
        (
            asked(output_config={"effort": "low", "format": {"type": "json_schema", "schema": {}}}),
            "output_config.format",
        ),
        (asked(mcp_servers=[{"name": "x"}]), "mcp_servers"),
        (asked(tools=[TOOL, {**TOOL, "strict": True}]), "tools.1.strict"),
        (asked(tools=[{"type": "bash_20250124", "name": "bash"}]), "tools.0.type"),
        (asked(system=[{"type": "image"}]), "system.0"),
        (asked({"type": "text", "text": "x"}, {"type": "document", "source": {}}), "messages.0.content.1"),
        (asked({"type": "search_result"}), "messages.0.content.0"),
        (asked(result(content="no such file", is_error=True)), "messages.0.content.0.is_error"),
        (asked(result(content=[{"type": "document"}])), "messages.0.content.0.content.0"),
    ],
)
def test_what_it_would_drop_is_named(params: bytes, path: str) -> None:
    refused = unheeded(params)

    assert refused is not None
    assert refused.type == "invalid_request_error"
    assert refused.message.startswith(f"{path}: Ollama")
