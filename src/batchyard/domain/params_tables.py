"""Which keys, blocks and tools need a beta, by the beginning of its name. Dated 2026-11-20."""

from collections.abc import Mapping

OLDEST_VERSION = "2023-06-01"
"""The API version whose lines may still name sampling values; later ones may not."""

TOP_LEVEL: Mapping[str, tuple[str, ...]] = {
    "mcp_servers": ("mcp-client-",),
    "context_management": ("context-management-", "compact-"),
    "compaction": ("compact-",),
    "fallbacks": ("server-side-fallback-",),
    "fallback_credit_token": ("fallback-credit-", "server-side-fallback-"),
    "billing_policy": ("user-profiles-billing-",),
    "thread": ("message-threads-",),
    "output_format": ("structured-outputs-",),
}
BLOCKS: Mapping[str, tuple[str, ...]] = {
    "mcp_tool_use": ("mcp-client-",),
    "mcp_tool_result": ("mcp-client-",),
    "mcp_tool_listing": ("mcp-client-",),
    "compaction": ("compact-",),
    "fallback": ("server-side-fallback-",),
    "advisor_tool_result": ("advisor-tool-",),
    "tool_addition": ("mid-conversation-tool-changes-", "inline-tools-"),
    "tool_removal": ("mid-conversation-tool-changes-", "inline-tools-"),
}
TOOLS: Mapping[str, tuple[str, ...]] = {
    "mcp_toolset": ("mcp-client-",),
    "advisor_20260301": ("advisor-tool-",),
    "computer_20241022": ("computer-use-",),
    "computer_20250124": ("computer-use-",),
    "computer_20251124": ("computer-use-",),
    "bash_20241022": ("computer-use-",),
    "text_editor_20241022": ("computer-use-",),
}
TASK_BUDGET = "task-budgets-"
SYSTEM_MESSAGES = "mid-conversation-"
THINKING_KEYS = ("thinking-binding-controls-", "thinking-display-updates-")
INTERLEAVED = "interleaved-thinking-"

_KNOWN = frozenset(
    [beginning for table in (TOP_LEVEL, BLOCKS, TOOLS) for needed in table.values() for beginning in needed]
    + [TASK_BUDGET, SYSTEM_MESSAGES, *THINKING_KEYS, INTERLEAVED]
)


def grants(betas: tuple[str, ...]) -> frozenset[str]:
    """Return the beginnings, of those that open something here, that one of the betas has."""
    if not betas:
        return frozenset()
    return frozenset(beginning for beginning in _KNOWN for beta in betas if beta.startswith(beginning))


def opened(table: Mapping[str, tuple[str, ...]], granted: frozenset[str]) -> list[str]:
    """Return the names of the table that the granted betas allow."""
    return [name for name, needed in table.items() if not granted.isdisjoint(needed)]
