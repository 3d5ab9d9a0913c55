"""A stream put together is the Message that a call without one would have brought; what is not whole is none."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchyard.domain import sse
from batchyard.domain.assemble import OVERHEAD, Assembly
from batchyard.domain.outcome import Answered, Failed, Held, Hostile, NotStarted, Outcome, Refused, Unknown
from batchyard.domain.partial import whole_part
from batchyard.domain.servers import SERVERS
from batchyard.domain.stream_error import judge_event

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
MOST = 1_000_000
USAGE = {"input_tokens": 12, "cache_read_input_tokens": 3, "output_tokens": 1, "service_tier": "standard"}
START: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
}


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def start(**members: Any) -> bytes:
    return event("message_start", message={**START, "stop_sequence": None, "usage": USAGE, **members})


def block(index: int, first: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    pieces = [event("content_block_delta", index=index, delta=delta) for delta in deltas]
    return b"".join([event("content_block_start", index=index, content_block=first), *pieces]) + event(
        "content_block_stop", index=index
    )


def end(reason: str | None = "end_turn", usage: Any = None, **beside: Any) -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None}
    told = {"output_tokens": 34} if usage is None else usage
    return event("message_delta", delta=delta, usage=told, **beside) + event("message_stop")


def text(*parts: str) -> list[dict[str, Any]]:
    return [{"type": "text_delta", "text": part} for part in parts]


def inputs(*parts: str) -> list[dict[str, Any]]:
    return [{"type": "input_json_delta", "partial_json": part} for part in parts]


SAYS = block(0, {"type": "text", "text": ""}, *text("Hel", "lo, ü", " \n!"))


def assembled(raw: bytes, size: int = 1 << 20, server: str = "anthropic", most: int = MOST) -> tuple[Outcome, Assembly]:
    assembly = Assembly(most, SERVERS[server])
    for at in range(0, len(raw), size):
        assembly.feed(raw[at : at + size])
    return assembly.message(), assembly


def message(raw: bytes, **how: Any) -> dict[str, Any]:
    outcome, _ = assembled(raw, **how)
    assert isinstance(outcome, Answered), outcome
    told: dict[str, Any] = json.loads(outcome.message)
    return told


def why(raw: bytes, **how: Any) -> str:
    outcome, _ = assembled(raw, **how)
    assert isinstance(outcome, Unknown), outcome
    return outcome.error.message


def test_text_is_put_together_with_everything_around_it() -> None:
    raw = start(container=None, future={"a": 1}) + event("ping") + SAYS + end(context_management={"applied_edits": []})

    outcome, _ = assembled(raw)

    assert isinstance(outcome, Answered)
    assert (outcome.input_tokens, outcome.output_tokens) == (15, 34)
    assert json.loads(outcome.message) == {
        **START,
        "stop_sequence": None,
        "container": None,
        "future": {"a": 1},
        "context_management": {"applied_edits": []},
        "content": [{"type": "text", "text": "Hello, ü \n!"}],
        "stop_reason": "end_turn",
        "usage": {**USAGE, "output_tokens": 34},
    }


@settings(deadline=None)
@given(st.integers(1, 40), st.booleans())
def test_any_pieces_and_line_ends_make_the_same_message(size: int, crlf: bool) -> None:
    raw = start() + b": comment\n\n" + SAYS + end()

    assert message(raw.replace(b"\n", b"\r\n") if crlf else raw, size=size) == message(raw)


def test_every_kind_of_block_grows_by_its_own_deltas() -> None:
    cited = {"type": "char_location", "cited_text": "x", "document_index": 0}
    thought = [{"type": "thinking_delta", "thinking": "Hm"}, {"type": "thinking_delta", "thinking": "m."}]
    signed = [{"type": "signature_delta", "signature": "s1"}]
    compacted = {"type": "compaction_delta", "content": "short", "encrypted_content": None}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"n": 1}]}
    raw = (
        start()
        + block(0, {"type": "thinking", "thinking": "", "signature": ""}, *thought, *signed)
        + block(1, {"type": "redacted_thinking", "data": "zzz"})
        + block(
            2,
            {"type": "text", "text": "A", "citations": None},
            *text("B"),
            {"type": "citations_delta", "citation": cited},
        )
        + block(
            3,
            {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
            *inputs("", '{"n": 12345678901', "234567890}"),
        )
        + block(4, {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search"}, *inputs("{}"))
        + block(5, found)
        + block(6, {"type": "compaction", "content": None}, compacted)
        + block(7, {"type": "tool_use", "id": "t2", "name": "g", "input": {}})
        + block(8, {"type": "a_block_of_next_year", "x": [1]})
        + end("tool_use")
    )
    told = message(raw)

    assert [one["type"] for one in told["content"]][:3] == ["thinking", "redacted_thinking", "text"]
    assert told["content"][0] == {"type": "thinking", "thinking": "Hmm.", "signature": "s1"}
    assert told["content"][2] == {"type": "text", "text": "AB", "citations": [cited]}
    assert told["content"][3]["input"] == {"n": 12345678901234567890}
    assert told["content"][4]["input"] == told["content"][7]["input"] == {}
    assert told["content"][5] == found
    assert told["content"][6] == {"type": "compaction", "content": "short", "encrypted_content": None}
    assert told["content"][8] == {"type": "a_block_of_next_year", "x": [1]}


def test_numbers_and_escapes_in_a_tools_input_stay_as_they_were_written() -> None:
    raw = (
        start()
        + block(0, {"type": "tool_use", "id": "t", "name": "f"}, *inputs('{"a":1.50,', '"b":"\\u00fc"}'))
        + end()
    )
    outcome, _ = assembled(raw)

    assert isinstance(outcome, Answered)
    assert b'"input":{"a":1.50,"b":"\\u00fc"}' in outcome.message


def test_usage_is_a_running_total_and_null_says_nothing() -> None:
    usage = {"output_tokens": 9, "input_tokens": None, "cache_read_input_tokens": 4, "server_tool_use": {"n": 1}}

    assert message(start() + SAYS + end(usage=usage))["usage"] == {
        **USAGE,
        "output_tokens": 9,
        "cache_read_input_tokens": 4,
        "server_tool_use": {"n": 1},
    }


def test_a_fallback_names_the_model_that_answered() -> None:
    block_ = {"type": "fallback", "from": {"model": "m"}, "to": {"model": "other"}}

    assert message(start() + block(0, block_) + end())["model"] == "other"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (start() + SAYS, "before the Message was whole"),
        (start() + SAYS + end()[:-1], "before the Message was whole"),
        (b"", "before the Message was whole"),
        (SAYS + end(), "has no beginning"),
        (start() + start() + SAYS + end(), "began twice"),
        (start() + SAYS + end() + SAYS, "goes on behind its end"),
        (start() + SAYS + end(usage={}), "has no usage"),
        (start() + SAYS + end(None), "stop_reason"),
        (start() + block(1, {"type": "text", "text": ""}) + end(), "lacks a block"),
        (start() + SAYS + event("content_block_delta", index=0, delta=text("x")[0]) + end(), "not open"),
        (start() + block(0, {"type": "text", "text": ""}, {"type": "next_year_delta", "x": 1}) + end(), "next_year"),
        (start() + block(0, {"type": "text", "text": ""}, *inputs("{}")) + end(), "not understood"),
        (start() + block(0, {"type": "tool_use", "id": "t", "name": "f"}, *text("x")) + end(), "not understood"),
        (start() + block(0, {"type": "tool_use", "id": "t", "name": "f"}, *inputs('{"a":')) + end(), "no JSON object"),
        (start() + block(0, {"type": "tool_use", "id": "t", "name": "f"}, *inputs("[1]")) + end(), "no JSON object"),
        (start() + b"data: {broken\n\n" + SAYS + end(), "none of a Message"),
        (start() + b"data: [1]\n\n" + SAYS + end(), "none of a Message"),
        (start(id="") + SAYS + end(), "whole Message"),
        (start(role="user") + SAYS + end(), "whole Message"),
    ],
)
def test_what_is_not_whole_is_unknown_and_says_why(raw: bytes, says: str) -> None:
    assert says in why(raw)


def test_a_stream_cut_after_any_byte_is_no_message() -> None:
    raw = start() + SAYS + end()

    assert isinstance(assembled(raw)[0], Answered)
    for length in range(len(raw)):
        assert isinstance(assembled(raw[:length])[0], Unknown), raw[:length]


def test_a_tool_call_that_max_tokens_cut_keeps_its_whole_part() -> None:
    call = block(0, {"type": "tool_use", "id": "t", "name": "f", "input": {}}, *inputs('{"a": 1, "b": [1, 2, "cu'))

    assert message(start() + call + end("max_tokens"))["content"][0]["input"] == {"a": 1, "b": [1, 2]}


def test_what_servers_add_and_leave_out_is_understood() -> None:
    bare = b"".join(
        f"data: {line[6:].decode()}\n\n".encode()
        for line in (start() + SAYS + end()).splitlines()
        if line.startswith(b"data: ")
    )
    assert message(bare) == message(start() + SAYS + end())
    assert message(start() + SAYS + event("next_year", x=1) + end() + b"data: [DONE]\n\n") == message(bare)
    assert message(start() + SAYS.replace(event("content_block_stop", index=0), b"") + end()) == message(bare)


def test_ollamas_second_block_at_the_same_place_is_one_of_its_own() -> None:
    thought = event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""})
    thought += event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "Hm."})
    call = block(0, {"type": "tool_use", "id": "t", "name": "f", "input": {}}, *inputs('{"a":1}'))

    told = message(start() + thought + call + event("content_block_stop", index=1) + end("tool_use"), server="ollama")

    assert [one["type"] for one in told["content"]] == ["thinking", "tool_use"]
    assert told["content"][1]["input"] == {"a": 1}


def test_blocks_that_are_open_at_once_get_their_own_deltas() -> None:
    raw = start()
    for index, kind in enumerate(["text", "text"]):
        raw += event("content_block_start", index=index, content_block={"type": kind, "text": ""})
    for index, part in [(0, "a"), (1, "b"), (0, "c"), (1, "d")]:
        raw += event("content_block_delta", index=index, delta=text(part)[0])

    assert [one["text"] for one in message(raw + end())["content"]] == ["ac", "bd"]


def test_a_mended_kind_of_server_is_mended_here_too() -> None:
    ending = event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": "e"}, usage={"output_tokens": 3})
    raw = start(id="chatcmpl-1") + SAYS + ending + event("message_stop")
    told = message(raw, server="llama.cpp")

    assert told["id"].startswith("msg_")
    assert (told["stop_reason"], told["stop_sequence"]) == ("stop_sequence", "e")
    assert message(start(usage={}) + SAYS + end(usage={}), server="plain")["usage"] == {
        "input_tokens": 0,
        "output_tokens": 0,
    }


def test_pings_and_empty_deltas_are_no_progress() -> None:
    assembly = Assembly(MOST)
    moved = []
    for part in (event("ping"), b": hello\n\n", start(), event("ping"), SAYS, event("next_year")):
        assembly.feed(part)
        moved.append(assembly.moved)
    assembly.feed(event("content_block_start", index=1, content_block={"type": "text", "text": ""}))
    before = assembly.moved
    assembly.feed(event("content_block_delta", index=1, delta=text("")[0]))

    assert moved == [0, 0, 1, 1, 6, 6]
    assert assembly.moved == before


def test_an_answer_without_end_is_hostile() -> None:
    delta = event("content_block_delta", index=0, delta=text("x" * 1000)[0])
    opened = start() + event("content_block_start", index=0, content_block={"type": "text", "text": ""})

    assert isinstance(assembled(opened + delta * 11, most=10_000)[0], Hostile)
    assert isinstance(assembled(event("ping") * (OVERHEAD * 100 // 20), most=100)[0], Hostile)
    assert isinstance(assembled(b"data: " + b"x" * (sse.LONGEST_EVENT + 1))[0], Hostile)
    assert isinstance(assembled(b"data: xxxxxxx\n" * (sse.LONGEST_EVENT // 13 + 1))[0], Hostile)


def error(kind: str, words: str = "so it went") -> bytes:
    return event("error", error={"type": kind, "message": words})


@pytest.mark.parametrize(
    ("kind", "first", "behind"),
    [
        ("overloaded_error", NotStarted, Failed),
        ("rate_limit_error", NotStarted, Failed),
        ("invalid_request_error", Refused, Failed),
        ("request_too_large", Refused, Failed),
        ("authentication_error", Held, Failed),
        ("billing_error", Held, Failed),
        ("api_error", Failed, Failed),
        ("timeout_error", Failed, Failed),
        ("internal_error", Failed, Failed),
    ],
)
def test_an_error_before_any_content_is_not_the_same_as_behind_it(
    kind: str, first: type[Outcome], behind: type[Outcome]
) -> None:
    for before, expected in (
        (b"", first),
        (start(), first),
        (start() + event("ping"), first),
        (start() + SAYS, behind),
    ):
        _, assembly = assembled(before + error(kind) + end())
        judged = judge_event(assembly.error, begun=assembly.begun, now=NOW, server=SERVERS["vllm"])

        assert type(judged) is expected, (kind, before)
        assert not isinstance(judged, Answered)
        assert judged.error.message == "so it went"


def test_llama_servers_errors_have_no_envelope() -> None:
    bare = b'event: error\ndata: {"code":500,"message":"context shift is disabled","type":"server_error"}\n\n'
    _, assembly = assembled(start() + SAYS + bare)

    judged = judge_event(assembly.error, begun=assembly.begun, now=NOW, server=SERVERS["llama.cpp"])
    assert isinstance(judged, Refused)
    assert judged.error.message == "context shift is disabled"
    later = judge_event(b'{"code":503,"message":"busy"}', begun=False, now=NOW, server=SERVERS["llama.cpp"])
    assert isinstance(later, NotStarted)
    assert isinstance(judge_event(b"nonsense", begun=False, now=NOW, server=SERVERS["auto"]), Failed)


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.booleans(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    )
)
def test_the_whole_part_of_an_object_grows_with_what_came_of_it(value: Any) -> None:
    whole = json.dumps({"value": value, "last": 1})
    sizes = [len(json.dumps(json.loads(whole_part(whole[:length])))) for length in range(len(whole) + 1)]

    assert sizes == sorted(sizes)
    assert json.loads(whole_part(whole)) == {"value": value, "last": 1}


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes) -> None:
    outcome, _ = assembled(start() + raw + b"\n\n" + SAYS + end())

    assert isinstance(outcome, Answered | Unknown)
    assert isinstance(judge_event(raw, begun=False, now=NOW, server=SERVERS["auto"]), Outcome)
