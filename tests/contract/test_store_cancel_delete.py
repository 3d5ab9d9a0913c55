"""What ``cancel`` and ``delete`` promise."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from batchyard.domain.batch import Batch, Closing, Counts, Status
from batchyard.domain.errors import InvalidRequest, NotFound
from batchyard.domain.ids import batch_id
from batchyard.testing.factories import DAY, NOW, a_batch, later, retried, succeeded
from tests.contract.yard import Yard

UNKNOWN = batch_id(later(0), 1)


def test_cancel_begins_and_changes_nothing_else(yard: Yard) -> None:
    batch = yard.create(2)

    canceling = yard.cancel(batch, later(5))

    assert canceling == replace(batch, status=Status.CANCELING, closing=Closing.CANCELED, cancel_initiated_at=later(5))
    assert yard.get(batch) == canceling


def test_cancel_again_changes_nothing(yard: Yard) -> None:
    batch = yard.create(2)
    canceling = yard.cancel(batch, later(5))

    assert yard.cancel(batch, later(50)) == canceling
    assert yard.get(batch) == canceling


def test_after_a_cancel_nothing_is_leased(yard: Yard) -> None:
    batch = yard.create(3)
    [held] = yard.lease(batch, 1)
    yard.cancel(batch)

    assert yard.lease(batch) == []
    assert yard.backlog() == []
    assert yard.turn([succeeded(held)], []).stale == []
    assert yard.lease(batch) == []


def test_cancel_of_an_expired_batch_leaves_its_requests_expired(yard: Yard) -> None:
    batch = yard.create(1)
    yard.expire(NOW + DAY)

    canceling = yard.cancel(batch, later(90_000))

    assert (canceling.status, canceling.closing) == (Status.CANCELING, Closing.EXPIRED)
    assert canceling.cancel_initiated_at == later(90_000)


def test_cancel_of_an_ended_batch_is_refused(yard: Yard) -> None:
    ended = yard.ended()

    with pytest.raises(InvalidRequest, match="already finished"):
        yard.cancel(ended)

    assert yard.get(ended) == ended


def test_cancel_of_a_canceled_and_ended_batch_is_refused_too(yard: Yard) -> None:
    batch = yard.create()
    yard.cancel(batch)
    yard.seal(batch)

    with pytest.raises(InvalidRequest, match="already finished"):
        yard.cancel(batch)


def test_a_foreign_batch_is_not_canceled(yard: Yard) -> None:
    batch = yard.create()

    with pytest.raises(NotFound):
        yard.cancel(batch, workspace="w2")

    assert yard.get(batch) == batch


def test_cancel_touches_no_other_batch(yard: Yard) -> None:
    batch, other = yard.create(1), yard.create(1)

    yard.cancel(batch)

    assert yard.get(other) == other
    assert len(yard.lease(other)) == 1


def test_delete_returns_what_the_batch_was_and_forgets_it(yard: Yard) -> None:
    ended = yard.ended()

    assert yard.delete(ended) == ended

    for verb in (yard.get, yard.cancel, yard.delete):
        with pytest.raises(NotFound, match=ended.id):
            verb(ended)
    assert yard.page().batches == []
    assert yard.blobs() == set()


def test_delete_of_an_archived_batch_is_allowed(yard: Yard) -> None:
    ended = yard.ended()
    yard.archive(later(3600))

    deleted = yard.delete(ended)

    assert deleted.archived_at is not None
    assert deleted.body == ended.body


def running(yard: Yard) -> Batch:
    return yard.create()


def canceling(yard: Yard) -> Batch:
    return yard.cancel(yard.create())


def expired(yard: Yard) -> Batch:
    batch = yard.create()
    yard.expire(NOW + DAY)
    return yard.get(batch)


def all_settled(yard: Yard) -> Batch:
    batch = yard.create()
    yard.settle(*[succeeded(lease) for lease in yard.lease(batch)])
    return yard.get(batch)


@pytest.mark.parametrize("begin", [running, canceling, expired, all_settled])
def test_a_batch_that_has_not_ended_is_not_deleted(yard: Yard, begin: Callable[[Yard], Batch]) -> None:
    batch = begin(yard)

    with pytest.raises(InvalidRequest, match="cannot be deleted"):
        yard.delete(batch)

    assert yard.get(batch) == batch


def test_a_foreign_batch_is_not_deleted(yard: Yard) -> None:
    ended, still_running = yard.ended(), yard.create()

    for batch in (ended, still_running):
        with pytest.raises(NotFound):
            yard.delete(batch, workspace="w2")

    assert yard.get(ended) == ended


def test_delete_touches_no_other_batch(yard: Yard) -> None:
    gone = yard.ended()
    running_batch = yard.create(2)
    [first, second] = yard.lease(running_batch)
    kept = yard.ended()

    yard.delete(gone)

    assert yard.get(kept) == kept
    assert yard.settle(succeeded(first), retried(second, later(70))).stale == []
    assert yard.get(running_batch).counts == Counts(processing=1, succeeded=1)
    assert yard.blobs() >= {running_batch.body}


def test_an_unknown_batch_is_neither_canceled_nor_deleted(yard: Yard) -> None:
    with pytest.raises(NotFound, match=UNKNOWN):
        yard.run(yard.store.cancel("w1", UNKNOWN, later(1)))
    with pytest.raises(NotFound, match=UNKNOWN):
        yard.run(yard.store.delete("w1", UNKNOWN))


def test_a_workspace_may_have_any_name(yard: Yard) -> None:
    odd = "w'1\"; drop"
    batch = yard.create(new=a_batch(odd))

    assert yard.get(batch, workspace=odd) == batch
    assert yard.page(odd).batches == [batch]
