"""The judgement of params: each message that clients know, and each rule, one row each."""

import json
from typing import Any

import pytest

from batchyard.domain.params import Params, check_count, check_params
from batchyard.domain.result import RequestError

OLD, NEW = "2023-06-01", "2026-10-21"
HAIKU = "claude-haiku-4-5-20251001"
HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"name": "get_weather", "input_schema": {"type": "object"}}
PNG = {"type": "base64", "media_type": "image/png", "data": "aGk="}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "aGk="}
CITED = {"type": "char_location", "cited_text": "x", "document_index": 0, "start_char_index": 0, "end_char_index": 1}
EPHEMERAL = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def params(**members: Any) -> dict[str, Any]:
    merged = {"model": HAIKU, "max_tokens": 100, "messages": HELLO, **members}
    return {key: value for key, value in merged.items() if value is not ...}


def judged(
    members: Any, version: str = OLD, betas: tuple[str, ...] = (), *, batched: bool = True
) -> Params | RequestError:
    return check_params(json.dumps(members).encode(), version=version, betas=betas, batched=batched)


def flaw(
    members: Any, version: str = OLD, betas: tuple[str, ...] = (), *, batched: bool = True
) -> tuple[str, str] | None:
    verdict = judged(members, version, betas, batched=batched)
    return (verdict.type, verdict.message) if isinstance(verdict, RequestError) else None


def said(*content: Any, role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": list(content)}]


def text(words: str = "hi", **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


@pytest.mark.parametrize(
    ("members", "kind", "message"),
    [
        (params(messages=...), "invalid_request_error", "messages: Field required"),
        (params(messages=[]), "invalid_request_error", "messages: at least one message is required"),
        (
            params(stream=True),
            "invalid_request_error",
            '"stream=True" is not supported in the Message Batches API',
        ),
        (params(max_tokens=0), "invalid_request_error", "max_tokens: must be greater than or equal to 1"),
        (
            params(max_tokens=9999999),
            "invalid_request_error",
            f"max_tokens: 9999999 > 64000, which is the maximum allowed number of output tokens for {HAIKU}",
        ),
        (params(model="gpt-4"), "not_found_error", "model: gpt-4"),
        (params(extra_body={}), "invalid_request_error", "extra_body: Extra inputs are not permitted"),
        (
            params(tool_choice={"type": "tool", "name": "x"}, tools=[TOOL]),
            "invalid_request_error",
            "Tool 'x' not found in provided tools",
        ),
        (
            params(tool_choice={"type": "tool", "name": "x"}),
            "invalid_request_error",
            "Tool 'x' not found in provided tools",
        ),
    ],
)
def test_known_flaws_are_told_in_the_services_words(members: Any, kind: str, message: str) -> None:
    assert flaw(members) == (kind, message)
    assert flaw(members, NEW) == (kind, message)


@pytest.mark.parametrize("key", ["temperature", "top_p", "top_k"])
def test_sampling_keys_are_unknown_to_the_newer_version_even_at_their_default(key: str) -> None:
    assert flaw(params(**{key: 1})) is None
    assert flaw(params(**{key: 1}), NEW) == ("invalid_request_error", f"{key}: Extra inputs are not permitted")


def test_a_synchronous_call_may_stream_and_may_ask_for_no_tokens() -> None:
    assert flaw(params(stream=True, max_tokens=0), batched=False) is None
    assert flaw(params(stream=False)) is None


def test_right_params_are_handed_on_with_what_is_known_of_the_model() -> None:
    verdict = judged(params(model="claude-haiku-4-5", max_tokens=7))

    assert isinstance(verdict, Params)
    assert (verdict.model.id, verdict.max_tokens) == (HAIKU, 7)
    assert verdict.members["messages"] == HELLO


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"model":"claude-x","max_tokens":1e999}',
        b'{"max_tokens":' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"model":"\\ud800"}',
        b"NaN",
        "{}".encode("utf-16"),
    ],
)
def test_what_is_no_json_is_an_error_and_no_exception(raw: bytes) -> None:
    verdict = check_params(raw, version=OLD, betas=(), batched=True)

    assert isinstance(verdict, RequestError)
    assert verdict.message.startswith("The request body is not valid JSON: ")


