"""What ``Carriers`` promises: members stay with their carrier whoever dies, and only its tender moves it."""

from datetime import timedelta

from batchyard.domain.batch import Counts
from batchyard.ports import Carrier, CarrierState, Pick
from batchyard.testing.factories import DAY, MODEL, NOW, a_batch, later, params, retried, succeeded
from tests.contract.store_table import LEASE_SECONDS
from tests.contract.yard import AT_SEAL, SOON, Yard

DEAD_AT = SOON + timedelta(seconds=LEASE_SECONDS + 1)


def test_a_carrier_says_all_that_its_create_needs(yard: Yard) -> None:
    batch = yard.create(3, a_batch(betas=("one", "two")))

    made = yard.make(batch, 2)

    assert made is not None
    carrier, leases = made
    assert carrier == Carrier(
        id="c1",
        lane="up/simulator",
        state=CarrierState.MADE,
        upstream_id=None,
        batch=batch.id,
        version=batch.version,
        betas=("one", "two"),
        members=2,
        created_at=SOON,
        ends_by=batch.expires_at - timedelta(minutes=1),
        expires_at=batch.expires_at,
        closing=False,
    )
    assert [(lease.seq, lease.attempt) for lease in leases] == [(0, 1), (1, 1)]
    assert yard.tended() == [carrier]
    assert yard.members() == leases


def test_a_carrier_takes_as_much_as_fits_and_leaves_the_rest_as_it_was(yard: Yard) -> None:
    batch = yard.create(5)
    one, two = len(params(0)), 2 * len(params(0))

    [retry] = yard.made(batch, 1, carrier="c0")
    yard.settle(retried(retry, SOON), owner="c0")

    first, second = yard.made(batch, carrier="c1", max_bytes=two + 1), yard.made(batch, carrier="c2", max_bytes=one - 1)

    assert [(lease.seq, lease.attempt) for lease in first] == [(0, 2), (1, 1)]
    assert [(lease.seq, lease.attempt) for lease in second] == [(2, 1)]
    assert [(lease.seq, lease.attempt) for lease in yard.lease(batch)] == [(3, 1), (4, 1)]
    assert yard.make(batch, carrier="c3", max_bytes=two) is None


def test_members_are_leased_to_nobody_else(yard: Yard) -> None:
    batch = yard.create(3)

    yard.made(batch, 2)

    assert [lease.seq for lease in yard.lease(batch)] == [2]
    assert yard.make(batch, carrier="c2") is None
    assert [carrier.id for carrier in yard.tended()] == ["c1"]


def test_a_batch_that_is_closing_or_past_its_deadline_gets_no_carrier(yard: Yard) -> None:
    batch, late = yard.create(2), yard.create(2)
    yard.cancel(batch)

    assert yard.make(batch) is None
    assert yard.make(late, now=NOW + DAY + timedelta(seconds=1)) is None
    assert yard.tended() == []


def test_a_batch_that_ended_with_requests_never_leased_gets_no_carrier(yard: Yard) -> None:
    batch = yard.create(2)
    yard.cancel(batch)
    yard.seal(batch)

    assert yard.make(batch) is None
    assert yard.make(batch, carrier="c2", max_bytes=1000) is None


def test_members_are_settled_under_the_carriers_id_alone(yard: Yard) -> None:
    batch = yard.create(2)
    first, second = yard.made(batch)

    assert len(yard.settle(succeeded(first)).stale) == 1
    assert yard.settle(succeeded(first), owner="c1").stale == []

    assert yard.members() == [second]
    assert yard.tended()[0].members == 2
    assert yard.get(batch).counts == Counts(processing=1, succeeded=1)


def test_a_member_that_is_tried_again_leaves_the_carrier(yard: Yard) -> None:
    batch = yard.create(2)
    first, second = yard.made(batch)

    yard.settle(retried(first, SOON), owner="c1")

    [again] = yard.made(batch, carrier="c2")
    assert (again.seq, again.attempt) == (0, 2)
    assert yard.members() == [second]
    assert len(yard.settle(succeeded(first), owner="c1").stale) == 1


def test_a_tenders_death_leaves_the_members_to_whoever_adopts(yard: Yard) -> None:
    batch = yard.create(3)
    yard.beat("o1")
    own = yard.lease(batch, 1)
    members = yard.made(batch)

    assert yard.reclaim("o1") == len(own)

    assert yard.members() == members
    assert yard.adopt("o2") == ["c1"]
    assert yard.tended("o2")[0].members == 2
    assert [(lease.paid, lease.deaths) for lease in yard.members()] == [(0, 0), (0, 0)]


def test_a_carrier_neither_lives_nor_dies(yard: Yard) -> None:
    batch = yard.create(1)
    yard.beat("o1")
    yard.made(batch)

    assert yard.beat("o1") == 1
    assert yard.dead(DEAD_AT) == ["o1"]
    assert yard.reclaim("c1") == 0
    assert len(yard.members()) == 1


