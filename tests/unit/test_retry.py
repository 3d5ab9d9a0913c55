"""Settlements: what is free is retried, what may be billed is bounded."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchyard.domain.outcome import (
    Answered,
    Failed,
    Finish,
    Held,
    Hostile,
    Hung,
    NotStarted,
    Outcome,
    Refused,
    Unknown,
)
from batchyard.domain.outcome import Retry as RetryLater
from batchyard.domain.request import Lease, ParamsAt
from batchyard.domain.result import Errored, RequestError, Succeeded
from batchyard.domain.retry import LONGEST_RETRY_AFTER, delay_seconds, settle
from batchyard.testing.time import START

ERROR = RequestError("api_error", "broke")


def lease(attempt: int = 1, paid: int = 0, failures: int = 0, unknowns: int = 0) -> Lease:
    return Lease("b", 0, attempt, ParamsAt("blob", 0, 2, 0), paid=paid, failures=failures, unknowns=unknowns)


def settled(outcome: Outcome, held: Lease) -> Finish | RetryLater:
    return settle(held, outcome, START, START + timedelta(seconds=1), 0.5)


def test_an_answer_is_final() -> None:
    settlement = settled(Answered(b"{}"), lease())

    assert isinstance(settlement, Finish)
    assert settlement.result == Succeeded(b"{}")


@pytest.mark.parametrize("outcome", [Refused(ERROR), Hostile(ERROR)])
def test_refused_and_hostile_are_errored_without_another_call(outcome: Outcome) -> None:
    settlement = settled(outcome, lease())

    assert isinstance(settlement, Finish)
    assert settlement.result == Errored(ERROR)


@pytest.mark.parametrize("outcome", [NotStarted(ERROR), Held(ERROR)])
def test_what_cost_nothing_is_retried_for_ever_and_counts_for_nothing(outcome: Outcome) -> None:
    settlement = settled(outcome, lease(attempt=500, paid=1, failures=2, unknowns=1))

    assert isinstance(settlement, RetryLater)
    assert (settlement.paid, settlement.failures, settlement.unknowns) == (1, 2, 1)


@pytest.mark.parametrize(
    ("outcome", "before", "final"),
    [
        (Failed(ERROR), lease(), False),
        (Failed(ERROR), lease(failures=1, paid=1), False),
        (Failed(ERROR), lease(failures=2, paid=2), True),
        (Unknown(ERROR), lease(), False),
        (Unknown(ERROR), lease(failures=1, unknowns=1, paid=1), True),
        (Hung(ERROR), lease(), False),
        (Hung(ERROR), lease(failures=1, unknowns=1, paid=1), True),
        (Unknown(ERROR), lease(failures=2, paid=2), True),
        (Failed(ERROR), lease(attempt=9, paid=5), False),
    ],
)
def test_what_may_be_billed_is_bounded(outcome: Outcome, before: Lease, final: bool) -> None:
    settlement = settled(outcome, before)

    assert isinstance(settlement, Finish) is final
    if isinstance(settlement, RetryLater):
        assert settlement.paid == before.paid + 1
        assert settlement.failures == before.failures + 1


@given(st.integers(1, 10_000), st.floats(0, 0.999))
def test_delays_grow_to_a_minute_and_are_spread(attempt: int, jitter: float) -> None:
    assert 0.25 <= delay_seconds(attempt, None, jitter) <= 60.0


@given(st.integers(1, 100), st.floats(-5, 1e12), st.floats(0, 0.999))
def test_retry_after_is_a_minimum_and_an_absurd_one_is_capped(attempt: int, asked: float, jitter: float) -> None:
    delay = delay_seconds(attempt, asked, jitter)

    assert delay >= min(asked, LONGEST_RETRY_AFTER)
    assert delay <= LONGEST_RETRY_AFTER * 1.1 + 1.0


@given(st.floats(0, 0.999))
def test_a_settlement_depends_on_its_arguments_alone(jitter: float) -> None:
    first = settle(lease(), Failed(ERROR), START, START, jitter)

    assert first == settle(lease(), Failed(ERROR), START, START, jitter)