@pytest.mark.parametrize("value", [None, [], "x", 1, True])
def test_params_that_are_no_object_are_an_error(value: Any) -> None:
    assert flaw(value) == ("invalid_request_error", "params: Input should be a valid dictionary")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "model: Field required"),
        (params(model=1), "model: Input should be a valid string"),
        (params(model=""), "model: String should have at least 1 character"),
        (params(model="m" * 257), "model: String should have at most 256 characters"),
        (params(max_tokens=...), "max_tokens: Field required"),
        (params(max_tokens="5"), "max_tokens: Input should be a valid integer"),
        (params(max_tokens=True), "max_tokens: Input should be a valid integer"),
        (params(max_tokens=1.5), "max_tokens: Input should be a valid integer"),
        (params(max_tokens=-3), "max_tokens: must be greater than or equal to 1"),
        (params(messages="hi"), "messages: Input should be a valid list"),
        (params(messages=["hi"]), "messages.0: Input should be a valid dictionary"),
        (params(messages=[{"content": "x"}]), "messages.0.role: Field required"),
        (
            params(messages=[{"role": "tool", "content": "x"}]),
            "messages.0.role: Input should be 'user', 'assistant' or 'system'",
        ),
        (params(messages=[{"role": "user"}]), "messages.0.content: Field required"),
        (params(messages=[{"role": "user", "content": 1}]), "messages.0.content: Input should be a valid list"),
        (
            params(messages=[*HELLO, {"role": "user", "content": "x", "name": "y"}]),
            "messages.1.name: Extra inputs are not permitted",
        ),
        (params(temperature=1.1), "temperature: Input should be less than or equal to 1"),
        (params(temperature=-1), "temperature: Input should be greater than or equal to 0"),
        (params(top_p="1"), "top_p: Input should be a valid number"),
        (params(top_k=-1), "top_k: Input should be greater than or equal to 0"),
        (params(stop_sequences="x"), "stop_sequences: Input should be a valid list"),
        (params(stop_sequences=["x", 1]), "stop_sequences.1: Input should be a valid string"),
        (params(stop_sequences=["\n"]), "stop_sequences: each stop sequence must contain non-whitespace"),
        (params(stream="yes"), "stream: Input should be a valid boolean"),
        (params(metadata={"user_id": 1}), "metadata.user_id: Input should be a valid string"),
        (params(metadata={"user_id": "u" * 257}), "metadata.user_id: String should have at most 256 characters"),
        (params(metadata={"x": 1}), "metadata.x: Extra inputs are not permitted"),
        (params(service_tier="batch"), "service_tier: Input should be 'auto' or 'standard_only'"),
        (params(system=1), "system: Input should be a valid list"),
        (params(system=[{"type": "image"}]), None),
        (params(thinking={"type": "enabled"}), "thinking.budget_tokens: Field required"),
        (
            params(thinking={"type": "enabled", "budget_tokens": 1023}, max_tokens=5000),
            "thinking.budget_tokens: Input should be greater than or equal to 1024",
        ),
        (
            params(thinking={"type": "enabled", "budget_tokens": 2000}, max_tokens=2000),
            "`max_tokens` must be greater than `thinking.budget_tokens`.",
        ),
        (
            params(thinking={"type": "enabled", "budget_tokens": 2000, "display": "all"}, max_tokens=2001),
            "thinking.display: Input should be 'summarized' or 'omitted'",
        ),
        (params(output_config={"effort": "most"}), None),
        (params(output_config={"format": {"type": "json_schema"}}), "output_config.format.schema: Field required"),
        (
            params(output_config={"format": {"type": "text", "schema": {}}}),
            "output_config.format.type: Input should be 'json_schema'",
        ),
        (params(cache_control={"type": "forever"}), "cache_control.type: Input should be 'ephemeral'"),
        (params(cache_control={"type": "ephemeral", "ttl": "2h"}), "cache_control.ttl: Input should be '5m' or '1h'"),
        (params(container={"skills": [{"type": "x"}]}), None),
        (params(diagnostics={"x": 1}), "diagnostics.x: Extra inputs are not permitted"),
        (params(inference_geo=1), "inference_geo: Input should be a valid string"),
        (params(speed="fast"), "speed: fast mode is not supported in the Message Batches API"),
        (params(speed="slow"), "speed: Input should be 'standard' or 'fast'"),
        (params(store=True), "store: Extra inputs are not permitted"),
        (params(betas=["x"]), "betas: Extra inputs are not permitted"),
        (params(tool_choice={"type": "any"}), "tool_choice: may only be specified while providing tools"),
        (params(tool_choice={"type": "some"}), None),
        (
            params(tool_choice={"type": "none", "disable_parallel_tool_use": True}, tools=[TOOL]),
            "tool_choice.disable_parallel_tool_use: Extra inputs are not permitted",
        ),
    ],
)
def test_a_flaw_is_told_with_its_path(members: Any, message: str | None) -> None:
    found = flaw(members)

    assert found is not None
    assert found[0] == "invalid_request_error"
    assert message is None or found[1] == message


