"""What a workspace has in a store, and that no create passes its quota."""

import asyncio

import pytest

from batchyard.domain.errors import RateLimited
from batchyard.domain.quota import Load, Quota
from batchyard.testing.factories import a_batch, drafts, errored, later, origin, retried, succeeded
from tests.contract.yard import Yard

BODY = drafts(3).bytes


def test_a_workspace_that_nobody_knows_has_nothing(yard: Yard) -> None:
    yard.create(3, a_batch("w2"))

    assert yard.load("w1") == Load()


def test_requests_count_until_they_have_a_result(yard: Yard) -> None:
    batch = yard.create(3)
    assert yard.load() == Load(3, 1, BODY)

    first, second, third = yard.lease(batch)
    assert yard.load() == Load(3, 1, BODY)
    yard.settle(succeeded(first), errored(second), retried(third, later(90)))
    assert yard.load() == Load(1, 1, BODY)
    yard.create(3, a_batch("w2"))
    assert yard.load() == Load(1, 1, BODY)


def test_an_ended_batch_has_the_bytes_of_its_body_and_results_until_they_go(yard: Yard) -> None:
    batch = yard.ended(3)
    assert batch.sealed is not None
    assert yard.load() == Load(0, 0, BODY + batch.sealed.size)

    other = yard.ended(3)
    yard.delete(other)
    assert yard.load() == Load(0, 0, BODY + batch.sealed.size)
    yard.archive(later(3600))
    assert yard.load() == Load()


def test_a_canceled_batch_counts_until_it_has_ended(yard: Yard) -> None:
    batch = yard.create(3)
    yard.cancel(batch)
    assert yard.load() == Load(3, 1, BODY)

    yard.seal(batch)
    assert yard.load().requests == 0
    assert yard.load().batches == 0


@pytest.mark.parametrize(
    ("quota", "waits"),
    [
        (Quota(requests=5), True),
        (Quota(requests=2), False),
        (Quota(batches=1), True),
        (Quota(batches=0), False),
        (Quota(bytes=2 * BODY - 1), False),
    ],
)
def test_a_create_that_would_pass_the_quota_is_refused_and_leaves_nothing(
    yard: Yard, quota: Quota, waits: bool
) -> None:
    yard.create(3)
    before = yard.load()

    with pytest.raises(RateLimited) as refused:
        yard.create(3, a_batch(quota=quota))

    assert (refused.value.retry_after is not None) is waits
    assert yard.load() == before
    assert len(yard.page().batches) == 1


def test_a_create_that_just_fits_is_taken_and_others_do_not_count(yard: Yard) -> None:
    yard.create(3)
    yard.create(3, a_batch("w2"))

    yard.create(3, a_batch(quota=Quota(requests=6, batches=2, bytes=2 * BODY)))

    assert yard.load() == Load(6, 2, 2 * BODY)


def test_a_repeated_create_gets_its_batch_however_full_the_queue_is(yard: Yard) -> None:
    quota = Quota(requests=3, batches=1, bytes=BODY)
    batch = yard.create(3, a_batch(quota=quota), origin(idempotency_key="k"))

    again = yard.create(3, a_batch(quota=quota, body="b2.body"), origin(retry=1, idempotency_key="k"), defend=True)

    assert again == batch
    assert yard.load() == Load(3, 1, BODY)


def test_creates_at_once_pass_no_quota_together(yard: Yard) -> None:
    async def race() -> list[object]:
        new = a_batch(quota=Quota(requests=7))
        creates = [yard.store.create(new, drafts(2), origin(sent=f"{n}"), defend=False) for n in range(8)]
        return list(await asyncio.gather(*creates, return_exceptions=True))

    answers = yard.run(race())

    assert sum(isinstance(answer, RateLimited) for answer in answers) == 5
    assert yard.load().requests == 6


def test_room_comes_back_when_requests_end(yard: Yard) -> None:
    quota = Quota(requests=3)
    batch = yard.create(3, a_batch(quota=quota))
    with pytest.raises(RateLimited):
        yard.create(1, a_batch(quota=quota))

    yard.settle(succeeded(yard.lease(batch, 1)[0]))
    yard.create(1, a_batch(quota=quota))
    assert yard.load().requests == 3
