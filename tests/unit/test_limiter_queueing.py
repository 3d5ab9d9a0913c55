"""Latency as a teacher: only answers of one length are compared, and only a trial narrows."""

import math
import random

import pytest

from batchyard.domain.limiter_queueing import Queueing, Sample, contrast


def sample(*answers: tuple[int, float, int]) -> Sample:
    """Return a sample of (how many, seconds each, tokens each)."""
    made = Sample()
    for number, seconds, tokens in answers:
        for _ in range(number):
            made.add(seconds, tokens)
    return made


def test_another_mix_of_lengths_is_not_slower() -> None:
    short, long = sample((90, 1.0, 50), (10, 10.0, 500)), sample((10, 1.0, 50), (90, 10.0, 500))

    assert contrast(long, short)[0] == pytest.approx(0.0)


def test_twice_as_slow_at_every_length_is_twice_as_slow() -> None:
    slower, error = contrast(sample((9, 2.0, 50), (90, 20.0, 500)), sample((90, 1.0, 50), (10, 10.0, 500)))

    assert slower == pytest.approx(math.log(2.0))
    assert error == pytest.approx(0.0)


def test_without_a_common_length_nothing_is_known() -> None:
    assert contrast(sample((50, 9.0, 500)), sample((50, 1.0, 5))) == (0.0, math.inf)
    assert contrast(sample((50, 9.0, 500)), Sample()) == (0.0, math.inf)


def test_the_error_falls_with_the_number_of_answers() -> None:
    dice = random.Random(1)

    def spread(number: int) -> Sample:
        return sample(*((1, dice.uniform(0.5, 1.5), 50) for _ in range(number)))

    few, many = contrast(spread(20), spread(20))[1], contrast(spread(2000), spread(2000))[1]
    assert many < few / 5


def test_a_wait_that_nobody_would_notice_is_no_suspicion() -> None:
    queueing = Queueing()
    for answer in range(5_000):  # the line is four times as long as the work, and lasts for 40 ms
        position = 1 + answer % 100
        queueing.answered(0.01 if position <= 25 else 0.05, 50, position, 100, answer / 1_000)

    assert queueing.cap is None


def test_a_line_is_put_to_trial_and_the_trial_decides() -> None:
    def lane(work: float) -> int | None:
        """A server with ``work`` slots at 1 s; as many as are allowed are in flight."""
        queueing, now = Queueing(), 0.0
        for answer in range(20_000):
            limit = min(100, queueing.cap or 100)
            position = 1 + answer % 100 if answer < 100 else limit
            now += 1.0 / min(work, limit)
            queueing.answered(max(1.0, position / work), 50, position, limit, now)
        return queueing.cap

    assert lane(100.0) is None
    narrowed = lane(20.0)
    assert narrowed is not None
    assert 20 <= narrowed <= 30


@pytest.mark.parametrize(("slots", "tried"), [(7, set()), (8, {6})])
def test_only_a_wide_lane_gives_up_slots_to_learn_whether_it_queues(slots: int, tried: set[int]) -> None:
    queueing, caps, now = Queueing(), set[int | None](), 0.0
    while now < 3600.0:  # a slow model: every call takes five seconds, however many are in flight
        limit = queueing.cap or slots
        now += 5.0 / limit
        queueing.answered(5.0, 50, limit, limit, now)
        caps.add(queueing.cap)

    assert caps == {None} | tried
