"""The rate and the time left that people are shown come from what happened lately."""

import pytest

from batchyard.client.pace import Pace, in_words


def paced(*looks: tuple[float, int]) -> Pace:
    pace = Pace()
    for seconds, finished in looks:
        pace.look(seconds, finished)
    return pace


def test_nothing_is_said_before_anything_moved() -> None:
    assert paced((0, 0)).seconds_left(10) is None
    assert paced((0, 0), (5, 0)).seconds_left(10) is None
    assert paced((5, 0), (5, 9)).per_second == 0


def test_the_rate_is_that_of_the_last_two_minutes() -> None:
    slow_then_fast = paced(*((10.0 * n, 10 * n if n <= 100 else 1000 + 100 * (n - 100)) for n in range(121)))

    assert slow_then_fast.per_second == pytest.approx(10)
    assert slow_then_fast.seconds_left(500) == pytest.approx(50)


def test_a_pause_of_hours_does_not_hide_the_last_two_looks() -> None:
    assert paced((0, 0), (10_000, 5), (20_000, 15)).per_second == pytest.approx(10 / 10_000)


def test_another_round_begins_anew() -> None:
    assert paced((0, 0), (10, 100), (20, 0), (30, 5)).per_second == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (7_325, "2 h 2 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
