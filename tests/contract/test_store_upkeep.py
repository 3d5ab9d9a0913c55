"""What ``sweep``, ``archive``, ``blobs`` and ``close`` promise."""

from dataclasses import replace
from datetime import timedelta

from batchyard.domain.batch import Batch
from batchyard.testing.factories import a_batch, later, origin, succeeded
from tests.contract.yard import Yard

MICROSECOND = timedelta(microseconds=1)


def sealed_names(batch: Batch) -> set[str]:
    assert batch.sealed is not None
    return {batch.body, batch.sealed.results, batch.sealed.index, batch.sealed.ledger}


def test_nothing_is_swept_of_a_batch_that_has_not_ended(yard: Yard) -> None:
    running, canceling, settled = yard.create(2), yard.create(2), yard.create(2)
    yard.cancel(canceling)
    yard.settle(*[succeeded(lease) for lease in yard.lease(settled)])

    assert yard.sweep() == 0

    assert len(yard.lease(running)) == 2
    assert len(yard.finals(canceling)) == len(yard.finals(settled)) == 2


def test_the_rows_of_ended_batches_are_swept_once_in_slices(yard: Yard) -> None:
    yard.ended(7)
    yard.ended(4)

    assert [yard.sweep(5) for _ in range(4)] == [5, 5, 1, 0]


def test_the_rows_of_a_deleted_batch_are_swept_too(yard: Yard) -> None:
    gone = yard.ended(7)
    assert yard.sweep(3) == 3
    yard.delete(gone)

    assert [yard.sweep(3), yard.sweep(3), yard.sweep(3)] == [3, 1, 0]


def test_a_sweep_changes_nothing_that_can_be_seen(yard: Yard) -> None:
    ended, running = yard.ended(3), yard.create(2)
    [held, _] = yard.lease(running)

    assert yard.sweep() == 3

    assert yard.get(ended) == ended
    assert yard.page().batches == [running, ended]
    assert yard.blobs() == sealed_names(ended) | {running.body}
    assert yard.settle(succeeded(held)).stale == []


def test_archive_takes_the_results_of_old_ended_batches(yard: Yard) -> None:
    old, young = yard.ended(new=a_batch(created_at=later(0))), yard.ended(new=a_batch(created_at=later(50)))

    assert yard.archive(later(20), now=later(999)) == [old]

    assert yard.get(old) == replace(old, archived_at=later(999), sealed=None)
    assert yard.get(young) == young
    assert yard.page().batches == [young, yard.get(old)]


def test_archive_counts_from_creation_and_leaves_the_limit_itself(yard: Yard) -> None:
    ended = yard.ended(new=a_batch(created_at=later(10)))

    assert yard.archive(later(10)) == []
    assert yard.archive(later(10) + MICROSECOND) == [ended]


def test_a_batch_is_archived_once(yard: Yard) -> None:
    ended = yard.ended()
    yard.archive(later(20), now=later(500))

    assert yard.archive(later(20), now=later(900)) == []
    assert yard.get(ended).archived_at == later(500)


def test_a_batch_that_has_not_ended_is_not_archived(yard: Yard) -> None:
    running, canceling = yard.create(1), yard.cancel(yard.create(1))

    assert yard.archive(later(10**7)) == []
    assert yard.get(running) == running
    assert yard.get(canceling) == canceling


def test_archive_has_every_workspace(yard: Yard) -> None:
    ended = [yard.ended(new=a_batch(workspace)) for workspace in ("w1", "w2")]

    assert yard.archive(later(20)) == ended


def test_a_batch_needs_its_body_and_from_the_seal_on_what_is_sealed(yard: Yard) -> None:
    batch = yard.create(1, a_batch(body="b7.body"))
    assert yard.blobs() == {"b7.body"}
    [lease] = yard.lease(batch)
    yard.settle(succeeded(lease))
    assert yard.blobs() == {"b7.body"}

    ended = yard.seal(batch)
    assert ended is not None

    assert yard.blobs() == sealed_names(ended)


def test_a_closing_batch_needs_its_body(yard: Yard) -> None:
    batch = yard.cancel(yard.create(1))

    assert yard.blobs() == {batch.body}


def test_an_archived_or_deleted_batch_needs_no_blob(yard: Yard) -> None:
    archived, deleted, kept = yard.ended(), yard.ended(), yard.ended(new=a_batch("w2", created_at=later(50)))
    yard.delete(deleted)
    yard.archive(later(20))

    assert yard.blobs() == sealed_names(kept)
    assert yard.get(archived).sealed is None


def test_blobs_has_every_workspace(yard: Yard) -> None:
    yard.create(1, a_batch("w1", body="one.body"))
    yard.create(1, a_batch("w2", body="two.body"))

    assert yard.blobs() == {"one.body", "two.body"}


def test_a_create_that_gave_an_earlier_batch_needs_no_blob(yard: Yard) -> None:
    first = yard.create(1, a_batch(body="one.body"))
    came = a_batch(body="two.body", created_at=later(5))

    again = yard.create(1, came, origin(retry=1), defend=True)

    assert again == first
    assert yard.blobs() == {"one.body"}


def test_close_twice_is_allowed(yard: Yard) -> None:
    yard.create(1)

    yard.run(yard.store.close())
    yard.run(yard.store.close())
