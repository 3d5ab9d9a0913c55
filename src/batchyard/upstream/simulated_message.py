"""A simulated Message: its blocks and stop reason from what the prompt asks for, its usage from the rules of tokens."""

from dataclasses import dataclass
from typing import Any

from batchyard.upstream.simulated_limits import Ended, end_answer
from batchyard.upstream.simulated_prompt import Prompt
from batchyard.upstream.simulated_text import stretch, write_text
from batchyard.upstream.simulated_tokens import cut_text

Block = dict[str, Any]

CUT_AFTER = 1024
"""Tokens after which an answer that a marker wants cut is cut, where ``max_tokens`` allows more."""


class CannotSimulate(ValueError):
    """The request is well-formed, and the simulator has no answer to it; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Input:
    """What the input cost, and how much of it the prompt cache read and wrote."""

    tokens: int
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0


def compose(prompt: Prompt) -> Ended:
    """Return the blocks of the answer and why it ends; raises ``CannotSimulate``."""
    stop_reason = prompt.wishes.stop_reason
    if stop_reason == "refusal":
        return Ended([], "refusal", None, 0, 0)
    members = prompt.params.members
    most = prompt.params.max_tokens
    sequences = members.get("stop_sequences") or []
    blocks, natural = _blocks(prompt)
    if stop_reason == "max_tokens":
        most = min(most, CUT_AFTER)
        blocks = [_text(stretch(write_text(prompt), most + 1, prompt.dice))]
    elif stop_reason == "stop_sequence":
        blocks = [_text(_with_stop(write_text(prompt), sequences))]
    elif stop_reason is not None:
        natural = stop_reason
    return end_answer(blocks, natural, max_tokens=most, stop_sequences=sequences)


def message(prompt: Prompt, ended: Ended, given: Input, *, batched: bool) -> dict[str, Any]:
    """Return the Message, every field of it."""
    refused = ended.stop_reason == "refusal"
    writes = {"ephemeral_5m_input_tokens": given.cache_write_5m, "ephemeral_1h_input_tokens": given.cache_write_1h}
    return {
        "id": prompt.dice.simulated_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": prompt.params.model.id,
        "content": ended.content,
        "stop_reason": ended.stop_reason,
        "stop_sequence": ended.stop_sequence,
        "stop_details": _refusal(prompt.wishes.refusal_category) if refused else None,
        "container": None,
        "diagnostics": None,
        "usage": {
            "input_tokens": given.tokens - given.cache_read - given.cache_write_5m - given.cache_write_1h,
            "cache_creation_input_tokens": given.cache_write_5m + given.cache_write_1h,
            "cache_read_input_tokens": given.cache_read,
            "cache_creation": writes,
            "output_tokens": ended.output_tokens,
            "output_tokens_details": {"thinking_tokens": ended.thinking_tokens} if ended.thinking_tokens else None,
            "server_tool_use": None,
            "service_tier": "batch" if batched else "standard",
            "inference_geo": "not_available",
            "speed": prompt.params.members.get("speed"),
        },
    }


def _blocks(prompt: Prompt) -> tuple[list[Block], str]:
    return [_text(write_text(prompt))], "end_turn"


def _text(words: str) -> Block:
    return {"type": "text", "text": words, "citations": None}


def _with_stop(written: str, sequences: list[str]) -> str:
    if not sequences:
        raise CannotSimulate("simulator: the marker stop_sequence needs a request with stop_sequences")
    return cut_text(written, 1 + len(written) // 8) + sequences[0]


def _refusal(category: str | None) -> dict[str, Any]:
    return {
        "type": "refusal",
        "category": category,
        "explanation": "A marker in the request asked the simulator for this refusal.",
    }
