"""The retry budget: a tenth of first attempts, the rest later, and nothing lost for good."""

import pytest

from batchyard.domain.retry_budget import AT_FIRST, LEAST_RATE, LONGEST, MOST, RetryBudget


def spend(budget: RetryBudget, retries: int, *, rate: float | None = None, now: float = 0.0) -> list[float]:
    return [budget.put_off(rate, now) for _ in range(retries)]


def test_a_tenth_of_the_first_attempts_may_be_tried_again_at_once() -> None:
    budget = RetryBudget()
    for _ in range(200):
        budget.began()

    delays = spend(budget, 100)

    assert sum(delay == 0.0 for delay in delays) == pytest.approx(AT_FIRST + 20, abs=1)


def test_what_is_beyond_comes_one_by_one_at_a_tenth_of_the_lanes_rate() -> None:
    budget = RetryBudget()
    spend(budget, int(AT_FIRST))

    assert spend(budget, 3, rate=50.0) == pytest.approx([0.2, 0.4, 0.6])
    assert spend(budget, 1, rate=50.0, now=10.0) == pytest.approx([0.2])
    assert spend(RetryBudget(), int(AT_FIRST) + 7)[-1] == pytest.approx(7.0 / LEAST_RATE)


def test_no_retry_is_put_off_for_ever() -> None:
    assert max(spend(RetryBudget(), 10_000)) == LONGEST


def test_a_retry_that_is_answered_gives_its_share_back() -> None:
    budget = RetryBudget()
    for _ in range(1_000):
        assert spend(budget, 1) == [0.0]
        budget.paid_off()


def test_little_is_saved_up() -> None:
    budget = RetryBudget()
    for _ in range(1_000_000):
        budget.began()

    assert sum(delay == 0.0 for delay in spend(budget, 1_000)) == MOST
