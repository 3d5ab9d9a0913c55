"""What ``expire`` and ``ripe`` promise, and the batches that ``turn`` names: when one can be sealed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from batchyard.domain.batch import Closing
from batchyard.testing.factories import (
    DAY,
    NOW,
    a_batch,
    errored,
    later,
    retried,
    succeeded,
)
from tests.contract.yard import Yard

MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize("rest", [0, 1])
def test_a_batch_expires_at_its_deadline(yard: Yard, rest: int) -> None:
    batch = yard.create(1)

    closed = yard.expire(NOW + DAY - rest * MICROSECOND)

    assert closed == ([] if rest else [batch.id])
    assert yard.get(batch) == (batch if rest else replace(batch, closing=Closing.EXPIRED))


def test_expire_returns_a_batch_once(yard: Yard) -> None:
    soon = yard.create(1, a_batch(expires_after=timedelta(seconds=10)))
    late = yard.create(1, a_batch(expires_after=timedelta(seconds=20)))

    assert yard.expire(later(15)) == [soon.id]
    assert yard.expire(later(25)) == [late.id]
    assert yard.expire(later(35)) == []


def test_an_expired_batch_stays_so_whatever_the_clock_says_later(yard: Yard) -> None:
    batch = yard.create(2)
    yard.lease(batch, 1)
    yard.expire(NOW + DAY)

    assert yard.lease(batch, now=later(60)) == []
    assert yard.backlog(later(60)) == []
    assert yard.expire(later(60)) == []
    assert yard.get(batch).closing is Closing.EXPIRED


def test_canceling_and_ended_batches_do_not_expire(yard: Yard) -> None:
    canceling, ended = yard.cancel(yard.create(1)), yard.ended(1)

    assert yard.expire(NOW + 2 * DAY) == []

    assert yard.get(canceling) == canceling
    assert yard.get(ended) == ended


def test_a_batch_with_open_requests_is_not_ripe(yard: Yard) -> None:
    _, leased, waiting = yard.create(1), yard.create(1), yard.create(1)
    yard.lease(leased)
    yard.settle(*[retried(lease, later(900)) for lease in yard.lease(waiting)])

    assert yard.ripe() == []


def test_a_batch_without_open_requests_is_ripe_until_its_seal(yard: Yard) -> None:
    batch = yard.create(2)
    yard.settle(*[succeeded(lease) for lease in yard.lease(batch)])

    assert list(yard.run(yard.store.ripe())) == [yard.get(batch)]
    yard.seal(batch)
    assert yard.ripe() == []


@pytest.mark.parametrize("expired", [True, False])
def test_a_closing_batch_is_ripe_when_none_is_leased(yard: Yard, expired: bool) -> None:
    idle, busy, waiting = yard.create(2), yard.create(2), yard.create(2)
    [held] = yard.lease(busy, 1)
    yard.settle(*[retried(lease, later(10**6)) for lease in yard.lease(waiting)])
    if expired:
        yard.expire(NOW + 2 * DAY)
    else:
        for batch in (idle, busy, waiting):
            yard.cancel(batch)

    assert yard.ripe() == [idle.id, waiting.id]
    yard.settle(succeeded(held))
    assert yard.ripe() == [idle.id, busy.id, waiting.id]


def test_an_overdue_batch_is_ripe_only_once_it_was_closed(yard: Yard) -> None:
    batch = yard.create(1)
    yard.backlog(NOW + 2 * DAY)

    assert yard.ripe() == []
    yard.expire(NOW + 2 * DAY)
    assert yard.ripe() == [batch.id]


def test_ripe_has_every_workspace(yard: Yard) -> None:
    batches = [yard.cancel(yard.create(1, a_batch(workspace))) for workspace in ("w1", "w2")]

    assert yard.ripe() == [batch.id for batch in batches]


def test_ripe_names_a_batch_whose_last_request_was_settled(yard: Yard) -> None:
    batch, other = yard.create(2), yard.create(2)
    [a, b] = yard.lease(batch)
    [c, _] = yard.lease(other)

    assert yard.settle(succeeded(a), succeeded(c)).ripe == []
    assert yard.settle(errored(b)).ripe == [batch.id]


def test_ripe_names_each_batch_once_and_all_of_them(yard: Yard) -> None:
    batches = [yard.create(3), yard.create(2), yard.create(1), yard.create(1)]
    leases = [lease for batch in batches for lease in yard.lease(batch)]

    turn = yard.settle(*[succeeded(lease) for lease in leases[:-1]])

    assert turn.ripe == [batch.id for batch in batches[:3]]


def test_ripe_is_not_a_batch_with_a_retry_to_come(yard: Yard) -> None:
    batch = yard.create(2)
    [a, b] = yard.lease(batch)

    assert yard.settle(succeeded(a), retried(b, later(100))).ripe == []


def test_ripe_is_not_a_batch_with_fresh_requests(yard: Yard) -> None:
    batch = yard.create(2)
    [a] = yard.lease(batch, 1)

    assert yard.settle(succeeded(a)).ripe == []


@pytest.mark.parametrize("expired", [True, False])
def test_ripe_is_a_closing_batch_whose_last_call_came_back(yard: Yard, expired: bool) -> None:
    batch = yard.create(4)
    [a, b] = yard.lease(batch, 2)
    if expired:
        yard.expire(NOW + DAY)
    else:
        yard.cancel(batch)

    assert yard.settle(succeeded(a)).ripe == []
    assert yard.settle(retried(b, later(70))).ripe == [batch.id]


def test_a_stale_settlement_makes_nothing_ripe(yard: Yard) -> None:
    batch = yard.create(1)
    [lease] = yard.lease(batch)
    yard.settle(succeeded(lease))

    assert yard.settle(succeeded(lease)).ripe == []


def test_a_batch_is_ripe_though_its_last_settlement_came_twice(yard: Yard) -> None:
    batch = yard.create(1)
    [lease] = yard.lease(batch)

    assert yard.settle(succeeded(lease), succeeded(lease)).ripe == [batch.id]
