"""How long a call may take is learnt from those that were answered, whatever their spread."""

import random

import pytest

from batchyard.domain.patience import ENOUGH, LEAST, Patience


def taught(*seconds: float) -> Patience:
    patience = Patience()
    for each in seconds:
        patience.answered(each)
    return patience


def test_nothing_is_known_before_a_hundred_answers() -> None:
    patience = taught(*[1.0] * (ENOUGH - 1))
    assert patience.seconds is None
    assert not patience.is_over(1e6, 10**6, 1)

    patience.answered(1.0)
    assert patience.seconds is not None


def test_it_is_a_few_times_what_the_slowest_hundredth_takes() -> None:
    dice = random.Random(1)
    patience = taught(*(dice.uniform(1.0, 2.0) for _ in range(2_000)), *[40.0] * 10)

    assert patience.seconds is not None
    assert 2.5 * 1.9 <= patience.seconds <= 2.5 * 2.0 * 1.1 * 1.01


def test_lanes_of_long_answers_have_more() -> None:
    patience = taught(*[1.0] * 900, *[60.0] * 100)

    assert patience.seconds is not None
    assert patience.seconds >= 150.0


def test_the_lane_must_have_been_answered_several_times_over() -> None:
    patience = taught(*[1.0] * 200)

    assert not patience.is_over(30.0, 20, 10)
    assert patience.is_over(30.0, 60, 10)
    assert not patience.is_over(1.5, 600, 10)


def test_quick_servers_are_given_a_moment() -> None:
    assert taught(*[0.001] * 200).seconds == LEAST


def test_what_was_usual_long_ago_is_forgotten() -> None:
    patience = taught(*[60.0] * 1_000, *[1.0] * 30_000)

    assert patience.seconds is not None
    assert patience.seconds <= 3.0


def mixed(cut: int, again: int, slow: int) -> Patience:
    """A lane of a second for each, which cut so many, tried so many again, and was answered by so many of these."""
    patience = taught(*[1.0] * 1_000)
    for _ in range(cut):
        patience.cut()
    for _ in range(again):
        patience.again()
    for _ in range(slow):
        patience.answered(30.0, again=True)
    for _ in range(ENOUGH - slow):
        patience.answered(1.0)
    return patience


def test_of_what_was_cut_and_waits_as_many_are_slow_as_of_what_was_tried_again() -> None:
    assert mixed(cut=40, again=4, slow=4).seconds == pytest.approx(2.5 * 30.0, rel=0.11)
    assert mixed(cut=40, again=2, slow=2).seconds == pytest.approx(2.5, rel=0.11)  # two tries tell of themselves alone
    assert mixed(cut=40, again=4, slow=0).seconds == pytest.approx(2.5, rel=0.11)  # they hang
    assert mixed(cut=40, again=40, slow=4).seconds == pytest.approx(2.5, rel=0.11)  # nine of ten do
    assert mixed(cut=4, again=4, slow=4).seconds == pytest.approx(2.5, rel=0.11)  # they are too few to mind


def test_nothing_that_was_cut_is_counted_twice() -> None:
    patience = taught(*[1.0] * 1_000)
    for _ in range(40):
        patience.cut()
    for _ in range(40):
        patience.again()
        patience.answered(30.0, again=True)

    assert patience.all_but(0.05) == pytest.approx(1.0, rel=0.11)
    assert patience.all_but(0.03) == pytest.approx(30.0, rel=0.11)
