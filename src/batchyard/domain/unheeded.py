"""What of a request Ollama's Messages API would drop in silence, by name: such a request is refused before it is sent.

A table of what it reads, from its source (``docs/design/upstream.md``). Harmless to leave out, and let through: what
tells of a request and not of its answer (``metadata``, ``service_tier``, marks for caching), and thinking that only its
author can read.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from batchyard.domain.result import RequestError

_READ = frozenset(
    {
        "model",
        "max_tokens",
        "messages",
        "system",
        "stream",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "metadata",
        "service_tier",
        "cache_control",
    }
)
_OF_TOOLS = frozenset(
    {
        "type",
        "name",
        "description",
        "input_schema",
        "cache_control",
        "max_uses",
        "eager_input_streaming",
    }
)
_BLOCKS = frozenset(
    {
        "text",
        "image",
        "tool_use",
        "tool_result",
        "thinking",
        "redacted_thinking",
        "server_tool_use",
        "web_search_tool_result",
    }
)
_IN_RESULTS = frozenset({"text", "image"})
_WHY = 'Ollama\'s Messages API would leave this out in silence; its chat completions (api = "chat-completions") may not'


def unheeded(params: bytes) -> RequestError | None:
    """Return why a request for Ollama is refused, None where it reads all of it, or refuses it itself."""
    try:
        asked = msgspec.json.decode(params)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    path = next(_dropped(asked), None) if isinstance(asked, dict) else None
    return None if path is None else RequestError("invalid_request_error", f"{path}: {_WHY}")


def _dropped(asked: dict[str, Any]) -> Iterator[str]:
    yield from (name for name in asked if name not in _READ and asked[name] is not None)
    choice = asked.get("tool_choice")
    if isinstance(choice, dict) and (choice.get("type") != "auto" or choice.get("disable_parallel_tool_use")):
        yield "tool_choice"
    output = asked.get("output_config")
    if isinstance(output, dict):
        yield from (f"output_config.{name}" for name in output if name != "effort" and output[name] is not None)
    for number, tool in enumerate(_dicts(asked.get("tools"))):
        yield from (f"tools.{number}.{name}" for name in tool if name not in _OF_TOOLS and tool[name])
        kind = tool.get("type") or "custom"
        if kind != "custom" and not str(kind).startswith("web_search"):
            yield f"tools.{number}.type"
    for number, block in enumerate(_dicts(asked.get("system"))):
        if block.get("type") != "text":
            yield f"system.{number}"
    for number, message in enumerate(_dicts(asked.get("messages"))):
        yield from _of_content(message.get("content"), f"messages.{number}.content")


def _of_content(content: object, path: str) -> Iterator[str]:
    for number, block in enumerate(_dicts(content)):
        here = f"{path}.{number}"
        if block.get("type") not in _BLOCKS:
            yield here
        elif block["type"] == "tool_result":
            if block.get("is_error"):
                yield f"{here}.is_error"
            inner = enumerate(_dicts(block.get("content")))
            yield from (f"{here}.content.{n}" for n, one in inner if one.get("type") not in _IN_RESULTS)


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
