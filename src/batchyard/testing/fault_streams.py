"""A good answer as a stream of events, in each dialect: for lanes that stream, and have the same faults to bear."""

import json
from typing import Any

from batchyard.testing.fault_acts import MESSAGE
from batchyard.testing.fault_kinds import Speech

EVENTS = "text/event-stream"
_TEXT = MESSAGE["content"][0]["text"]
_PIECES = [_TEXT[:8], _TEXT[8:20], _TEXT[20:]]


def event(kind: str, **members: Any) -> bytes:
    """Return an event of a streamed Message."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def chunk(**members: Any) -> bytes:
    """Return a chunk of a streamed chat completion."""
    return f"data: {json.dumps({'id': 'chatcmpl-1', 'model': 'faulty', **members})}\n\n".encode()


def message_events(**delta: Any) -> list[bytes]:
    """Return the events of a Message, with these members in the event that ends it."""
    begun = MESSAGE | {"content": [], "stop_reason": None, "usage": {"input_tokens": 7, "output_tokens": 1}}
    ending = {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 11}}
    return [
        event("message_start", message=begun),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
        *(event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece}) for piece in _PIECES),
        event("content_block_stop", index=0),
        event("message_delta", **{**ending, **delta}),
        event("message_stop"),
    ]


def chat_chunks(*, usage: bool = True, done: bool = True) -> list[bytes]:
    """Return the chunks of a chat completion."""
    told = {"prompt_tokens": 7, "completion_tokens": 11, "total_tokens": 18}
    return [
        chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]),
        *(chunk(choices=[{"index": 0, "delta": {"content": piece}, "finish_reason": None}]) for piece in _PIECES),
        chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]),
        *([chunk(choices=[], usage=told)] if usage else []),
        *([b"data: [DONE]"] if done else []),  # its line need not end: nothing follows
    ]


def _speech(good: list[bytes], without_end: list[bytes], without_usage: list[bytes]) -> Speech:
    whole = b"".join(good)
    return Speech(
        whole,
        b": a comment\r\n\r\n" + whole.replace(b"\n", b"\r\n").replace(b"}\r\n\r\n", b"}\r\n: another\r\n\r\n"),
        b"".join(without_end),
        b"".join(without_usage),
        EVENTS,
    )


MESSAGE_EVENTS = _speech(message_events(), message_events()[:-1], message_events(usage=None))
CHAT_CHUNKS = _speech(chat_chunks(), chat_chunks(done=False), chat_chunks(usage=False))
