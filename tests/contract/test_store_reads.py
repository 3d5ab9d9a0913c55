"""What ``get`` and ``page`` promise: one moment of a batch, and cursors that are positions."""

import pytest

from batchyard.domain.batch import Batch
from batchyard.domain.errors import NotFound
from batchyard.domain.ids import batch_id
from batchyard.testing.factories import a_batch, later, origin
from tests.contract.yard import Yard

UNKNOWN = batch_id(later(0), 1)


def five(yard: Yard) -> list[Batch]:
    """Create five batches, with foreign ones between them; return ours, oldest first."""
    ours = []
    for number in range(5):
        ours.append(yard.create(new=a_batch(created_at=later(10 * number))))
        yard.create(new=a_batch("w2", created_at=later(10 * number + 1)))
    return ours


def newest_first(*batches: Batch) -> list[Batch]:
    return list(reversed(batches))


def test_an_unknown_batch_is_not_found(yard: Yard) -> None:
    with pytest.raises(NotFound, match=UNKNOWN):
        yard.run(yard.store.get("w1", UNKNOWN))


def test_a_foreign_batch_looks_like_an_unknown_one(yard: Yard) -> None:
    batch = yard.create()

    with pytest.raises(NotFound) as foreign:
        yard.get(batch, workspace="w2")
    with pytest.raises(NotFound) as unknown:
        yard.run(yard.store.get("w2", UNKNOWN))

    assert foreign.value.message.replace(batch.id, UNKNOWN) == unknown.value.message


def test_an_id_must_be_whole_and_exact(yard: Yard) -> None:
    batch = yard.create()

    for almost in (batch.id[:-1], batch.id.upper(), batch.id + " ", "%", "_" * len(batch.id), ""):
        with pytest.raises(NotFound):
            yard.run(yard.store.get("w1", almost))


def test_no_batches_make_an_empty_page(yard: Yard) -> None:
    page = yard.page()

    assert (page.batches, page.has_more) == ([], False)


def test_a_page_is_newest_first(yard: Yard) -> None:
    ours = five(yard)

    page = yard.page()

    assert page.batches == newest_first(*ours)
    assert not page.has_more


def test_the_first_page_holds_the_newest(yard: Yard) -> None:
    ours = five(yard)

    page = yard.page(limit=2)

    assert page.batches == newest_first(*ours[3:])
    assert page.has_more


def test_a_page_that_just_fits_has_no_more(yard: Yard) -> None:
    five(yard)

    assert not yard.page(limit=5).has_more
    assert yard.page(limit=4).has_more


def test_after_gives_the_batches_just_older(yard: Yard) -> None:
    ours = five(yard)

    page = yard.page(after=ours[3].id, limit=2)

    assert page.batches == newest_first(ours[1], ours[2])
    assert page.has_more


def test_after_has_no_more_when_the_oldest_is_shown(yard: Yard) -> None:
    ours = five(yard)

    page = yard.page(after=ours[2].id, limit=2)

    assert page.batches == newest_first(ours[0], ours[1])
    assert not page.has_more


def test_after_the_oldest_is_nothing(yard: Yard) -> None:
    ours = five(yard)

    page = yard.page(after=ours[0].id)

    assert (page.batches, page.has_more) == ([], False)


def test_before_gives_the_batches_just_newer_still_newest_first(yard: Yard) -> None:
    ours = five(yard)

    page = yard.page(before=ours[0].id, limit=2)

    assert page.batches == newest_first(ours[1], ours[2])
    assert page.has_more


def test_before_has_no_more_when_the_newest_is_shown(yard: Yard) -> None:
    ours = five(yard)

    page = yard.page(before=ours[2].id, limit=2)

    assert page.batches == newest_first(ours[3], ours[4])
    assert not page.has_more


def test_before_the_newest_is_nothing(yard: Yard) -> None:
    ours = five(yard)

    page = yard.page(before=ours[4].id)

    assert (page.batches, page.has_more) == ([], False)


