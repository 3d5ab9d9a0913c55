"""Chunks as events: the same Message as the whole answer would be, in any pieces; and what ends no Message."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchyard.domain.assemble import Assembly
from batchyard.domain.outcome import Answered, Unknown
from batchyard.upstream.chat_answer import Asked, judge_completion
from batchyard.upstream.chat_stream import ChatEvents

ASKED = Asked("asked", frozenset({"END"}))
USAGE = {"prompt_tokens": 9, "completion_tokens": 3}
DONE = b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    return b"data: %b\n\n" % json.dumps({"id": "c1", "model": "m", "choices": [choice]}).encode()


def ending(finish: str = "stop", **more: Any) -> bytes:
    usage = json.dumps({"id": "c1", "model": "m", "choices": [], "usage": USAGE}).encode()
    return chunk({}, finish, **more) + b"data: %b\n\n" % usage + DONE


def calling(index: int | None, id_: str | None, name: str | None, arguments: str = "") -> bytes:
    piece = {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}
    return chunk({"tool_calls": [{key: value for key, value in piece.items() if value is not None}]})


def told(raw: bytes, size: int = 1 << 20) -> tuple[list[dict[str, Any]], ChatEvents]:
    """Feed the bytes in pieces; return the events and what became of the stream."""
    events = ChatEvents(ASKED)
    out = b"".join(events.feed(raw[at : at + size]) for at in range(0, len(raw), size))
    return [json.loads(line[6:]) for line in out.splitlines() if line.startswith(b"data: ")], events


def added_up(raw: bytes, size: int = 1 << 20) -> dict[str, Any]:
    """Return the Message that a client makes of the events, which come in their order."""
    seen, events = told(raw, size)
    assert events.ended, events.outcome
    first, *others = seen
    message: dict[str, Any] = first["message"]
    text: list[str] = []
    for event in others:
        match event["type"]:
            case "content_block_start":
                assert event["index"] == len(message["content"])
                message["content"].append(event["content_block"])
                text = []
            case "content_block_delta":
                assert event["index"] == len(message["content"]) - 1
                [(_, kind), (name, piece)] = event["delta"].items()
                assert kind == {"text": "text_delta", "thinking": "thinking_delta"}.get(name, "input_json_delta")
                text.append(piece)
            case "content_block_stop":
                block = message["content"][event["index"]]
                name = {"text": "text", "thinking": "thinking", "tool_use": "input"}[block["type"]]
                block[name] = json.loads("".join(text) or "{}") if name == "input" else "".join(text)
            case "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
    assert seen[-1]["type"] == "message_stop"
    return message


def blocks(raw: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = added_up(raw)["content"]
    return found


words = st.lists(st.text(min_size=1, max_size=5), max_size=4)
arguments = st.dictionaries(st.text(max_size=3), st.integers(-(2**70), 2**70) | st.text(max_size=4), max_size=3)


@given(words, words, words, st.lists(arguments, max_size=3), st.integers(1, 400))
def test_whoever_adds_the_events_up_has_the_message_of_the_whole_answer(
    thoughts: list[str], said: list[str], refusal: list[str], inputs: list[dict[str, Any]], size: int
) -> None:
    finish = "tool_calls" if inputs else "stop"
    calls = [(f"call_{place}", json.dumps(given)) for place, given in enumerate(inputs)]
    raw = b"".join(chunk({"reasoning": word}) for word in thoughts)
    raw += b"".join(chunk({"content": word}) for word in said) + b"".join(chunk({"refusal": word}) for word in refusal)
    for place, (id_, arguments_of) in enumerate(calls):
        raw += calling(place, id_, "f") + b"".join(calling(place, None, None, piece) for piece in arguments_of)
    message = {
        "content": "".join(said) or None,
        "reasoning": "".join(thoughts) or None,
        "refusal": "".join(refusal) or None,
        "tool_calls": [{"id": id_, "function": {"name": "f", "arguments": given}} for id_, given in calls],
    }
    choice = {"index": 0, "message": message, "finish_reason": finish}
    completion = {"id": "c1", "model": "m", "choices": [choice], "usage": USAGE}
    whole = judge_completion(json.dumps(completion).encode(), ASKED, batched=False)
    assert isinstance(whole, Answered)

    found = added_up((raw or chunk({"role": "assistant"})) + ending(finish), size)

    assert found == json.loads(whole.message)


def test_a_stop_sequence_is_told() -> None:
    found = added_up(chunk({"content": "x"}) + ending(stop_reason="END"))

    assert (found["stop_reason"], found["stop_sequence"]) == ("stop_sequence", "END")


@pytest.mark.parametrize(
    "pieces",
    [
        (calling(0, "a", "f", "{}"), calling(1, "b", "g", "{}")),
        (calling(0, "a", "f"), calling(0, "b", "g")),
        (calling(None, "a", "f"), calling(None, "b", "g")),
        (calling(None, None, "f", "{}"), calling(None, None, "g", "{}")),
        (calling(0, "a", "f", "{"), calling(0, "a", "f", "}"), calling(1, "b", "g", "{}")),
        (calling(0, "a", "f", "{"), calling(0, None, "f", "}"), calling(1, "b", "g", "{}")),
    ],
    ids=["indexes", "one index", "no index", "nothing but names", "ids again", "names again"],
)
def test_every_call_is_a_block_however_a_server_counts_them(pieces: tuple[bytes, ...]) -> None:
    found = blocks(b"".join(pieces) + ending("tool_calls"))

    assert [(block["type"], block["name"], block["input"]) for block in found] == [
        ("tool_use", "f", {}),
        ("tool_use", "g", {}),
    ]
    assert found[0]["id"] != found[1]["id"]


def test_thoughts_that_are_not_to_be_told_leave_an_empty_block() -> None:
    events = ChatEvents(Asked("m", shows_thinking=False))
    out = events.feed(chunk({"reasoning": "Hm."}) + chunk({"content": "x"}) + ending())

    assert b"Hm." not in out
    assert b'"thinking":""' in out
    assert events.ended


def test_what_comes_before_the_first_choice_begins_no_message() -> None:
    azure = b'data: {"id":"","model":"","choices":[],"prompt_filter_results":[]}\n\n'
    found = added_up(azure + chunk({"content": "x"}) + ending())

    assert found["model"] == "m"
    assert added_up((chunk({"content": "x"}) + ending()).replace(b'"m"', b'""'))["model"] == "asked"


@pytest.mark.parametrize(
    "raw",
    [
        chunk({"content": "x"}) + ending("tool_calls"),
        calling(0, "a", "f", "{}") + calling(1, "a", "g", "{}") + ending("tool_calls"),
        calling(0, "a", "f", "{") + calling(1, "b", "g", "{}") + calling(0, "a", None, "}") + ending("tool_calls"),
        calling(0, "a", "f", "[") + ending("tool_calls"),
        chunk({"content": "x"}) + ending().replace(b": 9", b": %d" % 10**30),
        chunk({"content": "x"}) + ending().replace(b": 9", b": -1"),
        ending().replace(b'"choices": [{', b'"choices": [], "x": [{'),
    ],
    ids=["no call", "one id", "a call gone on with", "no object", "too many tokens", "less than none", "no choice"],
)
def test_what_is_no_whole_answer_ends_no_message(raw: bytes) -> None:
    seen, events = told(raw)

    assert isinstance(events.outcome, Unknown)
    assert not events.ended
    assert "message_stop" not in [event["type"] for event in seen]


def test_a_call_that_max_tokens_cut_ends_a_message_and_is_put_together_as_a_whole_answer_would_be() -> None:
    cut = '{"a": 1, "b": [1, 2, 3'
    raw = calling(0, "a", "f", cut[:9]) + calling(0, None, None, cut[9:]) + ending("length")
    called = {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": cut}}]}
    choice = {"index": 0, "message": called, "finish_reason": "length"}
    completion = {"id": "c1", "model": "m", "choices": [choice], "usage": USAGE}
    whole = judge_completion(json.dumps(completion).encode(), ASKED, batched=False)
    events = ChatEvents(ASKED)
    assembly = Assembly(1 << 20)

    assembly.feed(events.feed(raw))
    gathered = assembly.message()

    assert isinstance(whole, Answered)
    assert isinstance(gathered, Answered), gathered
    assert json.loads(gathered.message)["content"] == json.loads(whole.message)["content"]
    assert json.loads(gathered.message)["stop_reason"] == "max_tokens"


def test_content_in_lists_is_told_block_by_block() -> None:
    thoughts = [chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]})] * 2
    raw = b"".join(thoughts) + chunk({"content": "Yes"}) + chunk({"content": [{"type": "text", "text": "!"}]})

    assert blocks(raw + ending()) == [
        {"type": "thinking", "thinking": "Hm.Hm.", "signature": ""},
        {"type": "text", "text": "Yes!", "citations": None},
    ]
    assert isinstance(told(chunk({"content": [{"type": "audio"}]}) + ending())[1].outcome, Unknown)


def test_the_stop_sequence_has_another_name_with_sglang() -> None:
    assert added_up(chunk({"content": "x"}) + ending(matched_stop="END"))["stop_sequence"] == "END"
