"""What picks promise of a batch with several models, or with requests that begin alike: each model runs on its own."""

import pytest

from batchyard.domain.batch import Counts
from batchyard.domain.request import Lease
from batchyard.ports import Pick, Short
from batchyard.testing.factories import MODEL, NOW, later, retried, succeeded
from tests.contract.yard import Yard


def seqs(leases: list[Lease]) -> list[int]:
    return [lease.seq for lease in leases]


def test_a_pick_leases_requests_of_its_model_alone(yard: Yard) -> None:
    batch = yard.create(7, models=["a", "b", "b"])

    assert seqs(yard.lease(batch, 2, model="b")) == [1, 2]
    assert seqs(yard.lease(batch, 9, model="a")) == [0, 3, 6]
    assert seqs(yard.lease(batch, 9, model="b")) == [4, 5]
    assert yard.lease(batch, model="c") == []


def test_a_batch_of_one_model_gives_nothing_for_another(yard: Yard) -> None:
    batch = yard.create(3)

    assert yard.lease(batch, model="another") == yard.lease(batch, model="") == []
    assert seqs(yard.lease(batch, model=MODEL)) == [0, 1, 2]


def test_the_backlog_has_each_model_with_its_own_numbers(yard: Yard) -> None:
    batch = yard.create(5, models=["a", "b"])
    [lease] = yard.lease(batch, 1, model="b")
    yard.lease(batch, 1, model="b")
    yard.settle(retried(lease, later(60)))

    numbers = [(ready.model, ready.pending, ready.next_ready_at) for ready in yard.backlog()]

    assert sorted(numbers) == [("a", 3, NOW), ("b", 1, later(60))]


def test_retries_stay_with_their_model(yard: Yard) -> None:
    batch = yard.create(4, models=["a", "b"])
    leases = yard.lease(batch, 1, model="a") + yard.lease(batch, 1, model="b")
    yard.settle(*(retried(lease, later(5)) for lease in leases))

    assert seqs(yard.lease(batch, model="b", now=later(5))) == [1, 3]
    assert seqs(yard.lease(batch, model="a", now=later(5))) == [0, 2]


def test_several_picks_of_one_batch_share_a_turn(yard: Yard) -> None:
    batch = yard.create(6, models=["a", "b"])

    turn = yard.turn([], [Pick(batch.id, "b", 1), Pick(batch.id, "a", 2)])

    assert sorted(seqs(list(turn.leases))) == [0, 1, 2]
    assert turn.short == []


def test_a_short_pick_tells_when_the_next_request_is_ready(yard: Yard) -> None:
    batch = yard.create(3, models=["a", "a", "b"])
    first, second = yard.lease(batch, 2, model="a")
    yard.settle(retried(first, later(700)), retried(second, later(600)))

    turn = yard.turn([], [Pick(batch.id, "a", 2), Pick(batch.id, "b", 2)])

    assert seqs(list(turn.leases)) == [2]
    assert turn.short == [Short(batch.id, "a", later(600)), Short(batch.id, "b", None)]


def test_requests_that_begin_alike_run_together_one_of_each_ahead(yard: Yard) -> None:
    batch = yard.create(9, prefixes=[7, 8, 0])

    assert seqs(yard.lease(batch, 4)) == [0, 1, 3, 6]
    assert seqs(yard.lease(batch)) == [2, 4, 7, 5, 8]


@pytest.mark.parametrize("at_once", [1, 100, 511, 5000])
def test_a_long_run_order_is_kept_whole(yard: Yard, at_once: int) -> None:
    batch = yard.create(1300, models=["a", "b"], prefixes=[1, 1, 2, 2])
    got: list[int] = []
    while leases := yard.lease(batch, at_once, model="a"):
        got += seqs(leases)

    assert got == [0, 2, *range(4, 1300, 4), *range(6, 1300, 4)]
    assert yard.get(batch).counts == Counts(processing=1300)


def test_a_batch_of_several_models_ends_and_leaves_nothing(yard: Yard) -> None:
    batch = yard.create(3, models=["a", "b"])
    yard.settle(*(succeeded(lease) for model in "ab" for lease in yard.lease(batch, model=model)))

    assert yard.ripe() == [batch.id]
    assert yard.seal(batch) is not None
    assert yard.sweep() == 3
    assert yard.backlog() == []
