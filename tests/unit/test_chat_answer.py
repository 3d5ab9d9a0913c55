"""Chat completions as Messages: stop reasons, tool calls, thinking; and what is no answer."""

import asyncio
import json
from typing import Any

import pytest

from batchyard.domain.outcome import Answered, Unknown
from batchyard.ports import Call
from batchyard.upstream.chat_answer import Asked, judge_completion
from batchyard.upstream.simulator import Simulator, SimulatorSettings

USAGE = {"prompt_tokens": 9, "completion_tokens": 3}
PARAMS = b'{"model":"simulator","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'


def completion(message: dict[str, Any], finish: str = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, **more}
    return json.dumps({"id": "c1", "model": "m", "choices": [choice], "usage": USAGE}).encode()


def message(raw: bytes, *stops: str) -> dict[str, Any]:
    outcome = judge_completion(raw, Asked("asked", frozenset(stops)))
    assert isinstance(outcome, Answered), outcome
    found: dict[str, Any] = json.loads(outcome.message)
    return found


def call(arguments: str | None, **more: Any) -> dict[str, Any]:
    return {
        "content": None,
        "tool_calls": [{"id": "call_1", "function": {"name": "f", "arguments": arguments}, **more}],
    }


def two_calls(*ids: str) -> dict[str, Any]:
    return {"tool_calls": [{"id": id_, "function": {"name": "f", "arguments": "{}"}} for id_ in ids]}


@pytest.mark.parametrize(
    ("finish", "met", "reason", "sequence"),
    [
        ("stop", None, "end_turn", None),
        ("stop", "END", "stop_sequence", "END"),
        ("stop", 128009, "end_turn", None),
        ("length", None, "max_tokens", None),
        ("content_filter", None, "refusal", None),
    ],
)
def test_every_end_has_its_stop_reason(finish: str, met: object, reason: str, sequence: str | None) -> None:
    found = message(completion({"content": "x"}, finish, stop_reason=met), "END")

    assert (found["stop_reason"], found["stop_sequence"]) == (reason, sequence)
    details = {"type": "refusal", "category": None, "explanation": None} if reason == "refusal" else None
    assert found["stop_details"] == details


def test_every_member_of_a_message_is_there() -> None:
    """The SDKs of some languages take a missing member for a broken answer, one that is null for what it is."""
    simulator = Simulator(SimulatorSettings(latency=0), now=lambda: 0.0)
    outcome = asyncio.run(simulator.attempt(Call(PARAMS, "2023-06-01")))
    assert isinstance(outcome, Answered), outcome
    simulated = json.loads(outcome.message)

    found = message(completion({"content": "x"}))

    assert list(found) == list(simulated)
    assert list(found["usage"]) == list(simulated["usage"])


@pytest.mark.parametrize("finish", ["tool_calls", "stop"])
def test_tool_calls_are_blocks_whatever_the_server_calls_their_end(finish: str) -> None:
    found = message(completion(call('{"n": 12345678901234567890}'), finish))

    assert found["content"] == [{"type": "tool_use", "id": "call_1", "name": "f", "input": {"n": 12345678901234567890}}]
    assert found["stop_reason"] == "tool_use"


def test_a_call_id_that_this_api_cannot_have_is_replaced_by_one_that_follows_from_it() -> None:
    [block] = message(completion(call("{}", id="a b")))["content"]

    assert block["id"].startswith("toolu_")
    assert block == message(completion(call("", id="a b")))["content"][0]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_a_thinking_block_ahead_of_the_text(name: str) -> None:
    found = message(completion({"content": "x", name: "Hm."}))

    assert [block["type"] for block in found["content"]] == ["thinking", "text"]
    assert found["content"][0]["thinking"] == "Hm."


def test_thoughts_that_are_not_to_be_told_leave_an_empty_block() -> None:
    outcome = judge_completion(completion({"content": "x", "reasoning": "Hm."}), Asked(shows_thinking=False))

    assert isinstance(outcome, Answered)
    assert json.loads(outcome.message)["content"][0] == {"type": "thinking", "thinking": "", "signature": ""}


@pytest.mark.parametrize("content", [None, "", "So far."])
def test_a_refusal_is_its_text_and_its_stop_reason(content: str | None) -> None:
    found = message(completion({"content": content, "refusal": "I cannot."}))

    assert [block["text"] for block in found["content"]] == [*([content] if content else []), "I cannot."]
    assert found["stop_reason"] == "refusal"


