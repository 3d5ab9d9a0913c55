"""What ``pause`` promises: nothing is leased until the batch is resumed, and everything else goes on."""

from dataclasses import replace

import pytest

from batchyard.domain.batch import Counts, Status
from batchyard.domain.errors import InvalidRequest, NotFound
from batchyard.ports import Pick, Turn
from batchyard.testing.factories import DAY, MODEL, NOW, succeeded
from tests.contract.yard import SOON, Yard


def test_a_paused_batch_gives_no_lease_and_is_not_in_the_backlog(yard: Yard) -> None:
    batch = yard.create(3)
    [lease] = yard.lease(batch, 1)

    assert yard.pause(batch) == replace(batch, paused=True)
    assert yard.backlog() == []
    assert yard.turn([], [Pick(batch.id, MODEL, 2)]) == Turn([], [], [], [])
    assert yard.settle(succeeded(lease)).stale == []
    assert yard.get(batch).counts == Counts(processing=2, succeeded=1)


def test_a_resumed_batch_goes_on_where_it_was(yard: Yard) -> None:
    batch = yard.create(3)
    yard.lease(batch, 1)
    yard.pause(batch)
    yard.pause(batch)

    assert not yard.pause(batch, paused=False).paused
    assert [lease.seq for lease in yard.lease(batch)] == [1, 2]


def test_a_paused_batch_is_canceled_and_expires_as_ever(yard: Yard) -> None:
    canceled, expired = yard.create(1), yard.create(1)
    yard.pause(canceled)
    yard.pause(expired)
    yard.cancel(canceled)

    assert canceled.id in yard.ripe()
    assert yard.expire(NOW + 2 * DAY) == [expired.id]
    ended = yard.seal(expired)
    assert ended is not None
    assert ended.status is Status.ENDED


def test_only_its_own_workspace_pauses_a_batch_and_only_before_its_end(yard: Yard) -> None:
    batch, ended = yard.create(1), yard.ended(1)

    with pytest.raises(NotFound):
        yard.pause(batch, "w2")
    with pytest.raises(InvalidRequest):
        yard.pause(ended)
    assert yard.backlog(SOON) != []