@pytest.mark.parametrize(
    "members",
    [
        params(model="simulator"),
        params(model="claude-something-new", max_tokens=10**9),
        params(system="Be brief."),
        params(system=[text("Be brief.", cache_control=EPHEMERAL)]),
        params(metadata=None, cache_control=None, inference_geo=None, speed="standard", container=None),
        params(metadata={"user_id": None}, service_tier="auto", user_profile_id="p"),
        params(container={"id": None, "skills": [{"type": "anthropic", "skill_id": "pdf", "version": "latest"}]}),
        params(diagnostics={"previous_message_id": "msg_1"}),
        params(thinking={"type": "enabled", "budget_tokens": 1024, "display": "omitted"}, max_tokens=1025),
        params(thinking={"type": "disabled"}),
        params(model="claude-opus-5", thinking={"type": "adaptive"}),
        params(output_config={"effort": "xhigh", "format": {"type": "json_schema", "schema": {"type": "object"}}}),
        params(messages=[*HELLO, {"role": "assistant", "content": "{"}]),
        params(messages=[*HELLO, {"role": "system", "content": "Be brief."}, *HELLO]),
        params(temperature=0, top_p=0.5, top_k=40),
    ],
)
def test_right_params_pass(members: Any) -> None:
    assert flaw(members) is None


def test_the_first_flaw_is_the_same_whatever_order_the_keys_come_in() -> None:
    several = {"zebra": 1, "top_k": -1, "max_tokens": 0, "messages": []}

    assert flaw(several) == flaw(dict(reversed(several.items()))) == ("invalid_request_error", "model: Field required")


@pytest.mark.parametrize(
    ("key", "value", "beta"),
    [
        ("mcp_servers", [{"type": "url", "name": "a", "url": "https://a.example"}], "mcp-client-2025-11-20"),
        ("context_management", {"edits": []}, "context-management-2025-06-27"),
        ("compaction", {}, "compact-2026-09-04"),
        ("fallbacks", "default", "server-side-fallback-2026-07-01"),
        ("fallback_credit_token", "t", "fallback-credit-2026-07-01"),
        ("billing_policy", {"type": "billing_policy"}, "user-profiles-billing-2026-10-01"),
        ("thread", {"type": "create"}, "message-threads-2026-08-12"),
        ("output_format", {"type": "json_schema", "schema": {}}, "structured-outputs-2025-11-13"),
    ],
)
def test_a_key_of_a_beta_is_unknown_without_it(key: str, value: Any, beta: str) -> None:
    assert flaw(params(**{key: value})) == ("invalid_request_error", f"{key}: Extra inputs are not permitted")
    assert flaw(params(**{key: value}), betas=("other", beta)) is None


def test_the_beta_for_long_output_raises_the_cap_in_batches_of_models_that_have_it() -> None:
    long = params(model="claude-opus-4-6", max_tokens=300_000)
    beta = ("output-300k-2026-03-24",)

    assert flaw(long, betas=beta) is None
    assert "300000 > 128000" in str(flaw(long))
    assert "300000 > 128000" in str(flaw(long, betas=beta, batched=False))
    assert "300001 > 300000" in str(flaw({**long, "max_tokens": 300_001}, betas=beta))
    assert "300000 > 64000" in str(flaw({**long, "model": "claude-haiku-4-5"}, betas=beta))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (params(model="claude-opus-4-7", temperature=0.5), "`temperature` is deprecated"),
        (params(model="claude-opus-4-7", temperature=1), None),
        (params(model="claude-opus-4-6", temperature=0.5), None),
        (params(model="claude-opus-4-6", messages=[*HELLO, {"role": "assistant", "content": "x"}]), "prefill"),
        (params(model="claude-sonnet-4-5", messages=[*HELLO, {"role": "assistant", "content": "x"}]), None),
        (
            params(model="claude-opus-4-7", max_tokens=5000, thinking={"type": "enabled", "budget_tokens": 1024}),
            "thinking.type.enabled",
        ),
        (params(model="claude-haiku-4-5", thinking={"type": "adaptive"}), "adaptive thinking is not supported"),
        (params(model="claude-fable-5", thinking={"type": "disabled"}), "thinking.type.disabled"),
        (params(model="claude-opus-5-5", tools=[TOOL], tool_choice={"type": "any"}), "forced tool use"),
        (params(model="claude-opus-5", tools=[TOOL], tool_choice={"type": "any"}), None),
        (
            params(model="claude-opus-5", thinking={"type": "adaptive"}, tools=[TOOL], tool_choice={"type": "any"}),
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
        (
            params(max_tokens=5000, thinking={"type": "enabled", "budget_tokens": 1024}, temperature=0.5),
            "`temperature` may only be set to 1 when thinking is enabled.",
        ),
    ],
)
def test_what_newer_models_refuse_is_refused(members: Any, words: str | None) -> None:
    found = flaw(members)

    assert (found is None) if words is None else (found is not None and words in found[1])


def test_a_count_needs_no_max_tokens_and_knows_none() -> None:
    def count(members: Any) -> Params | RequestError:
        return check_count(json.dumps(members).encode(), version=NEW, betas=())

    assert isinstance(count(params(max_tokens=..., tools=[TOOL], system="x")), Params)
    with_maximum = count(params())
    assert isinstance(with_maximum, RequestError)
    assert with_maximum.message == "max_tokens: Extra inputs are not permitted"
