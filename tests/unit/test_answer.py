"""Judging what an upstream answered: tables by status and body, and properties that hold for any bytes."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchyard.domain.answer import judge, judge_message, retry_after
from batchyard.domain.outcome import Answered, Failed, Held, NotStarted, Outcome, Refused, Unknown
from batchyard.domain.usage import Usage

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
MESSAGE: dict[str, Any] = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5",
    "content": [{"type": "text", "text": 'a "quoted"\nline, ü, \u2028'}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 34, "service_tier": "standard"},
}
GOOD = json.dumps(MESSAGE).encode()


def envelope(kind: str = "invalid_request_error", message: str = "max_tokens: too large", **more: Any) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message, **more}}).encode()


def but(**members: Any) -> bytes:
    return json.dumps(MESSAGE | members).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in MESSAGE.items() if key != name}).encode()


def error_of(outcome: Outcome) -> tuple[str, str]:
    assert not isinstance(outcome, Answered)
    return outcome.error.type, outcome.error.message


def test_a_whole_message_is_answered_with_its_bytes_and_tokens() -> None:
    assert judge(200, {}, GOOD, NOW) == Answered(GOOD, 12, 34)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"cache_read_input_tokens": 5, "cache_creation_input_tokens": None}, Usage(12, 34, 5)),
        ({"cache_creation_input_tokens": 7}, Usage(12, 34, 0, 7)),
        (
            {"cache_creation_input_tokens": 7, "cache_creation": {"ephemeral_1h_input_tokens": 3}},
            Usage(12, 34, 0, 7, 3),
        ),
        (
            {"cache_creation_input_tokens": 7, "cache_creation": {"ephemeral_1h_input_tokens": 9}},
            Usage(12, 34, 0, 7, 7),
        ),
        ({"cache_read_input_tokens": "many", "cache_creation": [1]}, Usage(12, 34)),
        ({"cache_read_input_tokens": -1, "cache_creation_input_tokens": 2**70}, Usage(12, 34)),
    ],
)
def test_cached_tokens_are_counted_and_odd_ones_do_not_cost_the_answer(usage: dict[str, Any], counted: Usage) -> None:
    judged = judge(200, {}, but(usage={"input_tokens": 12, "output_tokens": 34, **usage}), NOW)

    assert isinstance(judged, Answered)
    assert judged.usage == counted


@pytest.mark.parametrize(
    "body",
    [
        but(content=[]),
        but(stop_reason="a_reason_of_next_year"),
        but(stop_details={"type": "refusal"}, container=None, anything={"deep": [1, [2, {"x": None}]]}),
        but(content=[{"type": "tool_use", "id": "t", "name": "f", "input": {"n": 2**70}}]),
        json.dumps(MESSAGE, ensure_ascii=False).encode(),
        GOOD.replace(b'"input_tokens": 12', b'"input_tokens":1,"input_tokens": 12'),
    ],
)
def test_members_that_we_do_not_know_pass_untouched(body: bytes) -> None:
    assert judge(200, {}, body, NOW) == Answered(body, 12, 34)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"message"',
        b"{}",
        without("id"),
        without("type"),
        without("role"),
        without("model"),
        without("content"),
        without("stop_reason"),
        without("usage"),
        but(type="error"),
        but(role="user"),
        but(id=""),
        but(id=7),
        but(model=None),
        but(stop_reason=None),
        but(stop_reason=""),
        but(content="text"),
        but(content=None),
        but(content=["text"]),
        but(content=[{"text": "no type"}]),
        but(content=[{"type": 3}]),
        but(usage=None),
        but(usage={}),
        but(usage={"input_tokens": 1}),
        but(usage={"input_tokens": "1", "output_tokens": 2}),
        but(usage={"input_tokens": -1, "output_tokens": 2}),
        but(usage={"input_tokens": True, "output_tokens": 2}),
        but(usage={"input_tokens": 1.5, "output_tokens": 2}),
        but(usage={"input_tokens": 10**30, "output_tokens": 2}),
        GOOD + b"x",
        GOOD + GOOD,
        b"\xef\xbb\xbf" + GOOD,
        GOOD.decode().encode("utf-16"),
        GOOD.replace(b"12", b"NaN"),
        GOOD.replace(b"12", b"012"),
        GOOD.replace(b"null", b"nul"),
        GOOD.replace(b'a \\"quoted', b"\xff\xfe"),
        GOOD.replace(b'a \\"quoted', b"\xed\xa0\x80"),
        GOOD.replace(b'a \\"quoted', b"\\ud800"),
        GOOD.replace(b'a \\"quoted', b"a raw \n line"),
        GOOD.replace(b'a \\"quoted', b"a raw \x00 NUL"),
        GOOD.replace(b'a \\"quoted', b"\\x41"),
        GOOD.replace(b'"assistant"', b"'assistant'"),
        GOOD.replace(b"}]", b"},]"),
        b'{"a":' * 5000 + GOOD + b"}" * 5000,
        b"[" * 1_000_000,
        b"<html><body>It works!</body></html>",
        b"event: message_start\ndata: {}\n\n",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
        envelope("overloaded_error", "Overloaded"),
    ],
)
def test_anything_less_than_a_whole_message_with_200_is_unknown(body: bytes) -> None:
    assert isinstance(judge(200, {}, body, NOW), Unknown)


def test_an_error_with_status_200_keeps_its_words() -> None:
    kind, message = error_of(judge(200, {}, envelope("overloaded_error", "Overloaded"), NOW))
    assert (kind, message) == ("api_error", "The upstream answered 200 with an error: Overloaded")


def test_a_page_is_quoted_and_a_torn_message_is_not() -> None:
    page = b"<html><head><style>p {}</style></head><body><h1>Bad  gateway</h1></body></html>"
    assert error_of(judge(200, {}, page, NOW))[1] == "The upstream's answer is not JSON: Bad gateway"
    assert "quoted" not in error_of(judge(200, {}, GOOD[:-3], NOW))[1]


@pytest.mark.parametrize("gap", [b"\n", b"\r", b"\r\n", b" \n\t "])
def test_line_breaks_between_tokens_go_and_nothing_else_changes(gap: bytes) -> None:
    numbers = b'[123456789012345678901234567890,1.10,1E+2,-0.0,"\\u00fc\\n\\/ \xc3\xbc"]'
    body = GOOD.replace(b'"stop_sequence": null', gap + b'"numbers":' + numbers) + gap

    outcome = judge_message(gap + body)

    assert isinstance(outcome, Answered)
    assert b"\n" not in outcome.message
    assert b"\r" not in outcome.message
    assert numbers in outcome.message
    assert json.loads(outcome.message) == json.loads(body)


def test_an_answer_cut_at_any_byte_is_never_answered() -> None:
    for length in range(len(GOOD)):
        assert isinstance(judge(200, {}, GOOD[:length], NOW), Unknown), length


@pytest.mark.parametrize(
    ("status", "body", "outcome", "kind", "message"),
    [
        (400, envelope(), Refused, "invalid_request_error", "max_tokens: too large"),
        (404, envelope("not_found_error", "model: x"), Refused, "not_found_error", "model: x"),
        (413, envelope("request_too_large", "big"), Refused, "invalid_request_error", "big"),
        (422, b'{"detail":"no"}', Refused, "invalid_request_error", "no"),
        (418, b"", Refused, "invalid_request_error", "The upstream answered with HTTP status 418."),
        (400, b'{"error":"bad thing"}', Refused, "invalid_request_error", "bad thing"),
        (400, b'{"error":{"code":400,"message":"m","type":"BadRequestError"}}', Refused, "invalid_request_error", "m"),
        (400, b'{"object":"error","message":"m","type":"BadRequest"}', Refused, "invalid_request_error", "m"),
        (404, b'{"error":{"message":"no model x","type":"NotFoundError"}}', Refused, "not_found_error", "no model x"),
        (401, envelope("authentication_error", "bad key"), Held, "authentication_error", "bad key"),
        (402, envelope("billing_error", "pay"), Held, "billing_error", "pay"),
        (403, b"", Held, "permission_error", "The upstream answered with HTTP status 403."),
        (
            404,
            b'{"object":"error","message":"no model x","type":"NotFoundError","code":404}',
            Refused,
            "not_found_error",
            "no model x",
        ),
        (404, b'{"detail":"Not Found"}', Held, "not_found_error", "Not Found"),
        (
            404,
            b"404 page not found",
            Held,
            "not_found_error",
            "The upstream answered with HTTP status 404: 404 page not found",
        ),
        (405, b'{"detail":"Method Not Allowed"}', Held, "invalid_request_error", "Method Not Allowed"),
        (407, b"", Held, "invalid_request_error", "The upstream answered with HTTP status 407."),
        (408, b"", Failed, "timeout_error", "The upstream answered with HTTP status 408."),
        (409, envelope("conflict_error", "busy"), Failed, "invalid_request_error", "busy"),
        (425, b"", NotStarted, "invalid_request_error", "The upstream answered with HTTP status 425."),
        (429, envelope("rate_limit_error", "slow down"), NotStarted, "rate_limit_error", "slow down"),
        (429, b"", NotStarted, "rate_limit_error", "The upstream answered with HTTP status 429."),
        (503, b'{"error":{"code":503,"message":"Loading model"}}', NotStarted, "overloaded_error", "Loading model"),
        (529, envelope("overloaded_error", "Overloaded"), NotStarted, "overloaded_error", "Overloaded"),
        (500, envelope("api_error", "oops"), Failed, "api_error", "oops"),
        (500, b"", Failed, "api_error", "The upstream answered with HTTP status 500."),
        (502, b"<h1>Bad Gateway</h1>", Failed, "api_error", "The upstream answered with HTTP status 502: Bad Gateway"),
        (504, b"", Failed, "timeout_error", "The upstream answered with HTTP status 504."),
        (599, b"{", Failed, "api_error", "The upstream answered with HTTP status 599: {"),
        (201, GOOD, Unknown, "api_error", "The upstream answered with HTTP status 201 instead of 200."),
        (204, b"", Unknown, "api_error", "The upstream answered with HTTP status 204 instead of 200."),
    ],
)
def test_a_status_has_its_outcome(status: int, body: bytes, outcome: type[Outcome], kind: str, message: str) -> None:
    judged = judge(status, {}, body, NOW)

    assert type(judged) is outcome
    assert error_of(judged) == (kind, message)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, envelope("rate_limit_error", "cap", details={"error_code": "enforced_spend_limit_reached"})),
        (429, b'{"error":{"message":"quota","type":"insufficient_quota","code":"insufficient_quota"}}'),
        (400, envelope("invalid_request_error", "held", details={"error_code": "organization_on_hold"})),
        (400, envelope("invalid_request_error", "Your credit balance is too low to access the API.")),
    ],
)
def test_money_and_accounts_hold_the_lane_whatever_the_status(status: int, body: bytes) -> None:
    assert isinstance(judge(status, {}, body, NOW), Held)


@pytest.mark.parametrize(
    ("status", "again", "outcome"),
    [
        (500, "false", Refused),
        (504, "FALSE", Refused),
        (409, "false", Refused),
        (400, "true", Failed),
        (422, "true", Failed),
        (429, "false", Held),
        (529, "false", Held),
        (529, "true", NotStarted),
        (401, "true", Held),
        (500, "maybe", Failed),
        (400, "", Refused),
    ],
)
def test_a_server_that_says_whether_to_try_again_is_believed(status: int, again: str, outcome: type[Outcome]) -> None:
    assert type(judge(status, {"x-should-retry": again}, b"", NOW)) is outcome


def test_a_413_is_told_apart_from_other_refusals() -> None:
    large, other = judge(413, {}, b"", NOW), judge(400, {}, b"", NOW)

    assert isinstance(large, Refused)
    assert isinstance(other, Refused)
    assert (large.is_too_large, other.is_too_large) == (True, False)


@pytest.mark.parametrize(
    ("usage", "given"),
    [
        ({"cache_read_input_tokens": 5, "cache_creation_input_tokens": 6}, 23),
        ({"cache_read_input_tokens": None, "cache_creation_input_tokens": "6"}, 12),
        ({"cache_read_input_tokens": -5, "cache_creation_input_tokens": True}, 12),
    ],
)
def test_all_tokens_of_the_input_are_counted_cached_or_not(usage: dict[str, object], given: int) -> None:
    body = but(usage={"input_tokens": 12, "output_tokens": 34, **usage})

    outcome = judge(200, {}, body, NOW)

    assert isinstance(outcome, Answered)
    assert (outcome.message, outcome.input_tokens, outcome.output_tokens) == (body, given, 34)
    assert outcome.usage.all_input_tokens == given


def test_a_redirect_holds_the_lane_and_says_where_it_points_without_its_query() -> None:
    judged = judge(307, {"location": "https://other.example/v1?key=secret"}, b"", NOW)

    assert isinstance(judged, Held)
    assert "https://other.example/v1" in judged.error.message
    assert "secret" not in judged.error.message


def test_the_request_id_and_the_details_are_kept() -> None:
    body = b'{"type":"error","error":{"type":"api_error","message":"m","details":{"a":1}},"request_id":"req_9"}'
    judged = judge(500, {"request-id": "req_h"}, body, NOW)

    assert isinstance(judged, Failed)
    assert judged.error.request_id == "req_9"
    assert bytes(judged.error.details) == b'{"a":1}'
    by_header = judge(500, {"request-id": "req_h"}, b"", NOW)
    assert isinstance(by_header, Failed)
    assert by_header.error.request_id == "req_h"


def test_a_list_of_wrong_members_is_told_without_the_input_that_it_repeats() -> None:
    wrongs = [{"loc": ["body", "messages", 0, "role"], "msg": "Field required", "input": "the prompt"}]
    assert error_of(judge(422, {}, json.dumps({"detail": wrongs}).encode(), NOW)) == (
        "invalid_request_error",
        "messages.0.role: Field required",
    )


def test_an_endless_error_text_is_cut() -> None:
    assert len(error_of(judge(400, {}, envelope(message="x" * 100_000), NOW))[1]) == 4096
    assert len(error_of(judge(400, {}, b"x" * 1_000_000, NOW))[1]) < 300
    assert len(error_of(judge(200, {}, but(type="x" * 100_000), NOW))[1]) < 300


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:07 GMT"}, 7.0),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:07 GMT", "date": "Fri, 20 Nov 2026 12:00:02 GMT"}, 5.0),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:07 GMT", "date": "rubbish"}, 7.0),
        ({"retry-after": "Fri, 20 Nov 2026 11:59:00 GMT"}, None),
        ({"retry-after": "Fri, 20 Nov 2126 12:00:07 GMT"}, None),
        ({"retry-after": "Xyz, 99 Nov 2026 12:00:07 GMT"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "999999999999"}, None),
        ({"retry-after": "1" * 400}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_a_sensible_wait_is_honoured_and_an_absurd_one_ignored(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds
    limited = judge(429, headers, b"", NOW)
    assert isinstance(limited, NotStarted)
    assert limited.retry_after == seconds


@settings(max_examples=60, deadline=None)
@given(st.integers(100, 999), st.binary(max_size=300), st.dictionaries(st.text(), st.text(), max_size=3))
def test_garbage_is_judged_and_never_answered(status: int, body: bytes, headers: dict[str, str]) -> None:
    assert not isinstance(judge(status, headers, body, NOW), Answered)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text(max_size=40))
def test_no_retry_after_raises(name: str, value: str) -> None:
    retry_after({"retry-after": "Fri, 20 Nov 2026 12:00:07 GMT", name: value}, NOW)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*MESSAGE, "error", "detail", "message", "request_id"]),
    _json,
    st.sampled_from([200, 400, 429, 500]),
)
def test_a_message_with_one_member_replaced_is_valid_only_if_json_says_so(name: str, value: Any, status: int) -> None:
    try:
        body = but(**{name: value})
    except UnicodeEncodeError:
        return
    outcome = judge(status, {}, body, NOW)
    if status != 200:
        assert not isinstance(outcome, Answered)
    elif name in {"type", "role", "id", "model", "stop_reason", "content", "usage"} and isinstance(outcome, Answered):
        assert value == [] or isinstance(value, str | list)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_flipped_byte_gives_valid_json_or_no_success(at: int, byte: int) -> None:
    outcome = judge(200, {}, GOOD[:at] + bytes([byte]) + GOOD[at + 1 :], NOW)
    if isinstance(outcome, Answered):
        assert set(MESSAGE) - {"stop_sequence"} <= set(json.loads(outcome.message))
