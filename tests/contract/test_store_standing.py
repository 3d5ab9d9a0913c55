"""What each workspace has in a store, for those who watch it."""

from datetime import datetime

from batchyard.domain.standing import Standing
from batchyard.testing.factories import NOW, a_batch, drafts, errored, later, retried, succeeded
from tests.contract.yard import Yard

BODY = drafts(3).bytes


def standing(yard: Yard) -> list[Standing]:
    return list(yard.run(yard.store.views.standing()))


def times(yard: Yard) -> list[tuple[datetime | None, datetime | None]]:
    return [(one.oldest, one.soonest) for one in standing(yard)]


def test_a_store_without_batches_has_nobody_in_it(yard: Yard) -> None:
    assert standing(yard) == []


def test_batches_are_counted_by_what_they_do_and_requests_until_they_are_final(yard: Yard) -> None:
    one, paused, canceled = yard.create(3), yard.create(3), yard.create(3)
    theirs = yard.create(3, a_batch("w2"))
    first, second, _ = yard.lease(one)
    yard.settle(succeeded(first), retried(second, later(90)))
    yard.run(yard.store.pause("w1", paused.id, paused=True))
    yard.cancel(canceled)

    mine, other = standing(yard)

    assert mine == Standing("w1", 1, 1, 1, 8, 1, one.created_at, one.expires_at, 0, 3 * BODY)
    assert other == Standing("w2", 1, 0, 0, 3, 0, theirs.created_at, theirs.expires_at, 0, BODY)


def test_a_batch_that_is_both_paused_and_canceled_counts_as_canceled(yard: Yard) -> None:
    batch = yard.create(3)
    yard.run(yard.store.pause("w1", batch.id, paused=True))
    yard.cancel(batch)

    [mine] = standing(yard)

    assert (mine.running, mine.paused, mine.canceling) == (0, 0, 1)


def test_ended_batches_are_kept_with_their_bytes_until_they_are_archived_or_deleted(yard: Yard) -> None:
    first, second = yard.ended(3), yard.ended(3)
    assert first.sealed is not None
    assert second.sealed is not None
    sizes = first.sealed.size, second.sealed.size
    running = yard.create(3)

    [mine] = standing(yard)
    assert (mine.running, mine.kept, mine.bytes) == (1, 2, 3 * BODY + sum(sizes))
    assert times(yard) == [(running.created_at, running.expires_at)]

    yard.delete(second)
    assert [(one.kept, one.bytes) for one in standing(yard)] == [(1, 2 * BODY + sizes[0])]
    yard.settle(*[errored(lease) for lease in yard.lease(running)])
    yard.seal(running)
    assert times(yard) == [(None, None)]
    yard.archive(later(3600))
    assert standing(yard) == []


def test_the_oldest_and_the_first_deadline_are_those_of_all(yard: Yard) -> None:
    first = yard.create(1)
    yard.create(1, a_batch(created_at=later(60)))

    assert times(yard) == [(first.created_at, first.expires_at)]
    assert first.created_at >= NOW
