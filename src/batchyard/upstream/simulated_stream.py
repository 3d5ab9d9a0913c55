"""A whole Message told as the server-sent events of a streamed call: whoever adds them up gets the same Message."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from batchyard.domain.outcome import Outcome

Block = dict[str, Any]

MOST_DELTAS = 256
"""Deltas of one block; longer blocks come in larger pieces."""
_SMALLEST_DELTA = 24

_encode = msgspec.json.Encoder().encode


def events(message: Block) -> Iterator[bytes]:
    """Yield the events, each ready to be sent."""
    usage = {**message["usage"], "output_tokens": 0, "output_tokens_details": None}
    empty = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None, "usage": usage}
    yield _event("message_start", message=empty)
    yield _event("ping")
    for index, block in enumerate(message["content"]):
        start, deltas = _told(block)
        yield _event("content_block_start", index=index, content_block=start)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    delta = {key: message[key] for key in ("stop_reason", "stop_sequence", "stop_details", "container")}
    yield _event("message_delta", delta=delta, usage={key: message["usage"][key] for key in _CUMULATIVE})
    yield _event("message_stop")


class SimulatedStream:
    """Implements ``Stream``: the events of a Message, its deltas spread over so many seconds."""

    def __init__(self, message: Block, seconds: float, ended: Callable[[], None]) -> None:
        told = list(events(message))
        deltas = sum(event.startswith(_DELTA) for event in told)
        self._events = iter(told)
        self._pause = seconds / deltas if deltas else 0.0
        self._ended: Callable[[], None] | None = ended

    async def read(self) -> bytes | Outcome:
        event = next(self._events, b"")
        if event.startswith(_DELTA) and self._pause > 0.0:
            await asyncio.sleep(self._pause)
        if not event:
            await self.close()
        return event

    async def close(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            self._events = iter(())
            ended()


_DELTA = b"event: content_block_delta"
_CUMULATIVE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
)


def _event(kind: str, **members: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), _encode({"type": kind, **members}))


def _told(block: Block) -> tuple[Block, list[Block]]:
    """Return the block as it starts, and what is added to it."""
    match block["type"]:
        case "text":
            cited = [{"type": "citations_delta", "citation": citation} for citation in block["citations"] or []]
            words = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
            return {**block, "text": "", "citations": None}, cited + words
        case "thinking":
            thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
            signature = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*thoughts, signature]
        case "tool_use":
            pieces = _pieces(_encode(block["input"]).decode()) if block["input"] else []
            told = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces]]
            return {**block, "input": {}}, told
        case _:
            return block, []


def _pieces(text: str) -> list[str]:
    size = max(_SMALLEST_DELTA, -(-len(text) // MOST_DELTAS))
    return [text[at : at + size] for at in range(0, len(text), size)]
