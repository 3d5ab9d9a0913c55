"""A simulated Message: its blocks and stop reason from what the prompt asks for, its usage from the rules of tokens."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from batchyard.upstream.simulated_cache import CacheUse
from batchyard.upstream.simulated_citations import cite
from batchyard.upstream.simulated_limits import Ended, end_answer
from batchyard.upstream.simulated_markers import CannotSimulate
from batchyard.upstream.simulated_prompt import Prompt
from batchyard.upstream.simulated_schema import make_instance
from batchyard.upstream.simulated_text import SENTENCES, after_prefill, stretch, write_text
from batchyard.upstream.simulated_tokens import cut_text
from batchyard.upstream.simulated_tools import is_forced, use_tools

Block = dict[str, Any]

CUT_AFTER = 1024
"""Tokens after which an answer that a marker wants cut is cut, where ``max_tokens`` allows more."""
THOUGHT = "This is simulated thinking; no model was run."

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Input:
    """What the input cost, and how much of it the prompt cache read and wrote."""

    tokens: int
    cache: CacheUse


def compose(prompt: Prompt, told: Sequence[str]) -> Ended:
    """Return the blocks of the answer and why it ends; raises ``CannotSimulate``. ``told`` is what came beside text."""
    wish = prompt.wishes.stop_reason
    if wish == "refusal":
        return Ended([], "refusal", None, 0, 0)
    most = prompt.params.max_tokens
    sequences = prompt.params.members.get("stop_sequences") or []
    if wish == "max_tokens":
        most = min(most, CUT_AFTER)
        blocks, natural = [_text(stretch(write_text(prompt, told), most + 1, prompt.dice))], "max_tokens"
    elif wish == "stop_sequence":
        blocks, natural = [_text(_with_stop(write_text(prompt, told), sequences))], "stop_sequence"
    else:
        blocks, natural = _blocks(prompt, told)
    return end_answer(_thinking(prompt) + blocks, wish or natural, max_tokens=most, stop_sequences=sequences)


def message(prompt: Prompt, ended: Ended, given: Input, *, batched: bool) -> dict[str, Any]:
    """Return the Message, every field of it."""
    refused = ended.stop_reason == "refusal"
    cache = given.cache
    writes = {"ephemeral_5m_input_tokens": cache.write_5m, "ephemeral_1h_input_tokens": cache.write_1h}
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
            "input_tokens": given.tokens - cache.read - cache.write_5m - cache.write_1h,
            "cache_creation_input_tokens": cache.write_5m + cache.write_1h,
            "cache_read_input_tokens": cache.read,
            "cache_creation": writes,
            "output_tokens": ended.output_tokens,
            "output_tokens_details": {"thinking_tokens": ended.thinking_tokens} if ended.thinking_tokens else None,
            "server_tool_use": None,
            "service_tier": "batch" if batched else "standard",
            "inference_geo": "not_available",
            "speed": prompt.params.members.get("speed"),
        },
    }


def _blocks(prompt: Prompt, told: Sequence[str]) -> tuple[list[Block], str]:
    uses = use_tools(prompt)
    if uses:
        names = ", ".join(use["name"] for use in uses)
        said = [] if is_forced(prompt) else [_text(f"This is a simulated answer; it uses {names}.")]
        return said + uses, "tool_use"
    if prompt.wishes.stop_reason == "tool_use":
        raise CannotSimulate("simulator: the marker tool_use needs a request with a tool that the caller runs")
    members = prompt.params.members
    wanted = (members.get("output_config") or {}).get("format") or members.get("output_format")
    if wanted is not None:
        instance = make_instance(wanted["schema"], prompt.dice, "output_config.format.schema")
        return [_text(after_prefill(_encode(instance).decode(), prompt.prefill))], "end_turn"
    return [_text(write_text(prompt, told)), *cite(members)], "end_turn"


def _thinking(prompt: Prompt) -> list[Block]:
    thinking = prompt.params.members.get("thinking") or {"type": "disabled"}
    if thinking["type"] not in ("enabled", "adaptive"):
        return []
    thought = "" if thinking.get("display") == "omitted" else f"{THOUGHT} {prompt.dice.pick(SENTENCES)}"
    return [{"type": "thinking", "thinking": thought, "signature": base64.b64encode(prompt.dice.digest * 2).decode()}]


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
