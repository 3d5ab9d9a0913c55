"""What ``seal`` promises: a batch ends once, for good, and only when the counts fit."""

from dataclasses import replace

import pytest

from batchyard.domain.batch import Batch, Counts, Status
from batchyard.testing.factories import (
    NOW,
    errored,
    later,
    sealed_files,
    succeeded,
)
from tests.contract.yard import Yard


def ready_to_seal(yard: Yard) -> Batch:
    """Return a canceling batch: one request succeeded, one errored, one is open."""
    batch = yard.create(3)
    a, b = yard.lease(batch, 2)
    yard.settle(succeeded(a), errored(b))
    return yard.cancel(batch)


RECOUNT = Counts(succeeded=1, errored=1, canceled=1)


def test_a_seal_ends_the_batch_with_its_files_and_the_recount(yard: Yard) -> None:
    batch = ready_to_seal(yard)
    sealed = sealed_files("s9")

    ended = yard.seal(batch, RECOUNT, sealed=sealed, now=later(99))

    assert ended == replace(batch, status=Status.ENDED, counts=RECOUNT, sealed=sealed, ended_at=later(99))
    assert yard.get(batch) == ended
    assert yard.page().batches == [ended]


def test_a_batch_is_sealed_once(yard: Yard) -> None:
    batch = ready_to_seal(yard)
    ended = yard.seal(batch, RECOUNT, sealed=sealed_files("first"))

    assert yard.seal(batch, RECOUNT, sealed=sealed_files("second"), now=later(500)) is None

    assert yard.get(batch) == ended


def test_a_batch_that_is_gone_is_not_sealed(yard: Yard) -> None:
    gone = yard.ended()
    yard.delete(gone)

    assert yard.seal(gone, Counts(succeeded=1)) is None
    assert yard.run(yard.store.seal("msgbatch_01" + "0" * 22, sealed_files(), RECOUNT, NOW)) is None


@pytest.mark.parametrize(
    "wrong",
    [
        Counts(processing=1, succeeded=1, errored=1),
        Counts(succeeded=1, errored=1),
        Counts(succeeded=1, errored=1, canceled=2),
        Counts(succeeded=2, errored=1),
        Counts(succeeded=1, errored=1, expired=1),
        Counts(succeeded=1, canceled=2),
    ],
)
def test_counts_that_do_not_fit_seal_nothing(yard: Yard, wrong: Counts) -> None:
    batch = ready_to_seal(yard)

    with pytest.raises(AssertionError):
        yard.seal(batch, wrong)

    assert yard.get(batch) == batch
    assert yard.ripe() == [batch.id]
    assert yard.seal(batch, RECOUNT) is not None


def test_a_batch_with_a_call_in_flight_is_not_sealed(yard: Yard) -> None:
    batch = yard.create(2)
    [held] = yard.lease(batch, 1)
    yard.cancel(batch)

    with pytest.raises(AssertionError):
        yard.seal(batch, Counts(canceled=2))

    assert yard.settle(succeeded(held)).ripe == [batch.id]
    assert yard.seal(batch, Counts(succeeded=1, canceled=1)) is not None


def test_a_batch_with_requests_to_run_is_not_sealed(yard: Yard) -> None:
    batch = yard.create(2)
    [first] = yard.lease(batch, 1)
    yard.settle(succeeded(first))

    for counts in (Counts(succeeded=1, canceled=1), Counts(succeeded=1, expired=1), Counts(succeeded=2)):
        with pytest.raises(AssertionError):
            yard.seal(batch, counts)

    assert [lease.seq for lease in yard.lease(batch)] == [1]