def test_both_cursors_give_the_open_interval(yard: Yard) -> None:
    ours = five(yard)

    page = yard.page(after=ours[4].id, before=ours[0].id)

    assert page.batches == newest_first(ours[1], ours[2], ours[3])
    assert not page.has_more


def test_both_cursors_walk_from_after(yard: Yard) -> None:
    ours = five(yard)

    page = yard.page(after=ours[4].id, before=ours[0].id, limit=2)

    assert page.batches == newest_first(ours[2], ours[3])
    assert page.has_more
    rest = yard.page(after=ours[2].id, before=ours[0].id, limit=2)
    assert rest.batches == [ours[1]]
    assert not rest.has_more


def test_both_cursors_the_wrong_way_round_or_equal_give_nothing(yard: Yard) -> None:
    ours = five(yard)

    for after, before in ((ours[0], ours[4]), (ours[2], ours[2]), (ours[2], ours[1])):
        page = yard.page(after=after.id, before=before.id)
        assert (page.batches, page.has_more) == ([], False)


def test_an_id_that_was_never_given_is_a_position(yard: Yard) -> None:
    ours = five(yard)
    between = batch_id(later(25), 7)

    assert yard.page(after=between, limit=2).batches == newest_first(ours[1], ours[2])
    assert yard.page(before=between, limit=1).batches == [ours[3]]
    assert yard.page(after=batch_id(later(10**6), 0), limit=1).batches == [ours[4]]
    assert yard.page(before=batch_id(later(-(10**6)), 0), limit=1).batches == [ours[0]]


def test_a_foreign_id_is_a_position_and_shows_nothing(yard: Yard) -> None:
    ours = five(yard)
    [foreign] = yard.page("w2", after=ours[2].id, limit=1).batches

    page = yard.page(after=foreign.id)

    assert page.batches == newest_first(*ours[:2])


def test_a_deleted_batch_leaves_its_position(yard: Yard) -> None:
    ended = [yard.ended(new=a_batch(created_at=later(10 * number))) for number in range(3)]
    yard.delete(ended[1])

    assert yard.page().batches == newest_first(ended[0], ended[2])
    assert yard.page(after=ended[1].id).batches == [ended[0]]
    assert yard.page(before=ended[1].id).batches == [ended[2]]


def test_text_that_is_no_id_is_a_position_too(yard: Yard) -> None:
    ours = five(yard)

    assert yard.page(after="zzz").batches == newest_first(*ours)
    assert yard.page(after="after_id", before="before_id").batches == []
    assert yard.page(after="' or 1=1 --").batches == []


def test_a_new_batch_shifts_no_page(yard: Yard) -> None:
    ours = five(yard)
    first = yard.page(limit=2)
    yard.create(new=a_batch(created_at=later(100)))

    second = yard.page(after=first.batches[-1].id, limit=2)

    assert second.batches == newest_first(ours[1], ours[2])


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_paging_either_way_meets_every_batch_once(yard: Yard, limit: int) -> None:
    ours = five(yard)

    down: list[Batch] = []
    up: list[Batch] = []
    page = yard.page(limit=limit)
    while page.batches:
        down += page.batches
        page = yard.page(after=page.batches[-1].id, limit=limit)
    page = yard.page(before=UNKNOWN[:9], limit=limit)
    while page.batches:
        up = [*page.batches, *up]
        page = yard.page(before=page.batches[0].id, limit=limit)

    assert down == up == newest_first(*ours)


def test_a_page_never_crosses_workspaces(yard: Yard) -> None:
    five(yard)

    assert {batch.workspace for batch in yard.page("w2").batches} == {"w2"}
    assert yard.page("w3").batches == []


def test_a_page_shows_batches_as_get_does(yard: Yard) -> None:
    running = yard.create(2, a_batch(created_at=later(0)))
    canceling = yard.cancel(yard.create(2, a_batch(created_at=later(1))))
    ended = yard.ended(2, a_batch(created_at=later(2), betas=("a", "b")), origin(retry=3))

    assert yard.page().batches == [yard.get(ended), yard.get(canceling), yard.get(running)]
    assert yard.get(ended) == ended
    assert yard.get(canceling) == canceling
