"""What people look at beside the wire: what was used, and how fast it went; kept over seal, delete and restart."""

from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from batchyard.domain.outcome import Finish
from batchyard.domain.request import Lease
from batchyard.domain.usage import Minute, Usage, Used
from batchyard.testing.factories import DAY, NOW, a_batch, errored, failed, later, retried, succeeded
from tests.contract.store_table import STORES, SURVIVE_CLOSE
from tests.contract.yard import Run, Yard

SOME = Usage(10, 20, 30, 40, 5)
TODAY, TOMORROW = NOW.date(), (NOW + DAY).date()
MINUTE = int(NOW.timestamp()) // 60


def used(lease: Lease, usage: Usage = SOME, *, days: int = 0) -> Finish:
    """Return the settlement of an answer that used this much, that many days later."""
    return replace(succeeded(lease, at=NOW + days * DAY), usage=usage)


def usage(yard: Yard, workspace: str | None = "w1", *, by_batch: bool = False) -> list[Used]:
    return list(yard.run(yard.store.views.usage(workspace, TODAY, TOMORROW, by_batch=by_batch)))


def minutes(yard: Yard, workspace: str | None = "w1", first: int = MINUTE - 10) -> list[Minute]:
    return list(yard.run(yard.store.views.minutes(workspace, first)))


def test_what_answers_used_is_added_up_by_day_workspace_and_model(yard: Yard) -> None:
    batch = yard.create(4, models=["m", "k"])
    other = yard.create(1, a_batch("w2"), models=["k"])
    first, third = yard.lease(batch, model="m")
    second, fourth = yard.lease(batch, model="k")
    yard.settle(used(first), used(second), used(third, Usage(1, 1)))
    yard.settle(used(fourth, days=1), *[used(lease) for lease in yard.lease(other, model="k")])

    mine = [Used(TODAY, "w1", "k", "", 1, SOME), Used(TODAY, "w1", "m", "", 2, SOME + Usage(1, 1))]
    mine.append(Used(TOMORROW, "w1", "k", "", 1, SOME))
    assert usage(yard) == mine
    assert usage(yard, None) == [*mine[:2], Used(TODAY, "w2", "k", "", 1, SOME), mine[2]]
    assert usage(yard, "w3") == []
    assert list(yard.run(yard.store.views.usage("w1", TOMORROW, TOMORROW, by_batch=False))) == mine[2:]


def test_what_the_lease_does_not_name_counts_under_the_name_of_its_settlement(yard: Yard) -> None:
    batch = yard.create(4, models=["m", "", "", ""])
    [named] = yard.lease(batch, model="m")
    first, second, third = yard.lease(batch, model="")
    yard.settle(replace(used(named), named="x"), replace(used(first), named="k"), used(second))
    yard.settle(replace(used(third), named="k"))

    assert usage(yard) == [
        Used(TODAY, "w1", "", "", 1, SOME),
        Used(TODAY, "w1", "k", "", 2, SOME + SOME),
        Used(TODAY, "w1", "m", "", 1, SOME),
    ]


def test_usage_by_batch_is_told_to_its_own_workspace(yard: Yard) -> None:
    one, two = yard.create(1), yard.create(2)
    yard.settle(*[used(lease) for lease in [*yard.lease(one), *yard.lease(two)]])

    rows = usage(yard, by_batch=True)

    assert [(row.batch, row.requests) for row in rows] == [(one.id, 1), (two.id, 2)]
    assert yard.run(yard.store.views.batch_usage("w1", [two.id])) == rows[1:]
    assert list(yard.run(yard.store.views.batch_usage("w2", [two.id]))) == []


def test_only_what_takes_effect_is_counted_and_only_once(yard: Yard) -> None:
    batch = yard.create(3)
    [lease, refused, later_on] = yard.lease(batch)
    finish = used(lease)

    yard.settle(finish, errored(refused), retried(later_on, later(90)))
    assert yard.settle(finish).stale == [finish]
    [again] = yard.lease(batch, now=later(100))
    yard.settle(failed(again, later(200)))
    [last] = yard.lease(batch, now=later(300))
    yard.settle(used(last, Usage(1, 2)))

    [row] = usage(yard)
    assert (row.requests, row.usage) == (2, SOME + Usage(1, 2))
    assert minutes(yard) == [Minute(MINUTE, 3, 1, 81, 22)]


def test_a_retry_that_a_closing_batch_ends_counts_as_failed(yard: Yard) -> None:
    batch = yard.create(1)
    [lease] = yard.lease(batch)
    yard.cancel(batch)
    yard.settle(retried(lease, later(90)))

    assert minutes(yard) == [Minute(MINUTE, 1, 1, 0, 0)]
    assert usage(yard) == []


def test_minutes_are_in_order_and_of_one_workspace_or_all(yard: Yard) -> None:
    mine, theirs = yard.create(2), yard.create(1, a_batch("w2"))
    first, second = yard.lease(mine)
    [third] = yard.lease(theirs)
    yard.settle(replace(succeeded(second, at=NOW + timedelta(minutes=5)), usage=SOME), used(first), used(third))

    assert minutes(yard) == [Minute(MINUTE, 1, 0, 80, 20), Minute(MINUTE + 5, 1, 0, 80, 20)]
    assert minutes(yard, None) == [Minute(MINUTE, 2, 0, 160, 40), Minute(MINUTE + 5, 1, 0, 80, 20)]
    assert [minute.minute for minute in minutes(yard, first=MINUTE + 1)] == [MINUTE + 5]


def test_usage_outlives_seal_sweep_and_delete(yard: Yard) -> None:
    batch, other = yard.create(2), yard.create(1)
    yard.settle(*[used(lease) for lease in [*yard.lease(batch), *yard.lease(other)]])
    before = usage(yard)
    yard.seal(batch)
    yard.sweep()

    assert usage(yard) == before
    assert [row.batch for row in usage(yard, by_batch=True)] == [batch.id, other.id]

    yard.delete(batch)

    assert usage(yard) == before
    assert [row.batch for row in usage(yard, by_batch=True)] == ["", other.id]
    assert list(yard.run(yard.store.views.batch_usage("w1", [batch.id]))) == []


@pytest.mark.parametrize("name", sorted(SURVIVE_CLOSE))
def test_usage_and_minutes_are_there_after_a_restart(name: str, tmp_path: Path, run: Run) -> None:
    yard = Yard(run(STORES[name](tmp_path, lambda: 7)), run)
    yard.settle(*[used(lease) for lease in yard.lease(yard.create(2))])
    before = usage(yard), minutes(yard)
    run(yard.store.close())

    again = Yard(run(STORES[name](tmp_path, lambda: 8)), run)

    assert (usage(again), minutes(again)) == before
    assert before[0] != []
    run(again.store.close())
