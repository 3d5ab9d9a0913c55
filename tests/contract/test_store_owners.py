"""What ``beat``, ``dead`` and ``reclaim`` promise: who lives, who does not, and what a death costs."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from batchyard.domain.batch import Counts
from batchyard.domain.result import Canceled, Expired
from batchyard.ports import Owner
from batchyard.testing.factories import DAY, NOW, failed, later, retried, succeeded
from tests.contract.store_table import LEASE_SECONDS
from tests.contract.yard import Yard

MICROSECOND = timedelta(microseconds=1)


def test_beat_counts_the_living_owners(yard: Yard) -> None:
    assert yard.beat("o1", later(0)) == 1
    assert yard.beat("o2", later(1)) == 2
    assert yard.beat("o1", later(2)) == 2
    assert yard.beat("o3", later(3)) == 3


def test_an_owner_lives_while_its_heartbeat_is_younger_than_the_lease(yard: Yard) -> None:
    yard.beat("o1", later(0))

    assert yard.beat("o2", later(LEASE_SECONDS) - MICROSECOND) == 2
    assert yard.beat("o2", later(LEASE_SECONDS)) == 1


def test_an_owner_is_dead_when_its_heartbeat_is_older_than_the_lease(yard: Yard) -> None:
    yard.beat("o1", later(0))
    yard.beat("o2", later(5))

    assert yard.dead(later(LEASE_SECONDS)) == []
    assert yard.dead(later(LEASE_SECONDS) + MICROSECOND) == ["o1"]
    assert yard.dead(later(1000)) == ["o1", "o2"]


def test_a_heartbeat_keeps_an_owner_alive(yard: Yard) -> None:
    for seconds in range(0, 100, 20):
        yard.beat("o1", later(seconds))

    assert yard.dead(later(100)) == []


def test_an_owner_that_leases_is_known_though_it_never_beat(yard: Yard) -> None:
    batch = yard.create(1)
    yard.lease(batch, owner="o9", now=later(60))

    assert yard.dead(later(60 + LEASE_SECONDS)) == []
    assert yard.dead(later(61 + LEASE_SECONDS)) == ["o9"]


def test_a_lease_is_no_heartbeat_of_an_owner_that_beats(yard: Yard) -> None:
    batch = yard.create(2)
    yard.beat("o1", later(0))
    yard.lease(batch, owner="o1", now=later(20))

    assert yard.dead(later(LEASE_SECONDS + 1)) == ["o1"]


def test_a_turn_that_leases_nothing_makes_nobody_known(yard: Yard) -> None:
    yard.turn(owner="o1", now=later(0))

    assert yard.dead(later(1000)) == []


def test_reclaim_returns_leases_to_pending_at_a_price(yard: Yard) -> None:
    batch = yard.create(3)
    leases = yard.lease(batch, 2)

    assert yard.reclaim("o1", later(70)) == 2

    [ready] = yard.backlog(later(70))
    assert ready.pending == 3
    again = yard.lease(batch, 2, owner="o2", now=later(70))
    assert again == [replace(lease, attempt=2, paid=1, deaths=1) for lease in leases]


def test_reclaim_leaves_what_a_living_owner_saw_as_it_was(yard: Yard) -> None:
    batch = yard.create(1)
    [first] = yard.lease(batch)
    yard.settle(failed(first, later(60)))
    [second] = yard.lease(batch)
    yard.reclaim("o1")

    [third] = yard.lease(batch, owner="o2")

    assert third == replace(second, attempt=3, paid=2, failures=1, unknowns=1, deaths=1)


def test_each_death_counts(yard: Yard) -> None:
    batch = yard.create(1)
    for owner in ("o1", "o2", "o3"):
        yard.lease(batch, owner=owner)
        yard.reclaim(owner)

    [lease] = yard.lease(batch)

    assert (lease.attempt, lease.paid, lease.deaths, lease.failures) == (4, 3, 3, 0)


def test_reclaimed_requests_go_before_fresh_ones(yard: Yard) -> None:
    batch = yard.create(4)
    yard.lease(batch, 2, owner="o1")
    yard.reclaim("o1", later(60))

    assert [lease.seq for lease in yard.lease(batch, 3, now=later(60))] == [0, 1, 2]


def test_reclaim_takes_from_that_owner_only(yard: Yard) -> None:
    batch, other = yard.create(4), yard.create(2)
    yard.lease(batch, 2, owner="o1")
    [kept] = yard.lease(batch, 1, owner="o2")
    [kept_too] = yard.lease(other, 1, owner="o2")
    yard.lease(other, 1, owner="o1")

    assert yard.reclaim("o1") == 3

    assert yard.settle(succeeded(kept), succeeded(kept_too), owner="o2").stale == []


def test_reclaim_leaves_settled_and_waiting_requests(yard: Yard) -> None:
    batch = yard.create(4)
    a, b, _ = yard.lease(batch, 3)
    yard.settle(succeeded(a), retried(b, later(900)))

    assert yard.reclaim("o1", later(60)) == 1

    leases = yard.lease(batch, now=later(60))
    assert [(lease.seq, lease.attempt, lease.deaths) for lease in leases] == [(2, 2, 1), (3, 1, 0)]
    assert yard.get(batch).counts == Counts(processing=3, succeeded=1)


def test_reclaim_forgets_the_owner(yard: Yard) -> None:
    yard.beat("o1", later(0))
    yard.beat("o2", later(0))

    assert yard.reclaim("o1", later(1)) == 0

    assert yard.beat("o2", later(2)) == 1
    assert yard.dead(later(1000)) == ["o2"]


def test_reclaim_again_or_of_a_stranger_is_nothing(yard: Yard) -> None:
    batch = yard.create(1)
    yard.lease(batch)

    assert yard.reclaim("o1") == 1
    assert yard.reclaim("o1") == 0
    assert yard.reclaim("nobody") == 0
    assert [lease.deaths for lease in yard.lease(batch)] == [1]


def test_a_reclaimed_owner_may_come_back(yard: Yard) -> None:
    batch = yard.create(1)
    yard.lease(batch)
    yard.reclaim("o1")

    assert yard.beat("o1", later(70)) == 1
    [lease] = yard.lease(batch, now=later(70))
    assert yard.settle(succeeded(lease)).ripe == [batch.id]


@pytest.mark.parametrize("expired", [True, False])
def test_a_closing_batch_is_ripe_once_a_dead_owners_calls_are_reclaimed(yard: Yard, expired: bool) -> None:
    batch = yard.create(2)
    yard.lease(batch, 1)
    if expired:
        yard.expire(NOW + DAY)
    else:
        yard.cancel(batch)
    assert yard.ripe() == []

    assert yard.reclaim("o1", later(86_401)) == 1

    assert yard.ripe() == [batch.id]
    assert yard.lease(batch, owner="o2", now=later(86_401)) == []
    assert {final.result for final in yard.finals(batch)} == {Expired() if expired else Canceled()}
    assert [(final.attempts, final.paid, final.deaths) for final in yard.finals(batch)] == [(1, 1, 1), (0, 0, 0)]


def test_two_owners_never_hold_the_same_request(yard: Yard) -> None:
    batch = yard.create(50)
    held: list[int] = []
    for turn in range(10):
        held += [lease.seq for lease in yard.lease(batch, 5, owner=f"o{turn % 3}")]

    assert sorted(held) == list(range(50))


def test_what_a_reclaimed_owner_settles_is_stale_until_it_leases_again(yard: Yard) -> None:
    batch = yard.create(1)
    [lease] = yard.lease(batch)
    yard.reclaim()
    yard.beat("o1")

    turn = yard.settle(succeeded(lease))

    assert [stale.lease for stale in turn.stale] == [lease]
    assert yard.get(batch).counts == Counts(processing=1)
    assert [ready.pending for ready in yard.backlog()] == [1]


def test_an_owner_is_told_what_it_holds(yard: Yard) -> None:
    batch, other = yard.create(4), yard.create(2)
    first, second, third = yard.lease(batch, 3)
    [elsewhere] = yard.lease(other, 1)
    yard.lease(other, 1, owner="o2")
    yard.settle(succeeded(second), retried(third, later(500)))

    assert yard.held() == [first, elsewhere]


def test_nobody_holds_what_was_reclaimed_and_a_stranger_holds_nothing(yard: Yard) -> None:
    batch = yard.create(2)
    yard.lease(batch)
    yard.reclaim("o1")
    [again, _] = yard.lease(batch, owner="o2")

    assert yard.held("o1") == []
    assert yard.held("nobody") == []
    assert yard.held("o2")[0] == again


def test_owners_are_told_with_what_they_hold(yard: Yard) -> None:
    batch, other = yard.create(4), yard.create(4)
    yard.beat("o2", later(30))
    yard.beat("o1", later(59))
    first, *_ = yard.lease(batch, 3)
    yard.lease(other, 2)
    yard.settle(succeeded(first))
    yard.made(other, 1, carrier="c1")

    assert yard.owners(later(60)) == [
        Owner("o2", later(30), lives=False, leases=0, carriers=0),
        Owner("o1", later(59), lives=True, leases=4, carriers=1),
    ]


def test_an_owner_that_was_reclaimed_is_told_no_more(yard: Yard) -> None:
    yard.lease(yard.create(1))
    yard.beat("o2")
    yard.reclaim("o1")

    assert [owner.id for owner in yard.owners()] == ["o2"]


def test_an_owner_that_leaves_is_gone_at_once(yard: Yard) -> None:
    yard.beat("o1", later(50))
    yard.beat("o2", later(50))

    assert yard.leave("o1", later(51)) == 0

    assert [owner.id for owner in yard.owners(later(51))] == ["o2"]
    assert yard.beat("o2", later(52)) == 1
    assert yard.dead(later(1000)) == ["o2"]


def test_what_an_owner_still_holds_when_it_leaves_is_given_back_as_after_a_death(yard: Yard) -> None:
    batch = yard.create(3)
    leases = yard.lease(batch, 2)
    yard.beat("o1", later(60))
    yard.lease(batch, 1, owner="o2")

    assert yard.leave("o1", later(60)) == 2

    assert yard.held("o1") == []
    assert yard.lease(batch, owner="o2") == [replace(lease, attempt=2, paid=1, deaths=1) for lease in leases]
    assert [stale.lease for stale in yard.settle(succeeded(leases[0])).stale] == [leases[0]]


def test_others_adopt_what_an_owner_that_left_was_tending(yard: Yard) -> None:
    batch = yard.create(2)
    yard.beat("o1", later(60))
    yard.made(batch, 2, carrier="c1")

    yard.leave("o1", later(60))

    assert [carrier.id for carrier in yard.run(yard.store.adopt("o2", later(60)))] == ["c1"]


def test_leaving_again_or_as_a_stranger_or_a_carrier_is_nothing(yard: Yard) -> None:
    batch = yard.create(2)
    yard.made(batch, 2, carrier="c1")
    yard.leave("o1")

    assert yard.leave("o1") == 0
    assert yard.leave("nobody") == 0
    assert yard.leave("c1") == 0
    assert yard.beat("o1") == 1
