"""Words of a model server that repeat the request are left out; all others stay."""

import pytest

from batchyard.domain.echo import LARGEST_SEARCHED, LEFT_OUT, without_echo
from batchyard.domain.outcome import Held, NotStarted, Outcome, Refused
from batchyard.domain.result import RequestError

PARAMS = b'{"model":"m","messages":[{"role":"user","content":"the quick brown fox jumps over the lazy dog"}]}'


def said(message: str, kind: type[Held | NotStarted | Refused] = Held, params: bytes = PARAMS) -> str:
    outcome: Outcome = without_echo(kind(RequestError("authentication_error", message)), params)
    assert isinstance(outcome, kind)
    assert outcome.error.type == "authentication_error"
    return outcome.error.message


@pytest.mark.parametrize("words", ["Your credit balance is too low.", "", "No connection", "invalid x-api-key: m"])
def test_what_a_server_says_of_itself_stays(words: str) -> None:
    assert said(words) == words


@pytest.mark.parametrize("before", range(12))
def test_24_characters_of_the_request_in_a_row_are_found_wherever_they_stand(before: int) -> None:
    words = "x" * before + "quick brown fox jumps over"[:24] + " is not allowed"

    assert said(words) == said(words, NotStarted) == LEFT_OUT


def test_what_goes_to_the_client_keeps_its_words_and_large_params_are_not_searched() -> None:
    assert said("the quick brown fox jumps over", Refused) == "the quick brown fox jumps over"
    assert said("anything at all", params=b"x" * (LARGEST_SEARCHED + 1)) == LEFT_OUT
