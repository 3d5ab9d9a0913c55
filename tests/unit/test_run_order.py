"""The order in which the requests of a batch run."""

from hypothesis import given
from hypothesis import strategies as st

from batchyard.domain.request import Drafts
from batchyard.domain.run_order import only_model, run_orders


def some(rows: list[tuple[str, int]]) -> Drafts:
    drafts = Drafts()
    for number, (model, prefix) in enumerate(rows):
        drafts.add(f"r{number}", number, 1, 0, prefix=prefix, model=model)
    return drafts


rows = st.lists(st.tuples(st.sampled_from(["a", "b", ""]), st.integers(0, 4)), max_size=40)


def test_the_first_of_each_group_runs_one_group_ahead() -> None:
    drafts = some([("m", prefix) for prefix in (1, 2, 1, 1, 3, 2, 3, 0)])

    [order] = run_orders(drafts).values()

    assert list(order) == [0, 1, 2, 3, 4, 5, 7, 6]


def test_the_first_runs_ahead_by_as_many_others_as_it_is_told() -> None:
    drafts = some([("m", prefix) for prefix in (1, 1, 1, 2, 2, 3, 3, 4, 4)])
    drafts.lead = 4

    [order] = run_orders(drafts).values()

    assert list(order) == [0, 3, 5, 1, 2, 7, 4, 6, 8]


@given(rows)
def test_every_request_is_in_one_order_once(rows: list[tuple[str, int]]) -> None:
    drafts = some(rows)
    orders = run_orders(drafts)

    assert sorted(seq for order in orders.values() for seq in order) == list(range(len(rows)))
    assert all({drafts.models[seq] for seq in order} == {model} for model, order in orders.items())


@given(rows)
def test_the_rest_of_a_group_runs_in_one_piece_behind_its_first(rows: list[tuple[str, int]]) -> None:
    drafts = some(rows)
    for order in run_orders(drafts).values():
        places: dict[int, list[int]] = {}
        for place, seq in enumerate(order):
            if drafts.prefixes[seq]:
                places.setdefault(drafts.prefixes[seq], []).append(place)
        for first, *rest in places.values():
            assert all(first < place for place in rest)
            assert not rest or rest == list(range(rest[0], rest[0] + len(rest)))


@given(rows)
def test_a_plain_batch_needs_no_order(rows: list[tuple[str, int]]) -> None:
    drafts = some(rows)
    is_plain = len({model for model, _ in rows}) <= 1 and len({prefix for _, prefix in rows}) <= 1

    assert (only_model(drafts) is not None) == is_plain
