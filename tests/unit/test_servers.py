"""What real model servers say, as they said it or as their source does, and what is made of it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from batchyard.domain.answer import judge, judge_message
from batchyard.domain.mend import mend_shape
from batchyard.domain.outcome import Answered, Failed, Held, NotStarted, Outcome, Refused, Unknown
from batchyard.domain.servers import SERVERS, server_named
from batchyard.upstream.chat_errors import judge_error

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
LLAMA = {"server": "llama.cpp", "content-type": "application/json; charset=utf-8"}
STOPPED = (
    b'{"id":"chatcmpl-Yn8xGBwg453RgI0GlLE8iQqW6zq3froQ","type":"message","role":"assistant","content":[{"type":"text",'
    b'"text":" twowmg y"}],"model":"tiny.gguf","stop_reason":"end_turn","stop_sequence":"e","usage":'
    b'{"cache_read_input_tokens":24,"input_tokens":1,"output_tokens":5}}'
)
OTHERS = sorted(set(SERVERS) - {"anthropic"})


def message(**members: Any) -> dict[str, Any]:
    usage = {"input_tokens": 7, "output_tokens": 11}
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    return {**whole, "stop_reason": "end_turn", **members}


def judged(server: str, **members: Any) -> Outcome:
    return judge_message(json.dumps(message(**members)).encode(), SERVERS[server])


@pytest.mark.parametrize("server", OTHERS)
def test_a_foreign_id_and_a_forgotten_stop_sequence_are_mended_and_nothing_else(server: str) -> None:
    outcome = judge_message(STOPPED, SERVERS[server])

    assert isinstance(outcome, Answered)
    told = json.loads(outcome.message)
    assert told["id"].startswith("msg_")
    expected = STOPPED.replace(b"chatcmpl-Yn8xGBwg453RgI0GlLE8iQqW6zq3froQ", told["id"].encode())
    if server != "sglang":
        assert outcome.message == expected.replace(b'"end_turn"', b'"stop_sequence"')
    assert (outcome.input_tokens, outcome.output_tokens) == (25, 5)


def test_anthropics_answers_are_not_touched() -> None:
    assert judge_message(STOPPED, SERVERS["anthropic"]) == Answered(STOPPED, 25, 5, cache_read_tokens=24)


@pytest.mark.parametrize("server", OTHERS)
def test_an_answer_that_needs_no_mending_keeps_its_bytes(server: str) -> None:
    good = json.dumps(message(id="msg_bdrk_01", stop_sequence=None, extra={"b": 1, "a": 2**70}), indent=None).encode()

    assert judge_message(good, SERVERS[server]) == Answered(good, 7, 11)


def test_the_same_answer_has_the_same_id_and_another_has_another() -> None:
    first, again = judge_message(STOPPED, SERVERS["vllm"]), judge_message(STOPPED, SERVERS["vllm"])
    other = judge_message(STOPPED.replace(b"Yn8x", b"Yn8y"), SERVERS["vllm"])

    assert first == again != other


def test_an_empty_list_that_a_go_server_calls_null_is_a_message_that_says_nothing() -> None:
    outcome = judged("ollama", content=None)

    assert isinstance(outcome, Answered)
    assert json.loads(outcome.message)["content"] == []
    assert isinstance(judged("anthropic", content=None), Unknown)
    assert isinstance(judged("ollama", content="text"), Unknown)
    assert isinstance(judged("ollama", content=None, stop_reason=None), Unknown)


def test_ollamas_word_for_any_other_end_is_no_stop_sequence() -> None:
    assert isinstance(judged("ollama", stop_reason="stop_sequence"), Unknown)
    assert isinstance(judged("ollama", stop_reason="stop_sequence", stop_sequence="x"), Answered)
    assert isinstance(judged("vllm", stop_reason="stop_sequence"), Answered)


def test_sglangs_input_does_not_count_its_cache_twice() -> None:
    usage = {"input_tokens": 100, "output_tokens": 5, "cache_read_input_tokens": 64}
    outcome = judged("sglang", usage=usage)

    assert isinstance(outcome, Answered)
    assert outcome.input_tokens == 100
    assert json.loads(outcome.message)["usage"] == {**usage, "input_tokens": 36}
    other = judged("vllm", usage=usage)
    assert isinstance(other, Answered)
    assert other.input_tokens == 164


@pytest.mark.parametrize("usage", [{}, {"output_tokens": 3}, {"input_tokens": None, "output_tokens": 3}])
def test_missing_usage_is_guessed_only_where_the_kind_of_server_says_so(usage: dict[str, Any]) -> None:
    outcome = judged("plain", usage=usage)

    assert isinstance(outcome, Answered)
    assert outcome.input_tokens == 0
    assert outcome.output_tokens == usage.get("output_tokens", 0)
    assert isinstance(judged("auto", usage=usage), Unknown)
    assert isinstance(judged("plain", usage={"input_tokens": -1, "output_tokens": 3}), Unknown)


def test_what_is_no_message_at_all_is_not_mended() -> None:
    assert mend_shape(b'{"error":"no"}', SERVERS["vllm"]) is None
    assert mend_shape(b'["content"]', SERVERS["plain"]) is None
    assert mend_shape(b'{"usage":5}', SERVERS["plain"]) is None


def said(text: str, kind: str = "server_error", code: int = 500) -> bytes:
    return json.dumps({"error": {"code": code, "message": text, "type": kind}}).encode()


LIES: list[tuple[int, bytes, type[Outcome]]] = [
    (500, said("'messages' is required"), Refused),
    (500, said("[json.exception.parse_error.101] parse error at line 1, column 14: syntax error"), Refused),
    (500, said("image input is not supported - hint: if this is unexpected, you may need the mmproj"), Refused),
    (500, said('Failed to parse messages: Missing \'role\' in message: {"content":"hello"}'), Refused),
    (500, said("Jinja Exception: Conversation roles must alternate user/assistant/..."), Refused),
    (500, said("context shift is disabled"), Refused),
    (501, said("This server does not support completions", "not_supported_error", 501), Refused),
    (400, said("request (9020 tokens) exceeds the available context size (2048 tokens)", code=400), Refused),
    (404, said("File Not Found", "not_found_error", 404), Held),
    (404, said("model not found", "not_found_error", 404), Refused),
    (500, said("Compute error."), Failed),
    (500, said("got exception: bad alloc"), Failed),
    (500, said("Invalid diff: 'x' not found at start of 'y'"), Failed),
    (503, said("Loading model", "unavailable_error", 503), NotStarted),
]


@pytest.mark.parametrize(("status", "body", "outcome"), LIES)
def test_llama_servers_statuses_are_judged_by_what_it_says(status: int, body: bytes, outcome: type[Outcome]) -> None:
    for server in ("auto", "llama.cpp"):
        for judging in (judge, judge_error):
            found = judging(status, LLAMA, body, NOW, SERVERS[server])
            assert type(found) is outcome, found
            assert not isinstance(found, Refused) or found.error.type in {"invalid_request_error", "not_found_error"}


def test_its_words_mean_nothing_from_another_server() -> None:
    body = said("'messages' is required")

    assert isinstance(judge(500, {}, body, NOW, SERVERS["auto"]), Failed)
    assert isinstance(judge(500, LLAMA, body, NOW, SERVERS["vllm"]), Failed)
    assert isinstance(judge(501, {}, said("no"), NOW, SERVERS["anthropic"]), Failed)


def test_a_server_is_what_its_name_or_its_host_says() -> None:
    assert server_named("auto", "API.anthropic.com").name == "anthropic"
    assert server_named("auto", "api.anthropic.com.example.net").name == "auto"
    assert server_named("vllm", "api.anthropic.com").name == "vllm"
