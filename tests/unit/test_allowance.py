"""Rate limits as servers tell of them, read as plain numbers."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchyard.domain.allowance import LONGEST_RESET, Allowance, is_told, read_allowance
from batchyard.domain.answer import judge, retry_after
from batchyard.domain.outcome import NotStarted

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "4000",
    "anthropic-ratelimit-requests-remaining": "3999",
    "anthropic-ratelimit-requests-reset": "2026-11-20T12:00:01Z",
    "anthropic-ratelimit-tokens-remaining": "5000",
    "anthropic-ratelimit-tokens-reset": "2026-11-20T12:00:02Z",
    "anthropic-ratelimit-input-tokens-remaining": "5000",
    "anthropic-ratelimit-input-tokens-reset": "2026-11-20T12:00:03Z",
    "anthropic-ratelimit-output-tokens-remaining": "100",
    "anthropic-ratelimit-output-tokens-reset": "2026-11-20T12:00:40+00:00",
}
OPENAI = {
    "x-ratelimit-limit-requests": "5000",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "12ms",
    "x-ratelimit-remaining-tokens": "0",
    "x-ratelimit-reset-tokens": "6m0.5s",
}


def test_anthropics_headers_become_what_is_left_of_the_scarcest_limit() -> None:
    assert read_allowance(ANTHROPIC, NOW) == Allowance(3999, 1.0, 100, 40.0)


def test_openais_headers_become_seconds() -> None:
    assert read_allowance(OPENAI, NOW) == Allowance(0, 0.012, 0, 360.5)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("17ms", 0.017),
        ("1m", 60.0),
        ("1h2m3s", 3723.0),
        ("1d", 86400.0),
        ("2.5", 2.5),
        ("7", 7.0),
        ("2026-11-20T12:00:05.250Z", 5.25),
        ("Fri, 20 Nov 2026 12:00:09 GMT", 9.0),
        ("2026-11-20T11:59:00Z", None),
        ("3000-01-01T00:00:00Z", None),
        ("99999999", None),
        ("-1s", None),
        ("s", None),
        ("", None),
        ("soon", None),
    ],
)
def test_a_reset_is_read_in_every_form_that_servers_use(text: str, seconds: float | None) -> None:
    told = read_allowance({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": text}, NOW)

    assert told == Allowance(1, seconds)


def test_a_moment_is_measured_from_the_answers_own_date() -> None:
    headers = {**ANTHROPIC, "date": "Fri, 20 Nov 2026 11:59:50 GMT"}

    assert read_allowance(headers, NOW) == Allowance(3999, 11.0, 100, 50.0)


def test_no_such_headers_are_no_allowance() -> None:
    assert read_allowance({"content-type": "application/json", "x-ratelimit-limit-requests": "1"}, NOW) is None
    assert not is_told([(b"Content-Type", b"application/json"), (b"server", b"llama.cpp")])
    assert is_told([(b"server", b"x"), (b"Anthropic-RateLimit-Requests-Reset", b"x")])


def test_without_a_retry_after_the_wait_is_the_reset_of_what_is_used_up() -> None:
    judged = judge(429, OPENAI, b"", NOW)

    assert isinstance(judged, NotStarted)
    assert judged.retry_after == 360.5
    assert judged.allowance == Allowance(0, 0.012, 0, 360.5)
    assert retry_after({**OPENAI, "retry-after": "3"}, NOW) == 3.0
    assert retry_after({**OPENAI, "retry-after": "nonsense"}, NOW) == 360.5


def test_a_limit_that_is_not_used_up_asks_for_no_wait() -> None:
    assert retry_after(ANTHROPIC, NOW) is None


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted({**ANTHROPIC, **OPENAI, "date": ""})), st.text(max_size=30)))
def test_whatever_the_headers_say_the_numbers_are_sane(headers: dict[str, str]) -> None:
    told = read_allowance(headers, NOW)

    if told is not None:
        for left in (told.requests_left, told.tokens_left):
            assert left is None or left >= 0
        for reset in (told.requests_reset, told.tokens_reset, told.wait):
            assert reset is None or 0.0 <= reset <= LONGEST_RESET
