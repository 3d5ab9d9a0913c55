"""What OpenAI, vLLM, llama.cpp and Ollama say instead of an answer, and what it is worth."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchyard.domain.answer import judge
from batchyard.domain.outcome import Answered, Failed, Held, NotStarted, Outcome, Refused
from batchyard.upstream.chat_errors import judge_error

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


def openai(message: str, kind: str | None, code: str | int | None = None, **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code, **more}}).encode()


def vllm_of_old(message: str, kind: str, code: int) -> bytes:
    return json.dumps({"object": "error", "message": message, "type": kind, "param": None, "code": code}).encode()


LONG = "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens."
ERRORS: list[tuple[str, int, bytes, type[Outcome], str]] = [
    ("OpenAI: bad key", 401, openai("Incorrect API key", "invalid_request_error", "invalid_api_key"), Held, ""),
    ("OpenAI: country", 403, openai("Country not supported", "request_forbidden"), Held, ""),
    ("OpenAI: rate", 429, openai("Rate limit reached", "requests", "rate_limit_exceeded"), NotStarted, ""),
    ("OpenAI: quota", 429, openai("You exceeded your quota", "insufficient_quota", "insufficient_quota"), Held, ""),
    ("gateway: quota as a type", 429, openai("quota", "insufficient_quota"), Held, ""),
    ("OpenAI: hard limit", 400, openai("Hard limit", "invalid_request_error", "billing_hard_limit_reached"), Held, ""),
    ("OpenAI: inactive", 429, openai("Not active", "billing_not_active", "billing_not_active"), Held, ""),
    ("OpenAI: overloaded", 503, openai("Slow down", "service_unavailable"), NotStarted, "overloaded_error"),
    ("OpenAI: own fault", 500, openai("The server had an error", "server_error"), Failed, "api_error"),
    (
        "OpenAI: too long",
        400,
        openai(LONG, "invalid_request_error", "context_length_exceeded"),
        Refused,
        "invalid_request_error",
    ),
    ("OpenAI: unknown model", 404, openai("No.", "x", "model_not_found"), Refused, "not_found_error"),
    ("OpenAI: model of others", 403, openai("No access", "x", "model_not_found"), Refused, "not_found_error"),
    ("OpenAI: unknown member", 400, openai("Unrecognized: top_k", "x"), Refused, "invalid_request_error"),
    ("Azure: content filter", 400, openai("Filtered", None, "content_filter"), Refused, "invalid_request_error"),
    ("vLLM: too long", 400, openai(LONG, "BadRequestError", 400), Refused, "invalid_request_error"),
    ("vLLM of old: too long", 400, vllm_of_old(LONG, "BadRequestError", 400), Refused, "invalid_request_error"),
    ("vLLM: model", 404, openai("The model `x` does not exist.", "NotFoundError", 404), Refused, "not_found_error"),
    ("vLLM of old: model", 404, vllm_of_old("The model `x` does not exist.", "N", 404), Refused, "not_found_error"),
    ("vLLM: key", 401, b'{"error":"Unauthorized"}', Held, "authentication_error"),
    ("vLLM: other path", 404, b'{"detail":"Not Found"}', Held, "not_found_error"),
    ("vLLM: engine dead", 500, openai("EngineCore died", "InternalServerError", 500), Failed, "api_error"),
    (
        "llama.cpp: too long",
        400,
        openai("the request exceeds the available context size", "exceed_context_size_error", 400, n_ctx=256),
        Refused,
        "invalid_request_error",
    ),
    (
        "llama.cpp of old: too long",
        500,
        openai("no", "exceed_context_size_error", 500),
        Refused,
        "invalid_request_error",
    ),
    (
        "llama.cpp of old: batch",
        500,
        openai("input is too large to process. increase the physical batch size", "server_error", 500),
        Refused,
        "invalid_request_error",
    ),
    ("llama.cpp: loading", 503, openai("Loading model", "unavailable_error", 503), NotStarted, "overloaded_error"),
    ("Ollama: model", 404, openai('model "x" not found, try pulling it', "api_error"), Refused, "not_found_error"),
    ("Ollama's own: model", 404, b'{"error":"model \'x\' not found"}', Refused, "not_found_error"),
    ("Ollama: busy", 503, openai("server busy, maximum pending requests", "api_error"), NotStarted, ""),
    ("proxy: page", 404, b"<html>Model not found</html>", Held, "not_found_error"),
    ("proxy: page", 502, b"<html>Bad Gateway</html>", Failed, "api_error"),
    ("a limit that speaks of length", 429, openai(LONG, "tokens", "rate_limit_exceeded"), NotStarted, ""),
]


@pytest.mark.parametrize(("_name", "status", "body", "expected", "kind"), ERRORS, ids=[error[0] for error in ERRORS])
def test_every_error_has_its_outcome(_name: str, status: int, body: bytes, expected: type[Outcome], kind: str) -> None:
    outcome = judge_error(status, {}, body, NOW)

    assert type(outcome) is expected
    assert not isinstance(outcome, Answered)
    assert outcome.error.message
    if kind:
        assert outcome.error.type == kind


def test_an_account_is_waited_for_as_long_as_it_says() -> None:
    outcome = judge_error(429, {"retry-after": "60"}, openai("quota", "insufficient_quota"), NOW)

    assert isinstance(outcome, Held)
    assert outcome.retry_after == 60


@given(st.integers(201, 599), st.binary(max_size=60) | st.text(max_size=40).map(lambda text: openai(text, text, text)))
def test_what_has_no_words_of_this_dialect_is_judged_as_ever(status: int, body: bytes) -> None:
    outcome, usual = judge_error(status, {}, body, NOW), judge(status, {}, body, NOW)

    assert not isinstance(outcome, Answered)
    assert (type(outcome), outcome.error.message) == (type(usual), usual.error.message)  # type: ignore[union-attr]
