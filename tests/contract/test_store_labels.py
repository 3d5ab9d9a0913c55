"""What batches are called: kept, edited, found, and never another workspace's."""

from dataclasses import replace
from pathlib import Path

import pytest

from batchyard.domain.batch import Batch
from batchyard.domain.errors import InvalidRequest, NotFound
from batchyard.domain.labels import Labels, Wanted
from batchyard.testing.factories import a_batch
from tests.contract.store_table import STORES, SURVIVE_CLOSE
from tests.contract.yard import Run, Yard

NIGHTLY = Labels("Nightly Évaluation", (("run", "42"), ("team", "Search 100%")))


def made(yard: Yard, labels: Labels = NIGHTLY, workspace: str = "w1") -> Batch:
    return yard.create(1, replace(a_batch(workspace), labels=labels))


def label(yard: Yard, batch: Batch, name: str | None = None, workspace: str = "w1", **changes: str | None) -> Batch:
    return yard.run(yard.store.views.label(workspace, batch.id, name, changes))


def found(yard: Yard, wanted: Wanted, workspace: str = "w1", *, limit: int = 20) -> list[str]:
    page = yard.run(yard.store.views.search(workspace, wanted, after=None, before=None, limit=limit))
    return [batch.id for batch in page.batches]


def test_a_batch_keeps_its_name_and_labels(yard: Yard) -> None:
    batch = made(yard)

    assert batch.labels == NIGHTLY
    assert yard.get(batch).labels == NIGHTLY
    assert yard.page().batches == [batch]
    assert yard.create(1).labels == Labels()


def test_labels_are_edited_one_by_one_at_any_time(yard: Yard) -> None:
    batch = made(yard)

    assert label(yard, batch, run=None, owner="me").labels == Labels(
        NIGHTLY.name, (("owner", "me"), ("team", "Search 100%"))
    )
    assert label(yard, batch, "").labels.name == ""
    ended = yard.ended(1)
    assert label(yard, ended, "done").labels == Labels("done")
    assert yard.get(ended).labels == Labels("done")


def test_a_wrong_label_changes_nothing_and_a_foreign_batch_is_not_found(yard: Yard) -> None:
    batch = made(yard)

    with pytest.raises(InvalidRequest):
        label(yard, batch, "new", **{"no spaces": "x"})
    with pytest.raises(NotFound):
        label(yard, batch, "mine", workspace="w2")
    assert yard.get(batch).labels == NIGHTLY


def test_batches_are_found_by_words_labels_and_status(yard: Yard) -> None:
    first = made(yard)
    second = made(yard, Labels("other", (("team", "ads"),)))
    ended = yard.ended(1, replace(a_batch(), labels=Labels("nightly")))
    theirs = made(yard, workspace="w2")
    yard.cancel(second)

    assert found(yard, Wanted()) == [ended.id, second.id, first.id]
    assert found(yard, Wanted(text="NIGHT")) == [ended.id, first.id]
    assert found(yard, Wanted(text="Évaluation")) == [first.id]
    assert found(yard, Wanted(text="100%")) == [first.id]
    assert found(yard, Wanted(text="%")) == [first.id]
    assert found(yard, Wanted(text=second.id[-6:].lower())) == [second.id]
    assert found(yard, Wanted(text="team")) == []
    assert found(yard, Wanted(pairs=[("team", None)])) == [second.id, first.id]
    assert found(yard, Wanted(pairs=[("team", "ads")])) == [second.id]
    assert found(yard, Wanted(pairs=[("team", None), ("run", "42")])) == [first.id]
    assert [found(yard, Wanted(status=status)) for status in ("in_progress", "canceling", "ended")] == [
        [first.id],
        [second.id],
        [ended.id],
    ]
    assert found(yard, Wanted(), "w2") == [theirs.id]


def test_what_is_found_comes_in_pages(yard: Yard) -> None:
    batches = [made(yard, Labels("even" if number % 2 == 0 else "odd")) for number in range(6)]
    even = Wanted(text="even")

    first = yard.run(yard.store.views.search("w1", even, after=None, before=None, limit=2))
    rest = yard.run(yard.store.views.search("w1", even, after=batches[2].id, before=None, limit=2))
    back = yard.run(yard.store.views.search("w1", even, after=None, before=batches[0].id, limit=1))

    assert ([batch.id for batch in first.batches], first.has_more) == ([batches[4].id, batches[2].id], True)
    assert ([batch.id for batch in rest.batches], rest.has_more) == ([batches[0].id], False)
    assert ([batch.id for batch in back.batches], back.has_more) == ([batches[2].id], True)


@pytest.mark.parametrize("name", sorted(SURVIVE_CLOSE))
def test_labels_are_there_after_a_restart(name: str, tmp_path: Path, run: Run) -> None:
    yard = Yard(run(STORES[name](tmp_path, lambda: 7)), run)
    batch = made(yard)
    run(yard.store.close())

    again = Yard(run(STORES[name](tmp_path, lambda: 8)), run)

    assert again.get(batch).labels == NIGHTLY
    run(again.store.close())


@pytest.mark.parametrize(
    "wanted",
    [Wanted(text="Night\0"), Wanted(pairs=[("team\0", None)]), Wanted(pairs=[("team", "Search 100%\0")])],
    ids=["text", "key", "value"],
)
def test_what_no_label_can_hold_is_looked_for_and_not_found(yard: Yard, wanted: Wanted) -> None:
    made(yard)

    assert found(yard, wanted) == []
