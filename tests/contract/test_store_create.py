"""What ``create`` promises of a new batch: all of it is stored, under an id that sorts last."""

from datetime import timedelta

from batchyard.domain.batch import Batch, Counts, Status
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
    packed = drafts(1, models=["first"])
    packed.add("other", 100, 9, 2**32 - 1, model="second", prefix=2**62)
    packed.add("third", 2**40, 9, 0, model="first")
    batch = yard.run(yard.store.create(a_batch(), packed, origin(), defend=False))

    first, second = yard.lease(batch, model="first"), yard.lease(batch, model="second")

    assert [(lease.seq, lease.model, lease.params.offset) for lease in first] == [(0, "first", 0), (2, "first", 2**40)]
    assert [(lease.seq, lease.model, lease.params.offset) for lease in second] == [(1, "second", 100)]
    assert second[0].params.crc == 2**32 - 1


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
