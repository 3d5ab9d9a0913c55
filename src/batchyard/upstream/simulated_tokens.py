"""How the simulator counts tokens: by a rule that anyone can check, not by a vocabulary.

Four bytes of UTF-8 are a token, the last one may be shorter. A message costs four more, a tool twelve. An image costs
its width times height over 750, a page of a PDF 1,500.
"""

from typing import Any

import msgspec

Block = dict[str, Any]

BYTES_A_TOKEN = 4
MESSAGE_TOKENS = 4
TOOL_TOKENS = 12
PIXELS_A_TOKEN = 750
PAGE_TOKENS = 1500

_encode = msgspec.json.Encoder().encode


def count_text(text: str) -> int:
    """Return how many tokens the text is."""
    size = len(text) if text.isascii() else len(text.encode())
    return -(-size // BYTES_A_TOKEN)


def cut_text(text: str, tokens: int) -> str:
    """Return the beginning of the text that is at most so many tokens."""
    if count_text(text) <= tokens:
        return text
    return text.encode()[: tokens * BYTES_A_TOKEN].decode(errors="ignore")


def count_json(value: object) -> int:
    """Return how many tokens the value is, written as JSON."""
    return -(-len(_encode(value)) // BYTES_A_TOKEN)


def count_tool(tool: Block) -> int:
    """Return what one tool costs."""
    return TOOL_TOKENS + count_json(tool)


def count_block(block: Block, attached: dict[int, int]) -> int:
    """Return what one block of a message costs; ``attached`` says what images and files do, by identity."""
    known = attached.get(id(block))
    if known is not None:
        return known
    kind = block.get("type")
    if kind == "text":
        return count_text(block["text"])
    content = block.get("content")
    if kind == "tool_result":
        return 1 + count_content(content or "", attached)
    if kind == "document":
        return _count_document(block, attached)
    return count_json(block)


def count_content(content: str | list[Block], attached: dict[int, int]) -> int:
    """Return what the content of a message costs."""
    if isinstance(content, str):
        return count_text(content)
    return sum(count_block(block, attached) for block in content)


def count_members(members: dict[str, Any], attached: dict[int, int]) -> int:
    """Return what the whole request costs: system, tools and messages."""
    total = count_content(members.get("system") or "", attached)
    total += sum(count_tool(tool) for tool in members.get("tools") or [])
    for message in members["messages"]:
        total += MESSAGE_TOKENS + count_content(message["content"], attached)
    return total


def _count_document(block: Block, attached: dict[int, int]) -> int:
    source = block["source"]
    about = count_text(block.get("title") or "") + count_text(block.get("context") or "")
    if source["type"] == "text":
        return about + count_text(source["data"])
    if source["type"] == "content":
        return about + count_content(source["content"], attached)
    return about + count_json(source)
