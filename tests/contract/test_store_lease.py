"""What ``backlog`` and the picks of ``turn`` promise: what may be leased, in which order, and what may not."""

from datetime import timedelta

import pytest

from batchyard.domain.request import Lease, ParamsAt
from batchyard.ports import Pick, Ready
from batchyard.testing.factories import DAY, MODEL, NOW, a_batch, drafts, failed, later, retried, succeeded
from tests.contract.yard import Yard

MICROSECOND = timedelta(microseconds=1)


def seqs(leases: list[Lease]) -> list[int]:
    return [lease.seq for lease in leases]


def test_a_lease_says_all_that_an_attempt_needs(yard: Yard) -> None:
    batch = yard.create(2)
    packed = drafts(2)

    [lease] = yard.lease(batch, 1)

    assert lease == Lease(
        batch=batch.id,
        seq=0,
        attempt=1,
        params=ParamsAt("b1.body", 0, packed.lengths[0], packed.crcs[0]),
        model="simulator",
    )


def test_requests_are_leased_in_their_order_and_once(yard: Yard) -> None:
    batch = yard.create(7)

    assert seqs(yard.lease(batch, 3)) == [0, 1, 2]
    assert seqs(yard.lease(batch, 3, owner="o2")) == [3, 4, 5]
    assert seqs(yard.lease(batch, 3)) == [6]
    assert yard.lease(batch, 3) == []


def test_a_turn_takes_several_picks(yard: Yard) -> None:
    first, second, third = yard.create(3), yard.create(3, a_batch("w2")), yard.create(3)

    turn = yard.turn([], [Pick(second.id, MODEL, 1), Pick(first.id, MODEL, 2)])

    assert sorted(lease.key for lease in turn.leases) == [(first.id, 0), (first.id, 1), (second.id, 0)]
    assert [ready.pending for ready in yard.backlog() if ready.batch == third.id] == [3]


def test_a_pick_of_nothing_leases_nothing(yard: Yard) -> None:
    batch = yard.create(3)

    assert yard.lease(batch, 0) == []
    assert seqs(yard.lease(batch)) == [0, 1, 2]


def test_a_batch_that_is_unknown_ended_or_deleted_leases_nothing(yard: Yard) -> None:
    ended = yard.ended(2)
    good = yard.create(1)
    unknown = Pick("msgbatch_01" + "0" * 22, MODEL, 5)

    turn = yard.turn([], [unknown, Pick(ended.id, MODEL, 5), Pick(good.id, MODEL, 5)])

    assert [lease.key for lease in turn.leases] == [(good.id, 0)]
    yard.delete(ended)
    assert yard.lease(ended) == []


@pytest.mark.parametrize("rest", [0, 1])
def test_nothing_is_leased_from_the_deadline_on(yard: Yard, rest: int) -> None:
    batch = yard.create(1)

    leases = yard.lease(batch, now=NOW + DAY - rest * MICROSECOND)

    assert len(leases) == rest


def test_a_retry_is_not_leased_before_its_time(yard: Yard) -> None:
    batch = yard.create(1)
    [lease] = yard.lease(batch)
    yard.settle(retried(lease, later(90)))

    assert yard.lease(batch, now=later(90) - MICROSECOND) == []
    assert seqs(yard.lease(batch, now=later(90))) == [0]


def test_a_retry_that_is_not_due_holds_nobody_up(yard: Yard) -> None:
    batch = yard.create(3)
    [first] = yard.lease(batch, 1)
    yard.settle(retried(first, later(90)))

    assert seqs(yard.lease(batch)) == [1, 2]


def test_due_retries_go_before_fresh_requests(yard: Yard) -> None:
    batch = yard.create(5)
    leases = yard.lease(batch, 3)
    yard.settle(retried(leases[2], later(70)), succeeded(leases[0]), retried(leases[1], later(500)))

    assert [(lease.seq, lease.attempt) for lease in yard.lease(batch, 2, now=later(70))] == [(2, 2), (3, 1)]
    assert seqs(yard.lease(batch, now=later(500))) == [1, 4]


def test_due_retries_go_in_the_order_of_the_requests(yard: Yard) -> None:
    batch = yard.create(6)
    leases = yard.lease(batch, 5)
    for seq, ready in ((4, 61), (3, 62), (0, 65), (2, 61), (1, 900)):
        yard.settle(retried(leases[seq], later(ready)))

    assert seqs(yard.lease(batch, 3, now=later(70))) == [0, 2, 3]
    assert seqs(yard.lease(batch, 3, now=later(70))) == [4, 5]