@pytest.mark.parametrize(("said", "reason"), [({"content": "x"}, "end_turn"), (call("{}"), "tool_use")])
def test_an_empty_refusal_is_none(said: dict[str, Any], reason: str) -> None:
    assert message(completion({**said, "refusal": ""}))["stop_reason"] == reason


def test_calls_without_ids_have_ids_of_their_own_in_every_answer() -> None:
    bare = {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}] * 2}
    answers = [completion(bare).replace(b'"c1"', b'"c%d"' % number) for number in (1, 2)]
    ids = [block["id"] for raw in answers for block in message(raw)["content"]]

    assert len(set(ids)) == 4


def test_a_server_that_names_no_model_gave_the_one_that_was_asked_for() -> None:
    assert message(completion({"content": "x"}).replace(b'"m"', b'""'))["model"] == "asked"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (completion({"content": "x"}, "abort"), "ended by the server"),
        (completion({"content": "x"}, "tool_calls"), "ends for tool calls and has none"),
        (completion(call("{")), "arguments are no JSON object"),
        (completion(call("[1]")), "arguments are no JSON object"),
        (completion({"content": "x"}).replace(b'"usage"', b'"used"'), "no chat completion"),
        (completion({"content": 3}), "no chat completion"),
        (b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}', "has 0 choices"),
        (completion(two_calls("a", "a")), "two tool calls with one id"),
        (completion({"content": "x"}).replace(b": 9", b": %d" % 10**30), "no chat completion"),
        (completion({"content": "x"}).replace(b": 9", b": -9"), "no chat completion"),
        (b'{"error":{"message":"out of memory"}}', "200 with an error: out of memory"),
        (b"<html>", "not JSON"),
        (b"", "not JSON"),
    ],
)
def test_what_is_not_whole_is_no_answer(raw: bytes, why: str) -> None:
    outcome = judge_completion(raw, Asked())

    assert isinstance(outcome, Unknown)
    assert why in outcome.error.message


def test_a_tool_call_that_max_tokens_cut_keeps_its_whole_part() -> None:
    """Asked again, it would be cut again, and paid for again."""
    found = message(completion(call('{"a": 1, "b": [1, 2, 3'), "length"))

    assert found["content"][0]["input"] == {"a": 1, "b": [1, 2]}
    assert found["stop_reason"] == "max_tokens"


def test_only_the_last_call_can_have_been_cut() -> None:
    said = two_calls("a", "b")
    said["tool_calls"][0]["function"]["arguments"] = '{"a"'

    assert isinstance(judge_completion(completion(said, "length"), Asked()), Unknown)


THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}, {"type": "text", "text": "."}]}


def test_content_told_as_a_list_is_blocks_in_its_order() -> None:
    parts = [THOUGHT, {"type": "text", "text": "Yes"}, {"type": "text", "text": "!"}, {"type": "text", "text": ""}]
    found = message(completion({"content": parts}))

    assert found["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "Yes!", "citations": None},
    ]


@pytest.mark.parametrize(
    "part", [{"type": "audio", "text": "x"}, {"type": "thinking", "thinking": [{"type": "reference", "ids": [1]}]}]
)
def test_content_of_an_unknown_kind_is_no_answer(part: dict[str, Any]) -> None:
    outcome = judge_completion(completion({"content": [part]}), Asked())

    assert isinstance(outcome, Unknown)
    assert "kind that is not understood" in outcome.error.message


def test_the_stop_sequence_has_another_name_with_sglang() -> None:
    found = message(completion({"content": "x"}, stop_reason=None, matched_stop="END"), "END")

    assert (found["stop_reason"], found["stop_sequence"]) == ("stop_sequence", "END")
    assert message(completion({"content": "x"}, matched_stop=151645), "END")["stop_reason"] == "end_turn"


@pytest.mark.parametrize(
    "more",
    [
        {"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5},
        {"prompt_tokens_details": {"cached_tokens": 4}},
        {"prompt_tokens_details": {"cached_tokens": 4}, "prompt_cache_hit_tokens": 4},
        {"prompt_tokens_details": None, "prompt_cache_hit_tokens": 4},
    ],
)
def test_what_a_cache_knew_is_told_whatever_its_name(more: dict[str, Any]) -> None:
    told = json.loads(completion({"content": "x"}))
    told["usage"] |= more
    outcome = judge_completion(json.dumps(told).encode(), Asked())

    assert isinstance(outcome, Answered)
    assert (outcome.input_tokens, outcome.cache_read_tokens) == (9, 4)
    usage = json.loads(outcome.message)["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (5, 4)
