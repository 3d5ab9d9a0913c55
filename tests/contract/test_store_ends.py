"""What ``ended`` and ``due`` promise: whom a webhook is to be told of, over all workspaces."""

from datetime import datetime, timedelta

from batchyard.domain.batch import Batch
from batchyard.testing.factories import DAY, NOW, a_batch, later
from tests.contract.yard import AT_SEAL, SOON, Yard

MICROSECOND = timedelta(microseconds=1)


def end(yard: Yard, batch: Batch, now: datetime = AT_SEAL) -> Batch:
    """Cancel it and seal it: that ends a batch at any time."""
    yard.cancel(batch, SOON)
    ended = yard.seal(batch, now=now)
    assert ended is not None
    return ended


def test_ended_batches_come_in_the_order_of_their_ends_from_a_time_on(yard: Yard) -> None:
    running = yard.create(1)
    late, early = yard.create(1), yard.create(1, a_batch(workspace="other"))
    ends = [end(yard, early, later(100)), end(yard, late, later(200))]

    assert list(yard.run(yard.store.ended(NOW))) == ends
    assert [batch.id for batch in yard.run(yard.store.ended(later(100)))] == [early.id, late.id]
    assert [batch.id for batch in yard.run(yard.store.ended(later(100) + MICROSECOND))] == [late.id]
    assert running.id not in {batch.id for batch in yard.run(yard.store.ended(NOW))}


def test_a_deleted_batch_is_told_of_no_more(yard: Yard) -> None:
    batch = yard.create(1)
    end(yard, batch, AT_SEAL)
    yard.run(yard.store.delete(batch.workspace, batch.id))

    assert list(yard.run(yard.store.ended(NOW))) == []


def test_due_are_those_whose_deadline_is_before_then_and_that_still_run(yard: Yard) -> None:
    soon = yard.create(1, a_batch(expires_after=timedelta(hours=1)))
    paused = yard.create(1, a_batch(expires_after=timedelta(hours=1)))
    yard.run(yard.store.pause(paused.workspace, paused.id, paused=True))
    canceled = yard.create(1, a_batch(expires_after=timedelta(hours=1)))
    yard.run(yard.store.cancel(canceled.workspace, canceled.id, later(1)))
    ended = yard.create(1, a_batch(expires_after=timedelta(hours=1)))
    end(yard, ended, AT_SEAL)
    yard.create(1)

    due = yard.run(yard.store.due(NOW + timedelta(hours=2)))

    assert sorted(batch.id for batch in due) == sorted([soon.id, paused.id])
    assert list(yard.run(yard.store.due(soon.expires_at))) == []
    assert len(yard.run(yard.store.due(NOW + 2 * DAY))) == 3
