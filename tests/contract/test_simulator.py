"""The simulator as an upstream: what it answers, that the official SDK's types take it, and that it never raises."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from anthropic.types import Message
from anthropic.types.beta import BetaMessage

from batchyard.domain.outcome import Answered, Failed, NotStarted, Outcome, Refused
from batchyard.ports import Call
from batchyard.upstream.simulator import Simulator, SimulatorSettings

HAIKU = "claude-haiku-4-5-20251001"
HEADPHONES = "Write a compelling product description for: Wireless Headphones with 40-hour battery life. Max 100 words."


def simulator(**settings: Any) -> Simulator:
    return Simulator(SimulatorSettings(**{"latency": 0.0, **settings}), now=lambda: 0.0)


def params(content: Any = "Hello there, simulator", **members: Any) -> bytes:
    messages = [{"role": "user", "content": content}]
    return msgspec.json.encode({"model": HAIKU, "max_tokens": 1000, "messages": messages, **members})


def attempt(raw: bytes, upstream: Simulator | None = None, *, version: str = "2023-06-01", **call: Any) -> Outcome:
    return asyncio.run((upstream or simulator()).attempt(Call(raw, version, **call)))


def answer(content: Any = "Hello there, simulator", **members: Any) -> dict[str, Any]:
    outcome = attempt(params(content, **members))
    assert isinstance(outcome, Answered), outcome
    assert b"\n" not in outcome.message
    message: dict[str, Any] = json.loads(outcome.message)
    assert Message.model_validate(message).to_dict(mode="json") == message
    BetaMessage.model_validate(message)
    usage = message["usage"]
    assert outcome.output_tokens == usage["output_tokens"]
    cached = usage["cache_creation_input_tokens"] + usage["cache_read_input_tokens"]
    assert outcome.input_tokens == usage["input_tokens"] + cached
    return message


def words(content: Any = "Hello there, simulator", **members: Any) -> str:
    return "".join(block["text"] for block in answer(content, **members)["content"] if block["type"] == "text")


def test_an_answer_is_a_whole_message_that_says_it_is_simulated() -> None:
    message = answer(HEADPHONES, model="claude-haiku-4-5")

    assert message["model"] == HAIKU
    assert message["id"].startswith("msg_01Simulated")
    assert len(message["id"]) == len("msg_") + 24
    assert (message["stop_reason"], message["stop_sequence"]) == ("end_turn", None)
    assert message["usage"]["service_tier"] == "batch"
    assert message["usage"]["inference_geo"] == "not_available"
    assert "simulated" in message["content"][0]["text"]


def test_an_answer_tells_the_gist_of_what_was_asked_and_never_the_whole() -> None:
    assert "Write a compelling product description" in words(HEADPHONES)
    assert HEADPHONES not in words(HEADPHONES)
    assert "Supercalifragilisticexpialidocious" not in words("Supercalifragilisticexpialidocious")


def test_a_synchronous_call_has_the_standard_tier() -> None:
    outcome = attempt(params(), batched=False)

    assert isinstance(outcome, Answered)
    assert json.loads(outcome.message)["usage"]["service_tier"] == "standard"


def test_the_same_params_give_the_same_bytes_and_others_do_not() -> None:
    first, again = attempt(params("a question")), attempt(params("a question"))

    assert first == again
    assert first != attempt(params("another question"))
    assert first != attempt(params("a question"), simulator(seed=1))


def test_answers_do_not_change_between_versions_of_the_program_by_accident() -> None:
    assert answer("What is the capital of France?")["id"] == "msg_01SimulatedBGvNl2tbIWTWH"


def test_max_tokens_cuts_the_text() -> None:
    message = answer(HEADPHONES, max_tokens=5)

    assert (message["stop_reason"], message["usage"]["output_tokens"]) == ("max_tokens", 5)
    assert message["content"][0]["text"] == "This is a simulated "


@pytest.mark.parametrize("tokens", [1, 7, 500, 20_000, 300_000])
def test_a_marker_asks_for_a_text_of_exactly_so_many_tokens(tokens: int) -> None:
    message = answer(f"[[simulate: tokens={tokens}]] Grüße", model="simulator", max_tokens=300_001)

    assert (message["stop_reason"], message["usage"]["output_tokens"]) == ("end_turn", tokens)


@pytest.mark.parametrize(("most", "tokens"), [(5, 5), (999, 999), (3_000, 1_024)])
def test_a_text_that_a_marker_wants_cut_reaches_its_limit(most: int, tokens: int) -> None:
    message = answer("[[simulate: max_tokens]] Grüße", max_tokens=most)

    assert (message["stop_reason"], message["usage"]["output_tokens"]) == ("max_tokens", tokens)


def test_a_stop_sequence_cuts_the_text_before_it() -> None:
    message = answer(HEADPHONES, stop_sequences=["never there", "no model", "model"])

    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "no model")
    assert message["content"][0]["text"] == "This is a simulated answer; "


def test_wrong_params_are_refused() -> None:
    outcome = attempt(params(stream=True))

    assert isinstance(outcome, Refused)
    assert outcome.error.message == '"stream=True" is not supported in the Message Batches API'
    assert outcome.error.request_id is None


def test_beyond_its_capacity_it_says_so_at_once() -> None:
    async def three() -> list[Outcome]:
        upstream = simulator(capacity=2, latency=0.001)
        call = Call(params(), "2023-06-01")
        return list(await asyncio.gather(*[upstream.attempt(call) for _ in range(3)], upstream.attempt(call)))

    outcomes = asyncio.run(three())

    assert [type(outcome) for outcome in outcomes] == [Answered, Answered, NotStarted, NotStarted]
    assert isinstance(outcomes[2], NotStarted)
    assert outcomes[2].error.type == "rate_limit_error"


def test_a_failure_asked_for_once_comes_once() -> None:
    upstream = simulator()
    kinds = [type(attempt(params("[[simulate: api_error 2 times]] hello"), upstream)) for _ in range(4)]

    assert kinds == [Failed, Failed, Answered, Failed]