def test_a_due_retry_that_a_limit_left_out_comes_next(yard: Yard) -> None:
    batch = yard.create(4)
    leases = yard.lease(batch, 3)
    yard.settle(*[failed(lease, later(61)) for lease in leases])

    assert seqs(yard.lease(batch, 2, now=later(70))) == [0, 1]
    assert seqs(yard.lease(batch, 2, now=later(70))) == [2, 3]


def test_a_clock_behind_the_others_leases_no_retry_too_early(yard: Yard) -> None:
    batch = yard.create(2)
    leases = yard.lease(batch)
    yard.settle(*[retried(lease, later(90)) for lease in leases])

    assert seqs(yard.lease(batch, 1, now=later(100))) == [0]
    assert yard.lease(batch, 1, now=later(80)) == []
    assert seqs(yard.lease(batch, 1, now=later(90))) == [1]


def test_each_lease_raises_the_attempt(yard: Yard) -> None:
    batch = yard.create(1)
    attempts = []
    for _ in range(4):
        [lease] = yard.lease(batch)
        attempts.append(lease.attempt)
        yard.settle(retried(lease, later(60)))
    [lease] = yard.lease(batch)
    yard.reclaim("o1")
    attempts += [lease.attempt, *[after.attempt for after in yard.lease(batch)]]

    assert attempts == [1, 2, 3, 4, 5, 6]


def test_an_empty_store_has_no_backlog(yard: Yard) -> None:
    assert yard.backlog() == []


def test_the_backlog_tells_what_a_lease_decision_needs(yard: Yard) -> None:
    batch = yard.create(3, a_batch("w7", version="2026-10-21", betas=("x", "y")))

    assert yard.backlog() == [
        Ready(
            batch=batch.id,
            workspace="w7",
            created_at=NOW,
            expires_at=NOW + DAY,
            version="2026-10-21",
            betas=("x", "y"),
            model=MODEL,
            pending=3,
            next_ready_at=NOW,
        )
    ]


def test_the_backlog_has_every_workspace(yard: Yard) -> None:
    batches = [yard.create(1, a_batch(workspace)) for workspace in ("w1", "w2", "w3", "w1")]

    assert sorted(ready.batch for ready in yard.backlog()) == [batch.id for batch in batches]


def test_pending_is_neither_leased_nor_final(yard: Yard) -> None:
    batch = yard.create(6)
    leases = yard.lease(batch, 4)
    yard.settle(succeeded(leases[0]), retried(leases[1], later(900)))

    [ready] = yard.backlog()

    assert ready.pending == 3
    assert ready.next_ready_at == batch.created_at


def test_the_backlog_leaves_out_a_batch_whose_requests_are_all_in_flight(yard: Yard) -> None:
    batch = yard.create(2)
    [first, _] = yard.lease(batch)

    assert yard.backlog() == []
    yard.settle(retried(first, later(90)))
    assert [ready.pending for ready in yard.backlog()] == [1]


def test_the_backlog_tells_when_the_next_retry_is_due(yard: Yard) -> None:
    batch = yard.create(3)
    leases = yard.lease(batch)
    yard.settle(retried(leases[0], later(300)), retried(leases[1], later(200)), retried(leases[2], later(250)))

    assert [ready.next_ready_at for ready in yard.backlog()] == [later(200)]
    yard.lease(batch, now=later(200))
    assert [(ready.pending, ready.next_ready_at) for ready in yard.backlog()] == [(2, later(250))]


def test_the_backlog_leaves_out_closing_ended_and_overdue_batches(yard: Yard) -> None:
    canceling, ended = yard.create(2), yard.ended(2)
    yard.cancel(canceling)
    overdue = yard.create(2, a_batch(created_at=later(1), expires_after=timedelta(seconds=600)))
    good = yard.create(2)

    assert [ready.batch for ready in yard.backlog(later(602))] == [good.id]
    assert {ready.batch for ready in yard.backlog(later(2))} == {overdue.id, good.id}
    assert ended.id not in {ready.batch for ready in yard.backlog()}


@pytest.mark.parametrize("rest", [0, 1])
def test_the_backlog_ends_at_the_deadline(yard: Yard, rest: int) -> None:
    yard.create(1)

    assert len(yard.backlog(NOW + DAY - rest * MICROSECOND)) == rest


def test_a_large_batch_is_leased_whole_in_order(yard: Yard) -> None:
    batch = yard.create(2500)
    leased: list[int] = []
    while leases := yard.lease(batch, 700):
        leased += seqs(leases)

    assert leased == list(range(2500))