def test_the_carriers_of_a_living_tender_are_left_to_it(yard: Yard) -> None:
    batch = yard.create(1)
    yard.beat("o1")
    yard.made(batch)

    assert yard.adopt("o2") == []
    assert yard.adopt("o1") == []
    yard.beat("o2", DEAD_AT)
    assert yard.adopt("o2", DEAD_AT) == ["c1"]
    assert yard.adopt("o3", DEAD_AT) == []


def test_making_a_carrier_is_a_heartbeat_of_a_tender_that_is_not_known(yard: Yard) -> None:
    batch = yard.create(1)

    yard.made(batch, tender="new")

    assert yard.adopt("o2") == []
    assert yard.dead(DEAD_AT) == ["new"] or yard.dead(DEAD_AT) == ["new", "o2"]


def test_a_tender_that_lost_its_carrier_moves_it_no_more(yard: Yard) -> None:
    batch = yard.create(2)
    members = yard.made(batch)
    yard.reclaim("o1")
    yard.adopt("o2")

    assert not yard.sent(tender="o1")
    assert not yard.finish(tender="o1")
    assert yard.tended("o1") == []
    assert yard.members() == members

    assert yard.sent(tender="o2")
    assert yard.finish(tender="o2")


def test_a_carrier_is_sent_under_one_id(yard: Yard) -> None:
    batch = yard.create(1)
    yard.made(batch)

    assert yard.sent(upstream_id="up-1")
    assert yard.sent(upstream_id="up-1")
    assert not yard.sent(upstream_id="up-2")

    [carrier] = yard.tended()
    assert (carrier.state, carrier.upstream_id) == (CarrierState.SENT, "up-1")


def test_what_a_lost_carrier_held_cost_nothing(yard: Yard) -> None:
    batch = yard.create(2)
    yard.made(batch)

    assert yard.finish(lost=True, now=later(90))

    assert yard.lease(batch, now=later(89)) == []
    again = yard.lease(batch, now=later(90))
    assert [(lease.attempt, lease.paid, lease.deaths) for lease in again] == [(2, 0, 0), (2, 0, 0)]


def test_members_without_a_result_may_have_been_paid_for(yard: Yard) -> None:
    batch = yard.create(2)
    first, _ = yard.made(batch)
    yard.sent()
    yard.settle(succeeded(first), owner="c1")

    assert yard.finish()

    [again] = yard.lease(batch)
    assert (again.seq, again.attempt, again.paid, again.deaths) == (1, 2, 1, 0)


def test_a_finished_carrier_is_gone(yard: Yard) -> None:
    batch = yard.create(1)
    [member] = yard.made(batch)
    yard.finish()

    assert not yard.finish()
    assert not yard.sent()
    assert yard.tended() == []
    assert yard.members() == []
    assert yard.adopt("o2", DEAD_AT) == []
    assert len(yard.settle(succeeded(member), owner="c1").stale) == 1


def test_the_seal_waits_for_a_carrier(yard: Yard) -> None:
    batch = yard.create(2)
    first, _ = yard.made(batch)
    yard.cancel(batch)

    assert yard.tended()[0].closing
    assert yard.ripe() == []
    yard.settle(succeeded(first), owner="c1")
    assert yard.ripe() == []

    yard.finish()
    assert yard.ripe() == [batch.id]
    sealed = yard.seal(batch)
    assert sealed is not None
    assert sealed.counts == Counts(succeeded=1, canceled=1)


def test_the_last_member_settled_makes_its_batch_ripe(yard: Yard) -> None:
    batch = yard.create(1)
    [member] = yard.made(batch)

    assert yard.settle(succeeded(member), owner="c1").ripe == [batch.id]


def test_a_carrier_outlives_its_batch(yard: Yard) -> None:
    batch = yard.create(1)
    [member] = yard.made(batch)
    yard.sent()
    yard.settle(succeeded(member), owner="c1")
    yard.seal(batch, now=AT_SEAL)
    ended = yard.tended()
    yard.delete(batch)
    yard.sweep()

    [carrier] = yard.tended()

    assert [carrier.batch for carrier in ended] == [batch.id]
    assert ended[0].closing
    assert (carrier.batch, carrier.closing, carrier.upstream_id) == ("", True, "up-1")
    assert carrier.expires_at == carrier.ends_by
    assert yard.finish()


def test_retries_ride_along_with_fresh_requests(yard: Yard) -> None:
    batch = yard.create(3)
    [first] = yard.lease(batch, 1)
    turn = yard.turn([retried(first, SOON)], [])
    assert turn.stale == []

    members = yard.made(batch)

    assert [(lease.seq, lease.attempt) for lease in members] == [(0, 2), (1, 1), (2, 1)]
    assert yard.turn([], [Pick(batch.id, MODEL, 5)]).leases == []


def test_a_tender_that_was_reclaimed_and_came_back_tends_nothing_until_it_adopts(yard: Yard) -> None:
    batch = yard.create(1)
    yard.made(batch)
    yard.reclaim("o1")
    yard.beat("o1")

    assert not yard.run(yard.store.sent("o1", "c1", "up-1"))
    assert list(yard.run(yard.store.tended("o1"))) == []
    assert [taken.id for taken in yard.run(yard.store.adopt("o1", SOON))] == ["c1"]
    assert yard.run(yard.store.sent("o1", "c1", "up-1"))
