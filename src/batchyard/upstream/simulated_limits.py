"""Where a simulated answer ends: at a stop sequence, at ``max_tokens``, or by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from batchyard.upstream.simulated_tokens import count_json, count_text, cut_text

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """The blocks that fitted, why they end there, and what they cost."""

    content: list[Block]
    stop_reason: str
    stop_sequence: str | None
    output_tokens: int
    thinking_tokens: int


def end_answer(blocks: Sequence[Block], stop_reason: str, *, max_tokens: int, stop_sequences: Sequence[str]) -> Ended:
    """Cut the blocks where the first limit is met; ``stop_reason`` is why they would end without one.

    A tool use that does not fit whole is left out.
    """
    kept: list[Block] = []
    spent = thought = 0
    for block in blocks:
        fitted, cost, sequence, cut = _fit(block, max_tokens - spent, stop_sequences)
        spent += cost
        thought += cost if block["type"] == "thinking" else 0
        if fitted is not None:
            kept.append(fitted)
        if cut:
            return Ended(kept, "max_tokens", None, spent, thought)
        if sequence is not None:
            return Ended(kept, "stop_sequence", sequence, spent, thought)
    return Ended(kept, stop_reason, None, spent, thought)


def first_stop(text: str, stop_sequences: Sequence[str]) -> tuple[int, str] | None:
    """Return where the first stop sequence begins, and which it is; the longer one where two begin together."""
    found = [(text.find(sequence), -len(sequence), sequence) for sequence in stop_sequences if sequence]
    places = [place for place in found if place[0] >= 0]
    if not places:
        return None
    place, _, sequence = min(places)
    return place, sequence


def _fit(block: Block, left: int, stop_sequences: Sequence[str]) -> tuple[Block | None, int, str | None, bool]:
    """Return what fits of the block, its cost, the stop sequence that ended it, and whether the tokens ran out."""
    kind = block["type"]
    if kind == "tool_use":
        cost = count_text(block["name"]) + count_json(block["input"])
        return (block, cost, None, False) if cost <= left else (None, 0, None, True)
    words = block[kind]
    stopped = first_stop(words, stop_sequences) if kind == "text" else None
    ended = words if stopped is None else words[: stopped[0]]
    cost = count_text(ended)
    if cost > left:
        ended, cost = cut_text(ended, left), left
        fitted = {**block, kind: ended}
        return (fitted if ended else None), cost, None, True
    fitted = block if stopped is None else {**block, kind: ended}
    return (fitted if ended or kind != "text" else None), cost, (None if stopped is None else stopped[1]), False
