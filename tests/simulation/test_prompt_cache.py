"""What the order of runs is for: a prompt cache that lives shortly is read nearly as often as it can be.

That holds where groups are larger than the slots: of smaller ones the first is not answered in time.
"""

import pytest

from tests.simulation.prompts import Work, use


@pytest.mark.parametrize("seed", range(2))
def test_groups_larger_than_the_slots_read_their_beginning_nearly_as_often_as_they_can(seed: int) -> None:
    work = Work(groups=100, each=6, slots=4, seed=seed)

    ours = use(work, together=True)
    as_it_came = use(work, together=False)

    assert ours.answers == as_it_came.answers == 600
    assert ours.best(work) == pytest.approx(as_it_came.best(work), rel=0.01)
    assert ours.share >= 0.98 * ours.best(work)
    assert ours.share >= 1.5 * as_it_came.share
