"""The shapes of tools and of the choice among them, and what must hold between the two."""

from collections.abc import Mapping
from typing import Any

from batchyard.domain import params_tables as tables
from batchyard.domain.params_content import CACHE_CONTROL, CITATIONS, OPEN
from batchyard.domain.shapes import (
    Check,
    anything,
    each,
    flag,
    mapping,
    nullable,
    one_of,
    quoted,
    record,
    tagged,
    text,
    whole,
)

Members = dict[str, Any]

_CALLERS = ("direct", "code_execution_20250825", "code_execution_20260120", "code_execution_20260521")
_SHARED: Mapping[str, Check] = {
    "cache_control": CACHE_CONTROL,
    "strict": nullable(flag),
    "defer_loading": nullable(flag),
    "allowed_callers": nullable(each(one_of(*_CALLERS))),
}
_EXAMPLES = {"input_examples": nullable(each(mapping))}
_DOMAINS = nullable(each(text(least=1)))
_USES = {"max_uses": nullable(whole(least=1)), "allowed_domains": _DOMAINS, "blocked_domains": _DOMAINS}
_LOCATION = record(
    {"type": one_of("approximate")},
    {
        "city": nullable(text(least=1, most=255)),
        "region": nullable(text(least=1, most=255)),
        "country": nullable(text(least=2, most=2)),
        "timezone": nullable(text(least=1, most=255)),
    },
)
_SEARCH = {**_USES, "user_location": nullable(_LOCATION)}
_FETCH = {**_USES, "citations": CITATIONS, "max_content_tokens": nullable(whole(least=1))}
_SOURCED = {"url_sources": nullable(mapping), "use_cache": nullable(flag)}
_INCLUSION = {"response_inclusion": nullable(one_of("full", "excluded"))}

_TYPED: Mapping[str, tuple[str, Mapping[str, Check]]] = {
    "bash_20250124": ("bash", _EXAMPLES),
    "code_execution_20250522": ("code_execution", {}),
    "code_execution_20250825": ("code_execution", {}),
    "code_execution_20260120": ("code_execution", {}),
    "code_execution_20260521": ("code_execution", {}),
    "memory_20250818": ("memory", _EXAMPLES),
    "text_editor_20250124": ("str_replace_editor", _EXAMPLES),
    "text_editor_20250429": ("str_replace_based_edit_tool", _EXAMPLES),
    "text_editor_20250728": (
        "str_replace_based_edit_tool",
        {**_EXAMPLES, "max_characters": nullable(whole(least=1))},
    ),
    "web_search_20250305": ("web_search", _SEARCH),
    "web_search_20260209": ("web_search", _SEARCH),
    "web_search_20260318": ("web_search", {**_SEARCH, **_INCLUSION}),
    "web_fetch_20250910": ("web_fetch", {**_FETCH, "url_sources": nullable(mapping)}),
    "web_fetch_20260209": ("web_fetch", {**_FETCH, "url_sources": nullable(mapping)}),
    "web_fetch_20260309": ("web_fetch", {**_FETCH, **_SOURCED}),
    "web_fetch_20260318": ("web_fetch", {**_FETCH, **_SOURCED, **_INCLUSION}),
    "tool_search_tool_regex": ("tool_search_tool_regex", {}),
    "tool_search_tool_regex_20251119": ("tool_search_tool_regex", {}),
    "tool_search_tool_bm25": ("tool_search_tool_bm25", {}),
    "tool_search_tool_bm25_20251119": ("tool_search_tool_bm25", {}),
}
"""Type of a tool that the service defines -> its fixed name, and the keys that it has beside the shared ones."""

_TOOLSETS = ("browser_toolset_20260801", "computer_toolset_20260801")


def _object_type(value: object) -> str | None:
    return None if value == "object" else ": Input should be 'object'"


_CUSTOM = record(
    {
        "name": text(pattern=r"^[a-zA-Z0-9_-]{1,128}$"),
        "input_schema": record({"type": _object_type}, {"properties": nullable(mapping)}, extra=anything),
    },
    {
        "type": anything,
        "description": nullable(text()),
        "eager_input_streaming": nullable(flag),
        **_EXAMPLES,
        **_SHARED,
    },
)


def tools(granted: frozenset[str]) -> Check:
    """Return the check of ``tools``."""
    shapes: dict[str, Check] = {"custom": _CUSTOM}
    for kind, (name, own) in _TYPED.items():
        shapes[kind] = record({"type": anything, "name": one_of(name)}, {**own, **_SHARED})
    for kind in _TOOLSETS:
        shapes[kind] = record({"type": anything}, {"configs": nullable(mapping), "cache_control": CACHE_CONTROL})
    shapes |= dict.fromkeys(tables.opened(tables.TOOLS, granted), OPEN)
    return each(tagged(shapes, default="custom"))


_PARALLEL = {"disable_parallel_tool_use": flag}
TOOL_CHOICE: Check = tagged(
    {
        "auto": record({"type": anything}, _PARALLEL),
        "any": record({"type": anything}, _PARALLEL),
        "tool": record({"type": anything, "name": text()}, _PARALLEL),
        "none": record({"type": anything}),
    }
)


def tools_flaw(members: Members) -> str | None:
    """Return what is wrong between tools, and between them and the choice among them."""
    names = [tool["name"] for tool in members.get("tools") or [] if isinstance(tool.get("name"), str)]
    if len(set(names)) < len(names):
        return "tools: Tool names must be unique."
    choice = members.get("tool_choice")
    if choice is None:
        return None
    if choice["type"] == "tool" and choice["name"] not in names:
        return f"Tool '{quoted(choice['name'])}' not found in provided tools"
    if choice["type"] == "any" and not members.get("tools"):
        return "tool_choice: may only be specified while providing tools"
    return None
