"""A batch remembers the span that made it, for whoever makes spans of its attempts."""

from pathlib import Path

import pytest

from batchyard.testing.factories import a_batch
from tests.contract.store_table import STORES, SURVIVE_CLOSE
from tests.contract.yard import Run, Yard

SPAN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def spans(yard: Yard, *batches: str) -> dict[str, str]:
    return dict(yard.run(yard.store.views.traceparents(batches)))


def test_only_batches_that_had_one_are_told_of_whoevers_they_are(yard: Yard) -> None:
    mine, theirs = yard.create(1, a_batch(traceparent=SPAN)), yard.create(1, a_batch("w2", traceparent=SPAN))
    plain, unasked = yard.create(1), yard.create(1, a_batch(traceparent=SPAN))

    told = spans(yard, mine.id, theirs.id, plain.id, "msgbatch_nobody")

    assert told == {mine.id: SPAN, theirs.id: SPAN}
    assert unasked.id not in told
    assert spans(yard) == {}


def test_it_stays_when_the_batch_has_ended_and_goes_with_it(yard: Yard) -> None:
    batch = yard.create(1, a_batch(traceparent=SPAN))
    yard.cancel(batch)
    yard.seal(batch)
    assert spans(yard, batch.id) == {batch.id: SPAN}

    yard.delete(batch)
    assert spans(yard, batch.id) == {}


@pytest.mark.parametrize("name", sorted(SURVIVE_CLOSE))
def test_it_is_there_after_a_restart(name: str, tmp_path: Path, run: Run) -> None:
    yard = Yard(run(STORES[name](tmp_path, lambda: 7)), run)
    batch = yard.create(1, a_batch(traceparent=SPAN))
    run(yard.store.close())

    again = Yard(run(STORES[name](tmp_path, lambda: 8)), run)

    assert spans(again, batch.id) == {batch.id: SPAN}
    run(again.store.close())
