"""What the simulator reads out of a request: who asks for what in the last user turn, and with which markers."""

from dataclasses import dataclass
from typing import Any

from batchyard.domain.params import Params
from batchyard.upstream.simulated_dice import Dice
from batchyard.upstream.simulated_markers import Wishes, read_markers

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """``asked`` is the text of the last user turn without markers, ``blocks`` its blocks where it has any, ``prefill``
    the words of the answer that the caller already wrote."""

    params: Params
    asked: str
    blocks: list[Block]
    system: str
    prefill: str
    wishes: Wishes
    dice: Dice


def read_prompt(params: Params, dice: Dice) -> Prompt:
    """Read the request; raises ``CannotSimulate``."""
    messages = [message for message in params.members["messages"] if message["role"] != "system"]
    prefill = ""
    while messages and messages[-1]["role"] == "assistant":
        prefill = plain_text(messages.pop()["content"]) + prefill
    blocks: list[Block] = []
    texts: list[str] = []
    while messages and messages[-1]["role"] == "user":
        content = messages.pop()["content"]
        blocks[:0] = content if isinstance(content, list) else []
        texts.insert(0, plain_text(content))
    wishes, asked = read_markers("\n".join(texts))
    return Prompt(params, asked, blocks, plain_text(params.members.get("system") or ""), prefill, wishes, dice)


def plain_text(content: str | list[Block]) -> str:
    """Return the text of the content, without what is not text."""
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block.get("type") == "text")
