"""What ``turn`` promises of settlements: only the holder of a lease settles it, once, and the counts follow."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from batchyard.domain.batch import Batch, Counts
from batchyard.domain.outcome import Settlement
from batchyard.domain.request import Lease
from batchyard.domain.result import Canceled, Errored, Expired, RequestError, Succeeded
from batchyard.ports import Pick
from batchyard.testing.factories import (
    DAY,
    MODEL,
    NOW,
    a_batch,
    errored,
    failed,
    later,
    retried,
    succeeded,
)
from tests.contract.yard import Yard


def test_a_finished_request_is_never_leased_again(yard: Yard) -> None:
    batch = yard.create(2)
    [first] = yard.lease(batch, 1)

    assert yard.settle(succeeded(first)).stale == []

    assert [lease.seq for lease in yard.lease(batch)] == [1]


def test_a_settlement_counts_once(yard: Yard) -> None:
    batch = yard.create(3)
    [first] = yard.lease(batch, 1)
    finish = succeeded(first)

    turn = yard.settle(finish, finish)
    again = yard.settle(finish)

    assert turn.stale == again.stale == [finish]
    assert yard.get(batch).counts == Counts(processing=2, succeeded=1)


def test_another_owners_settlement_is_stale(yard: Yard) -> None:
    batch = yard.create(2)
    [first] = yard.lease(batch, 1, owner="o1")
    yard.beat("o2")
    theft, retry = succeeded(first, b"theirs"), retried(first, later(60))

    assert yard.settle(theft, owner="o2").stale == [theft]
    assert yard.settle(retry, owner="o2").stale == [retry]

    assert yard.lease(batch, owner="o2")[0].seq == 1
    assert yard.settle(succeeded(first, b"ours"), owner="o1").stale == []
    assert yard.finals(batch)[0].result == Succeeded(b"ours")


@pytest.mark.parametrize("attempt", [0, 1, 3])
def test_a_settlement_of_another_attempt_is_stale(yard: Yard, attempt: int) -> None:
    batch = yard.create(2)
    [first] = yard.lease(batch, 1)
    yard.settle(retried(first, later(60)))
    [second] = yard.lease(batch, 1)
    assert (second.seq, second.attempt) == (0, 2)
    old = succeeded(replace(second, attempt=attempt))

    assert yard.settle(old).stale == [old]

    assert yard.get(batch).counts == Counts(processing=2)
    assert yard.settle(succeeded(second)).stale == []


def test_a_late_owner_cannot_settle_what_was_reclaimed(yard: Yard) -> None:
    batch = yard.create(2)
    [first] = yard.lease(batch, 1, owner="o1")
    yard.reclaim("o1")
    late = succeeded(first, b"late")

    assert yard.settle(late, owner="o1").stale == [late]
    [second] = yard.lease(batch, 1, owner="o1")
    assert (second.seq, second.attempt) == (0, 2)
    assert yard.settle(late, owner="o1").stale == [late]
    assert yard.settle(succeeded(second, b"new"), owner="o1").stale == []
    assert yard.finals(batch)[0].result == Succeeded(b"new")


def test_a_settlement_of_a_request_that_is_not_leased_is_stale(yard: Yard) -> None:
    batch = yard.create(2)
    [first] = yard.lease(batch, 1)
    never_leased = succeeded(replace(first, seq=1))
    no_such_request = succeeded(replace(first, seq=99))
    no_such_batch = succeeded(replace(first, batch="msgbatch_01" + "0" * 22))
    yard.settle(retried(first, later(60)))
    pending_again = succeeded(first)

    wrong = [never_leased, no_such_request, no_such_batch, pending_again]

    assert yard.turn(wrong).stale == wrong
    assert yard.get(batch).counts == Counts(processing=2)


def test_a_settlement_of_an_ended_or_deleted_batch_is_stale(yard: Yard) -> None:
    batch = yard.create(1)
    [lease] = yard.lease(batch)
    yard.settle(succeeded(lease))
    ended = yard.seal(batch)
    again = succeeded(lease)

    assert yard.settle(again).stale == [again]
    assert yard.get(batch) == ended
    yard.delete(batch)
    assert yard.settle(again).stale == [again]
    yard.sweep()
    assert yard.settle(again).stale == [again]


def test_stale_settlements_stop_no_good_ones(yard: Yard) -> None:
    batch, other = yard.create(3), yard.create(3)
    [a, b, c] = yard.lease(batch)
    [d, *_] = yard.lease(other)
    old: list[Settlement] = [
        succeeded(replace(a, attempt=9)),
        retried(replace(b, attempt=9), later(60)),
        errored(replace(d, attempt=9)),
    ]

    turn = yard.settle(old[0], succeeded(a), old[1], errored(b), old[2], retried(c, later(60)), succeeded(d))

    assert turn.stale == old
    assert yard.get(batch).counts == Counts(processing=1, succeeded=1, errored=1)
    assert yard.get(other).counts == Counts(processing=2, succeeded=1)


def test_a_retry_sets_the_new_totals(yard: Yard) -> None:
    batch = yard.create(1)
    [first] = yard.lease(batch)
    yard.settle(failed(first, later(60)))

    [second] = yard.lease(batch)

    assert second == replace(first, attempt=2, paid=1, failures=1, unknowns=1)
    yard.settle(retried(second, later(60)))
    assert yard.lease(batch) == [replace(first, attempt=3, paid=1, failures=1, unknowns=1)]


def test_counts_move_with_the_settlements(yard: Yard) -> None:
    batch = yard.create(5)
    leases = yard.lease(batch)
    assert yard.get(batch).counts == Counts(processing=5)

    yard.settle(succeeded(leases[0]), succeeded(leases[1]))
    assert yard.get(batch).counts == Counts(processing=3, succeeded=2)
    yard.settle(errored(leases[2]), retried(leases[3], later(60)))
    assert yard.get(batch).counts == Counts(processing=2, succeeded=2, errored=1)


@pytest.mark.parametrize("together", [True, False])
def test_one_request_is_processing_until_the_seal(yard: Yard, together: bool) -> None:
    batch = yard.create(3)
    leases = yard.lease(batch)
    settlements = [succeeded(leases[0]), errored(leases[1]), errored(leases[2])]

    if together:
        yard.settle(*settlements)
    else:
        for settlement in settlements:
            yard.settle(settlement)

    assert yard.get(batch).counts == Counts(processing=1, succeeded=1, errored=1)
    ended = yard.seal(batch)
    assert ended is not None
    assert ended.counts == Counts(succeeded=1, errored=2)


def test_no_count_but_processing_ever_falls(yard: Yard) -> None:
    batch = yard.create(4)
    seen = [batch.counts]

    def look() -> None:
        seen.append(yard.get(batch).counts)

    a, b, c, d = yard.lease(batch)
    yard.settle(succeeded(a), failed(b, later(60)))
    look()
    yard.settle(errored(c))
    look()
    yard.reclaim("o1")
    look()
    yard.cancel(batch)
    look()
    yard.settle(succeeded(d))
    look()
    ended = yard.seal(batch)
    assert ended is not None
    look()

    assert {counts.total for counts in seen} == {4}
    for one, following in pairwise(seen):
        assert following.processing <= one.processing
        assert following.succeeded >= one.succeeded
        assert following.errored >= one.errored
        assert following.canceled >= one.canceled
    assert all(counts.processing >= 1 for counts in seen[:-1])
    assert seen[-1] == Counts(succeeded=1, errored=1, canceled=2)


def test_settlements_move_the_counts_of_their_own_batch_only(yard: Yard) -> None:
    batch, other, foreign = yard.create(3), yard.create(3), yard.create(3, a_batch("w2"))
    [lease, *_] = yard.lease(batch)

    yard.settle(succeeded(lease))

    assert yard.get(batch).counts == Counts(processing=2, succeeded=1)
    assert yard.get(other) == other
    assert yard.get(foreign) == foreign


def closing_with_a_call_in_flight(yard: Yard, *, expired: bool) -> tuple[Batch, Lease]:
    batch = yard.create(3)
    [lease] = yard.lease(batch, 1)
    if expired:
        yard.expire(NOW + DAY)
    else:
        yard.cancel(batch)
    return batch, lease


@pytest.mark.parametrize("expired", [True, False])
def test_an_answer_in_a_closing_batch_is_kept(yard: Yard, expired: bool) -> None:
    batch, lease = closing_with_a_call_in_flight(yard, expired=expired)

    yard.settle(succeeded(lease, b"paid for"), now=later(86_401))

    assert yard.finals(batch)[0].result == Succeeded(b"paid for")
    assert yard.get(batch).counts == Counts(processing=2, succeeded=1)


@pytest.mark.parametrize("expired", [True, False])
def test_a_refusal_in_a_closing_batch_is_errored(yard: Yard, expired: bool) -> None:
    batch, lease = closing_with_a_call_in_flight(yard, expired=expired)

    yard.settle(errored(lease, "no such model"), now=later(86_401))

    assert yard.finals(batch)[0].result == Errored(RequestError("not_found_error", "no such model"))


@pytest.mark.parametrize("expired", [True, False])
def test_a_retry_in_a_closing_batch_is_its_end(yard: Yard, expired: bool) -> None:
    batch, lease = closing_with_a_call_in_flight(yard, expired=expired)
    retry = failed(lease, later(0))

    assert yard.settle(retry, now=later(86_401)).stale == []

    final = yard.finals(batch)[0]
    assert final.result == (Expired() if expired else Canceled())
    assert (final.attempts, final.paid, final.traces) == (1, 1, (retry.trace,))
    counts = Counts(processing=2, expired=1) if expired else Counts(processing=2, canceled=1)
    assert yard.get(batch).counts == counts
    assert yard.settle(retry).stale == [retry]


def test_a_retry_past_the_deadline_waits_for_the_expiry(yard: Yard) -> None:
    batch = yard.create(1)
    [lease] = yard.lease(batch)

    turn = yard.settle(retried(lease, later(60)), now=NOW + DAY)

    assert (turn.stale, turn.ripe) == ([], [])
    assert yard.get(batch).counts == Counts(processing=1)
    assert yard.expire(NOW + DAY) == [batch.id]
    assert yard.finals(batch)[0].result == Expired()


def test_settlements_come_before_the_picks_of_the_same_turn(yard: Yard) -> None:
    batch = yard.create(2)
    [first] = yard.lease(batch, 1)

    turn = yard.turn([failed(first, later(60))], [Pick(batch.id, MODEL, 2)], now=later(60))

    assert [(lease.seq, lease.attempt, lease.paid) for lease in turn.leases] == [(0, 2, 1), (1, 1, 0)]
    assert turn.ripe == []


def test_an_empty_turn_does_nothing(yard: Yard) -> None:
    batch = yard.create(1)

    turn = yard.turn()

    assert (turn.leases, turn.stale, turn.ripe) == ([], [], [])
    assert yard.get(batch) == batch


def test_a_turn_that_names_a_batch_all_of_which_is_settled_does_the_rest(yard: Yard) -> None:
    done, other = yard.create(2), yard.create(2)
    leases = yard.lease(done)
    yard.settle(*[succeeded(lease) for lease in leases])
    [lease, _] = yard.lease(other)

    turn = yard.turn([succeeded(leases[0]), succeeded(lease)], [Pick(done.id, MODEL, 3)])

    assert [stale.lease for stale in turn.stale] == [leases[0]]
    assert yard.get(done).counts == Counts(processing=1, succeeded=1)
    assert yard.get(other).counts == Counts(processing=1, succeeded=1)
