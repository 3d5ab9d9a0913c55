"""What the fuzzer begins with: what is right, what is nearly right, and what was found."""

from typing import Any

import msgspec

from tests.wire.test_hostile import NOT_JSON, PARAMS, TAKEN, WRONG

SHORT = 4096
EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("message_start", {"message": {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "m",
                                   "stop_reason": None, "usage": {"input_tokens": 1, "output_tokens": 0}}}),
    ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
    ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "hi"}}),
    ("content_block_stop", {"index": 0}),
    ("content_block_start", {"index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "n", "input": {}}}),
    ("content_block_delta", {"index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}}),
    ("content_block_start", {"index": 2, "content_block": {"type": "fallback", "to": {"model": "other"}}}),
    ("content_block_delta", {"index": 2, "delta": {"type": "citations_delta", "citation": {"type": "x"}}}),
    ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
    ("message_stop", {}),
    ("error", {"error": {"type": "overloaded_error", "message": "no"}}),
    ("ping", {}),
]  # fmt: skip
CHUNK = {
    "id": "c",
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "hi", "reasoning_content": "so"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
}
CALL = {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "n", "arguments": "{}"}}]}}]}


def _event(kind: str, members: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **members}))


_STREAM = [_event(*each) for each in EVENTS]
_FOUND = [
    _event("content_block_start", {"index": 0, "content_block": {"type": "fallback"}}),
    _event("content_block_start", {"index": 0, "content_block": {"type": "fallback", "to": {}}}),
]
"""What once raised."""
_CHAT = [b"data: %b\n\n" % msgspec.json.encode(each) for each in (CHUNK, CALL)] + [b"data: [DONE]\n\n"]
_CREATES = [body for body in (*NOT_JSON.values(), *WRONG.values(), *TAKEN.values()) if len(body) < SHORT]
_FULL = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 5000,
    "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                {"type": "text", "text": "hi"},
            ],
        },
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]},
    ],
    "tools": [{"name": "n", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}],
    "tool_choice": {"type": "auto"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "stop_sequences": ["x"],
    "metadata": {"user_id": "u"},
}
ODD: list[Any] = [None, [], {}, "", 1e300]
_PARAMS = [
    PARAMS,
    msgspec.json.encode(_FULL),
    *(msgspec.json.encode({**_FULL, name: value}) for name in _FULL for value in ODD),
    *(body[len(b'{"requests":[{"custom_id":"a","params":') : -3] for body in _CREATES),
]
_ESCAPES = [
    b'{"requests":[{"custom_id":"a","params":{"t":"\\\\\\"}],[","u":"\\\\"}}]}',
    b'{"requests":[{"params":{"\\"":"\\\\\\\\\\""},"custom_id":"b"},{"custom_id":"c","params":{"t":"}\\""}}]}',
]

SEEDS = {
    "intake": [
        *(bytes((number % 7, number % 5)) + body for number, body in enumerate(_CREATES)),
        *(bytes((size, 0)) + body for size in range(3) for body in _ESCAPES),
    ],
    "events": [
        b"\x05\x01" + b"".join(_STREAM[:10]),
        b"\x00\x02" + b"".join(_STREAM).replace(b"\n", b"\r\n"),
        *(b"\x03\x00" + _STREAM[0] + each + each for each in _STREAM),
        *(b"\x07\x00" + _STREAM[0] + each for each in _FOUND),
        *(b"\x02\x03" + each for each in _CHAT),
        b"\x09\x05" + b"".join(_CHAT),
    ],
    "params": [bytes([number % 16]) + body for number, body in enumerate(_PARAMS)],
}
