"""An upstream of chat completions: what is sent, answers that come back as Messages, streams. Faults: the matrix."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from batchyard.domain.outcome import Answered, Failed, Outcome, Refused, Unknown
from batchyard.ports import Call
from batchyard.testing import fault_kinds
from batchyard.testing.fault_kinds import sends, whole
from batchyard.testing.faults import Fault, FaultServer, in_turn
from batchyard.upstream.chat_completions import ChatUpstream
from batchyard.upstream.exchange import CallLimits
from batchyard.upstream.heads import checked_url, start
from tests.contract.test_upstream_faults import PATIENT

KEY = "sk-test-0123456789"
PARAMS = b'{"model":"m", "max_tokens":5, "messages":[{"role":"user","content":"hi"}]}'
CALL = Call(PARAMS, "2023-06-01")
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "m-2",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
}
GOOD = json.dumps(COMPLETION).encode()
ANSWERS = sends(whole(GOOD))


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(coroutine, 30))


async def attempts(
    script: Callable[[int], Fault], calls: int, limits: CallLimits = PATIENT, call: Call = CALL
) -> tuple[list[Outcome], FaultServer, ChatUpstream]:
    server = FaultServer(script)
    upstream = ChatUpstream(await server.start(), KEY, limits)
    try:
        outcomes = [await upstream.attempt(call) for _ in range(calls)]
    finally:
        await upstream.close()
        await server.close()
    return outcomes, server, upstream


def test_an_answer_is_a_message_and_the_cached_tokens_are_not_counted_twice() -> None:
    [outcome], server, _ = run(attempts(in_turn([ANSWERS], ANSWERS), 1))

    assert isinstance(outcome, Answered)
    assert (outcome.input_tokens, outcome.output_tokens) == (9, 3)
    message = json.loads(outcome.message)
    assert message.pop("id").startswith("msg_")
    assert message == {
        "type": "message",
        "role": "assistant",
        "model": "m-2",
        "content": [{"type": "text", "text": "Hello.", "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "diagnostics": None,
        "usage": {
            "input_tokens": 5,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "cache_creation": None,
            "output_tokens": 3,
            "output_tokens_details": None,
            "server_tool_use": None,
            "service_tier": "batch",
            "inference_geo": None,
            "speed": None,
        },
    }
    [sent] = server.by_body
    assert json.loads(sent) == {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


def test_what_cannot_be_carried_is_never_sent() -> None:
    call = Call(PARAMS[:-1] + b',"mcp_servers":[]}', "2023-06-01")
    [outcome], server, _ = run(attempts(in_turn([ANSWERS], ANSWERS), 1, call=call))

    assert isinstance(outcome, Refused)
    assert outcome.error.message == "mcp_servers: chat completions cannot carry this"
    assert server.calls == 0


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", "/v1/chat/completions"),
        ("/", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/openai", "/openai/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1beta/openai/chat/completions/", "/v1beta/openai/chat/completions"),
        ("/api/paas/v4/chat/completions", "/api/paas/v4/chat/completions"),
        (
            "/openai/deployments/mine/chat/completions?api-version=2024-10-21",
            "/openai/deployments/mine/chat/completions?api-version=2024-10-21",
        ),
    ],
)
def test_a_url_may_end_anywhere_and_a_whole_one_is_taken_as_it_stands(path: str, target: str) -> None:
    async def one() -> list[str]:
        server = FaultServer(lambda _number: ANSWERS)
        upstream = ChatUpstream(await server.start() + path, KEY, PATIENT)
        await upstream.attempt(CALL)
        await upstream.models()
        await upstream.close()
        await server.close()
        return [received.head.split(b" ")[1].decode() for received in server.received]

    assert run(one()) == [target, target.replace("/chat/completions", "/models")]


def test_a_server_that_repeats_the_key_does_not_hand_it_on() -> None:
    body = GOOD.replace(b"Hello.", f"You sent {KEY}".encode())
    [outcome], _, _ = run(attempts(in_turn([sends(whole(body))], ANSWERS), 1))

    assert isinstance(outcome, Answered)
    assert KEY.encode() not in outcome.message
    assert b"You sent [key]" in outcome.message


def test_what_a_named_server_does_not_take_is_never_sent() -> None:
    pdf = '{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}}'
    params = PARAMS.replace(b'"hi"', f"[{pdf}]".encode())

    async def one(server: str) -> tuple[Outcome, int]:
        faults = FaultServer(lambda _number: ANSWERS)
        upstream = ChatUpstream(await faults.start(), KEY, PATIENT, server=server)
        outcome = await upstream.attempt(Call(params, "2023-06-01"))
        await upstream.close()
        await faults.close()
        return outcome, faults.calls

    refused, calls = run(one("vllm"))
    assert isinstance(refused, Refused)
    assert (refused.error.type, calls) == ("invalid_request_error", 0)
    sent, calls = run(one("auto"))
    assert isinstance(sent, Answered)
    assert calls == 1


@pytest.mark.parametrize(
    ("host", "key", "header"),
    [
        ("api.openai.com", "sk-1", "authorization: Bearer sk-1"),
        ("mine.openai.azure.com", "0a1b", "api-key: 0a1b"),
        ("mine.services.ai.azure.com", "0a1b", "api-key: 0a1b"),
        ("mine.openai.azure.com", "eyJhbGciOi.e30.x", "authorization: Bearer eyJhbGciOi.e30.x"),
        ("openai.azure.com.example.net", "0a1b", "authorization: Bearer 0a1b"),
    ],
)
def test_a_key_goes_where_its_service_looks_for_it(host: str, key: str, header: str) -> None:
    lines = start("POST", checked_url(f"https://{host}/openai/v1"), "/x", key, bearer=True).splitlines()

    assert [line for line in lines if key in line] == [header]
    keyless = start("POST", checked_url(f"https://{host}"), "/x", "", bearer=True)
    assert "api-key" not in keyless
    assert "authorization" not in keyless


# --- streams


def chunk(delta: dict[str, Any], **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish_reason", None)}
    return b"data: %b\n\n" % json.dumps({"id": "chatcmpl-1", "model": "m-2", "choices": [choice], **more}).encode()


SPOKEN = (
    chunk({"role": "assistant", "content": ""})
    + chunk({"reasoning_content": "Hm."})
    + chunk({"content": "Hel"})
    + chunk({"content": "lo"})
    + chunk({"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": ""}}]})
    + chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a": '}}]})
    + chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]})
    + chunk({}, finish_reason="tool_calls")
    + b'data: {"id":"chatcmpl-1","model":"m-2","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}\n\n'
    + b"data: [DONE]\n\n"
)


def streams(body: bytes) -> Fault:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return sends(head, *(fault_kinds.chunked(body[at : at + 50], 50) for at in range(0, len(body), 50)), b"0\r\n\r\n")


async def read(fault: Fault) -> tuple[bytes, bytes | Outcome]:
    server = FaultServer(in_turn([fault], ANSWERS))
    upstream = ChatUpstream(await server.start(), KEY, PATIENT)
    try:
        stream = await upstream.stream(CALL)
        assert not isinstance(stream, Outcome), stream
        told = b""
        while (part := await stream.read()) and isinstance(part, bytes):
            told += part
        await stream.close()
        return told, part
    finally:
        await upstream.close()
        await server.close()


def events(told: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in told.splitlines() if line.startswith(b"data: ")]


def test_a_stream_of_chunks_is_a_stream_of_a_message() -> None:
    told, end = run(read(streams(SPOKEN)))
    seen = events(told)

    assert end == b""
    assert [event["type"] for event in seen] == [
        "message_start",
        *("content_block_start", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    assert [event["content_block"]["type"] for event in seen if "content_block" in event] == [
        "thinking",
        "text",
        "tool_use",
    ]
    parts = [event["delta"].get("partial_json", "") for event in seen if event["type"] == "content_block_delta"]
    assert json.loads("".join(parts)) == {"a": 1}
    ending = {"stop_reason": "tool_use", "stop_sequence": None, "stop_details": None, "container": None}
    assert seen[-2]["delta"] == ending
    assert seen[-2]["usage"] == {
        "input_tokens": 9,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 3,
        "output_tokens_details": None,
        "server_tool_use": None,
    }


def test_the_last_line_of_a_stream_may_lack_its_end() -> None:
    told, end = run(read(streams(SPOKEN[:-2])))

    assert end == b""
    assert events(told)[-1]["type"] == "message_stop"


def test_a_last_event_that_is_only_a_remark_ends_nothing() -> None:
    _, end = run(read(streams(SPOKEN.replace(b"data: [DONE]", b": [DONE]"))))

    assert isinstance(end, Unknown)


@pytest.mark.parametrize("missing", [b"data: [DONE]\n\n", b'"finish_reason": "tool_calls"', b'"usage":'])
def test_a_stream_that_is_not_whole_does_not_end_well(missing: bytes) -> None:
    replaced = {b'"usage":': b'"usag":', b'"finish_reason": "tool_calls"': b'"finish_reason": null'}
    _, end = run(read(streams(SPOKEN.replace(missing, replaced.get(missing, b"")))))

    assert isinstance(end, Unknown)


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (b'data: {"error": {"message": "out of memory"}}\n\n', Failed),
        (b"data: {not json\n\n", Unknown),
        (chunk({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}), Unknown),
        (chunk({}, finish_reason="abort"), Unknown),
    ],
)
def test_a_stream_that_breaks_says_so(broken: bytes, expected: type[Outcome]) -> None:
    body = SPOKEN.replace(chunk({}, finish_reason="tool_calls"), broken)
    _, end = run(read(streams(body)))

    assert type(end) is expected


def test_tool_arguments_that_are_no_object_break_the_stream() -> None:
    _, end = run(read(streams(SPOKEN.replace(b"1}", b"1"))))

    assert isinstance(end, Unknown)
