"""What ``create`` promises: ids in order, all or an earlier batch."""

from datetime import timedelta

import pytest

from batchyard.domain.batch import Batch, Counts, Status
from batchyard.domain.errors import InvalidRequest
from batchyard.domain.ids import is_batch_id
from batchyard.testing.factories import DAY, NOW, a_batch, drafts, later, origin
from tests.contract.yard import Yard

MICROSECOND = timedelta(microseconds=1)


def test_a_new_batch_is_what_the_call_said_and_nothing_more(yard: Yard) -> None:
    new = a_batch("w7", version="2026-10-21", betas=("x-1", "y-2"), body="b9.body")

    batch = yard.create(3, new)

    assert is_batch_id(batch.id)
    assert batch == Batch(
        id=batch.id,
        workspace="w7",
        status=Status.IN_PROGRESS,
        counts=Counts(processing=3),
        created_at=NOW,
        expires_at=NOW + DAY,
        version="2026-10-21",
        betas=("x-1", "y-2"),
        body="b9.body",
    )


def test_a_new_batch_is_visible_at_once_with_all_its_requests(yard: Yard) -> None:
    batch = yard.create(3)

    assert yard.get(batch) == batch
    assert yard.page().batches == [batch]
    packed = drafts(3)
    leases = yard.lease(batch)
    assert [lease.seq for lease in leases] == [0, 1, 2]
    assert [lease.params.blob for lease in leases] == [batch.body] * 3
    assert [lease.params.offset for lease in leases] == list(packed.offsets)
    assert [lease.params.length for lease in leases] == list(packed.lengths)
    assert [lease.params.crc for lease in leases] == list(packed.crcs)
    assert [lease.model for lease in leases] == ["simulator"] * 3


def test_each_request_keeps_its_own_model(yard: Yard) -> None:
    packed = drafts(1, model="first")
    packed.add("other", 100, 9, 2**32 - 1, model="second", prefix=2**62)
    packed.add("third", 2**40, 9, 0, model="first")
    batch = yard.run(yard.store.create(a_batch(), packed, origin(), defend=False))

    leases = yard.lease(batch)

    assert [lease.model for lease in leases] == ["first", "second", "first"]
    assert [lease.params.offset for lease in leases] == [0, 100, 2**40]
    assert leases[1].params.crc == 2**32 - 1


def test_custom_ids_are_kept_as_they_came(yard: Yard) -> None:
    names = ["Ünïcödé", "a'b\"c", "UPPER", "upper", "-_", "x" * 64]
    packed = drafts(0)
    for name in names:
        packed.add(name, 0, 1, 0)
    batch = yard.run(yard.store.create(a_batch(), packed, origin(), defend=False))
    yard.cancel(batch)

    assert [final.custom_id for final in yard.finals(batch)] == names


def test_two_batches_may_use_the_same_custom_ids(yard: Yard) -> None:
    first, second = yard.create(2), yard.create(2)

    assert first.id != second.id
    assert len(yard.lease(first)) == len(yard.lease(second)) == 2


def test_ids_sort_by_creation(yard: Yard) -> None:
    batches = [yard.create(new=a_batch(created_at=later(seconds))) for seconds in (0, 1, 1.5, 100)]

    assert [batch.id for batch in batches] == sorted(batch.id for batch in batches)
    assert [batch.created_at for batch in batches] == [later(0), later(1), later(1.5), later(100)]


def test_equal_times_move_on_by_a_microsecond(yard: Yard) -> None:
    batches = [yard.create() for _ in range(3)]

    assert [batch.created_at for batch in batches] == [NOW, NOW + MICROSECOND, NOW + 2 * MICROSECOND]
    assert [batch.expires_at - batch.created_at for batch in batches] == [DAY] * 3
    assert [batch.id for batch in batches] == sorted(batch.id for batch in batches)


def test_an_earlier_time_still_gives_a_later_id(yard: Yard) -> None:
    first = yard.create(new=a_batch(created_at=later(5)))

    second = yard.create(new=a_batch("w2", created_at=later(1)))

    assert second.created_at == later(5) + MICROSECOND
    assert second.expires_at == second.created_at + DAY
    assert second.id > first.id


def test_an_id_sorts_after_those_of_deleted_batches_too(yard: Yard) -> None:
    gone = yard.ended()
    yard.delete(gone)
    yard.sweep()

    batch = yard.create()

    assert batch.id > gone.id
    assert batch.created_at == NOW + MICROSECOND


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
