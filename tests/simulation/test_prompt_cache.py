"""What the order of runs is for: a prompt cache that lives shortly is read nearly as often as it can be."""

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


def test_groups_smaller_than_the_slots_do_not_all_write_their_beginning() -> None:
    work = Work(groups=60, each=6, slots=16, seed=1)

    ours = use(work, together=True)

    assert ours.share >= 0.9 * ours.best(work)
