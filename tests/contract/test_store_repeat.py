"""What ``create`` promises of repeated calls: an earlier batch instead of a second one."""

import pytest

from batchyard.domain.batch import Batch
from batchyard.domain.errors import InvalidRequest
from batchyard.testing.factories import a_batch, later, origin
from tests.contract.yard import Yard


def repeat(yard: Yard, seconds: float, *, retry: int = 1, caller: str = "key-1", sent: str = "one body") -> Batch:
    came = origin(caller, sent=sent, retry=retry, began_at=later(seconds))
    return yard.create(new=a_batch(created_at=later(seconds), body="b2.body"), came=came, defend=True)


def test_a_repeated_create_gets_the_first_batch(yard: Yard) -> None:
    first = yard.create(2)

    assert repeat(yard, 30) == first
    assert repeat(yard, 60, retry=2) == first
    assert yard.page().batches == [first]
    assert yard.blobs() == {first.body}


def test_a_repeated_create_gets_the_batch_as_it_is_now(yard: Yard) -> None:
    canceling = yard.cancel(yard.create(2))

    assert repeat(yard, 90) == canceling


def test_a_repeat_of_an_ended_batch_is_known_too(yard: Yard) -> None:
    ended = yard.ended(2)

    assert repeat(yard, 200) == ended


def test_a_create_that_is_no_repeat_makes_a_batch_of_its_own(yard: Yard) -> None:
    first = yard.create()

    assert repeat(yard, 30, retry=0).id != first.id


def test_without_the_defence_a_repeat_makes_a_second_batch(yard: Yard) -> None:
    first = yard.create()

    assert yard.create(came=origin(retry=1), defend=False).id != first.id


@pytest.mark.parametrize(("seconds", "known"), [(599, True), (601, False)])
def test_a_repeat_is_known_for_ten_minutes(yard: Yard, seconds: float, known: bool) -> None:
    first = yard.create()

    assert (repeat(yard, seconds).id == first.id) is known


def test_a_repeat_has_the_same_caller(yard: Yard) -> None:
    first = yard.create()

    assert repeat(yard, 30, caller="key-2").id != first.id


def test_a_repeat_has_the_same_body(yard: Yard) -> None:
    first = yard.create()

    assert repeat(yard, 30, sent="another body").id != first.id


def test_a_repeat_stays_in_its_workspace(yard: Yard) -> None:
    first = yard.create()
    came = origin(retry=1)

    foreign = yard.create(new=a_batch("w2"), came=came, defend=True)

    assert foreign.id != first.id
    assert foreign.workspace == "w2"


def test_a_deleted_batch_is_not_given_to_a_repeat(yard: Yard) -> None:
    first = yard.ended()
    yard.delete(first)

    assert repeat(yard, 30).id != first.id


def test_of_several_batches_a_repeat_gets_the_newest(yard: Yard) -> None:
    yard.create()
    second = yard.create(new=a_batch(created_at=later(10)))
    yard.create(new=a_batch(created_at=later(20)), came=origin("key-2"))

    assert repeat(yard, 30) == second


def test_a_first_that_its_repeat_overtook_gets_the_repeats_batch(yard: Yard) -> None:
    overtaking = repeat(yard, 20)

    first = yard.create(new=a_batch(created_at=later(25)), came=origin(began_at=later(0)), defend=True)

    assert first == overtaking
    assert len(yard.page().batches) == 1


def test_a_repeat_stored_before_this_create_began_overtook_nothing(yard: Yard) -> None:
    earlier = repeat(yard, 20)

    assert repeat(yard, 21, retry=0).id != earlier.id


def test_what_overtook_was_a_repeat_itself(yard: Yard) -> None:
    twin = yard.create(new=a_batch(created_at=later(20)), came=origin(began_at=later(15)))

    first = yard.create(new=a_batch(created_at=later(25)), came=origin(began_at=later(0)), defend=True)

    assert first.id != twin.id


@pytest.mark.parametrize(("caller", "sent"), [("key-2", "one body"), ("key-1", "another body")])
def test_what_overtook_had_the_same_caller_and_body(yard: Yard, caller: str, sent: str) -> None:
    overtaking = repeat(yard, 20)

    first = yard.create(new=a_batch(created_at=later(25)), came=origin(caller, sent=sent), defend=True)

    assert first.id != overtaking.id


def test_without_the_defence_an_overtaken_first_makes_a_second_batch(yard: Yard) -> None:
    overtaking = repeat(yard, 20)

    assert yard.create(new=a_batch(created_at=later(25)), defend=False).id != overtaking.id


def keyed(
    yard: Yard,
    seconds: float,
    *,
    sent: str = "one body",
    workspace: str = "w1",
    caller: str = "key-1",
    key: str = "mine",
    defend: bool = False,
) -> Batch:
    came = origin(caller, sent=sent, began_at=later(seconds), idempotency_key=key)
    return yard.create(new=a_batch(workspace, created_at=later(seconds)), came=came, defend=defend)


@pytest.mark.parametrize("defend", [True, False])
def test_a_known_idempotency_key_gives_its_batch(yard: Yard, defend: bool) -> None:
    first = keyed(yard, 0)

    assert keyed(yard, 30, defend=defend) == first
    assert len(yard.page().batches) == 1


@pytest.mark.parametrize("defend", [True, False])
def test_a_known_idempotency_key_refuses_another_body(yard: Yard, defend: bool) -> None:
    first = keyed(yard, 0)

    with pytest.raises(InvalidRequest, match="idempotency-key"):
        keyed(yard, 30, sent="another body", defend=defend)

    assert yard.page().batches == [first]


def test_another_idempotency_key_makes_another_batch(yard: Yard) -> None:
    assert keyed(yard, 0).id != keyed(yard, 30, key="yours").id


@pytest.mark.parametrize(("seconds", "known"), [(86_399, True), (86_401, False)])
def test_an_idempotency_key_is_known_for_24_hours(yard: Yard, seconds: float, known: bool) -> None:
    first = keyed(yard, 0)

    assert (keyed(yard, seconds).id == first.id) is known


def test_an_old_idempotency_key_may_come_with_another_body(yard: Yard) -> None:
    keyed(yard, 0)

    second = keyed(yard, 86_401, sent="another body")

    assert keyed(yard, 86_402, sent="another body") == second


def test_an_idempotency_key_is_its_callers_own(yard: Yard) -> None:
    first = keyed(yard, 0)

    assert keyed(yard, 30, caller="key-2", sent="another body").id != first.id
    assert keyed(yard, 31, workspace="w2", sent="another body").id != first.id


def test_a_deleted_batch_frees_its_idempotency_key(yard: Yard) -> None:
    first = yard.ended(came=origin(idempotency_key="mine"))
    yard.delete(first)

    second = keyed(yard, 30, sent="another body")

    assert second.id != first.id


def test_an_idempotency_key_comes_before_the_defence(yard: Yard) -> None:
    first = keyed(yard, 0)
    yard.create(new=a_batch(created_at=later(10)))

    came = origin(retry=1, idempotency_key="mine")

    assert yard.create(new=a_batch(created_at=later(20)), came=came, defend=True) == first
