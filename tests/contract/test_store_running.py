"""What a batch that runs shows of its requests: results as they come, requests by place and by custom_id."""

import pytest

from batchyard.domain.errors import NotFound
from batchyard.domain.result import Canceled, Errored, Succeeded, kind
from batchyard.ports import Arrived, Final
from batchyard.testing.factories import a_batch, errored, later, params, retried, succeeded
from tests.contract.yard import Yard


def arrivals(yard: Yard, batch_id: str, after: int = 0, limit: int = 100, workspace: str = "w1") -> list[Arrived]:
    return list(yard.run(yard.store.views.arrivals(workspace, batch_id, after=after, limit=limit)))


def rows(yard: Yard, batch_id: str, first: int = 0, limit: int = 100, workspace: str = "w1") -> list[Final]:
    return list(yard.run(yard.store.views.rows(workspace, batch_id, first=first, limit=limit)))


def errors(yard: Yard, batch_id: str, limit: int = 100, workspace: str = "w1") -> list[Arrived]:
    return list(yard.run(yard.store.views.errors(workspace, batch_id, limit=limit)))


def place(yard: Yard, batch_id: str, custom_id: str, workspace: str = "w1") -> int | None:
    return yard.run(yard.store.views.place(workspace, batch_id, custom_id))


def test_results_are_seen_in_the_order_in_which_they_came(yard: Yard) -> None:
    batch, other = yard.create(4), yard.create(1)
    a, b, c, _ = yard.lease(batch)
    yard.settle(succeeded(c, b"{}"), *[succeeded(lease) for lease in yard.lease(other)])
    yard.settle(errored(a, "wrong"), retried(b, later(90)))

    came = arrivals(yard, batch.id)

    assert [one.custom_id for one in came] == ["r2", "r0"]
    assert came[0].result == Succeeded(b"{}")
    assert isinstance(came[1].result, Errored)
    assert came[1].result.error.message == "wrong"
    assert arrivals(yard, batch.id, after=1) == came[1:]
    assert arrivals(yard, batch.id, limit=1) == came[:1]
    assert arrivals(yard, batch.id, after=2) == []


def test_what_comes_later_never_comes_before_what_was_seen(yard: Yard) -> None:
    batch = yard.create(30)
    leases = yard.lease(batch)
    seen: list[Arrived] = []
    for start in (20, 0, 10):
        yard.settle(*[succeeded(lease) for lease in leases[start : start + 10]])
        seen += arrivals(yard, batch.id, after=len(seen))

    assert [one.custom_id for one in seen] == [f"r{n}" for n in (*range(20, 30), *range(20))]
    assert arrivals(yard, batch.id) == seen


def test_large_results_come_in_parts_and_at_least_one_at_a_time(yard: Yard) -> None:
    batch = yard.create(3)
    large = b'"%s"' % (b"x" * 3_000_000)
    yard.settle(*[succeeded(lease, large) for lease in yard.lease(batch)])

    seen: list[Arrived] = []
    while part := arrivals(yard, batch.id, after=len(seen)):
        seen += part

    assert [one.custom_id for one in seen] == ["r0", "r1", "r2"]


def test_requests_are_seen_by_place_as_they_stand(yard: Yard) -> None:
    batch = yard.create(3)
    a, b, _ = yard.lease(batch)
    yard.settle(succeeded(b, b"{}"), retried(a, later(90)))

    zero, one, two = rows(yard, batch.id)

    assert (zero.custom_id, zero.arrival, zero.attempts, len(zero.traces)) == ("r0", 0, 1, 1)
    assert (one.custom_id, one.arrival, one.result) == ("r1", 1, Succeeded(b"{}"))
    assert (two.params.blob, two.params.offset, two.params.length) == (
        batch.body,
        len(params(0) + params(1)),
        len(params(2)),
    )
    assert rows(yard, batch.id, first=1, limit=1) == [one]
    assert rows(yard, batch.id, first=3) == []


def test_errors_are_seen_in_the_order_of_the_requests_and_no_more_than_asked_for(yard: Yard) -> None:
    batch, other = yard.create(5), yard.create(1)
    a, b, c, d, e = yard.lease(batch)
    yard.settle(errored(e, "late"), succeeded(a), errored(c, "wrong"), retried(b, later(90)))
    yard.settle(errored(d, "w" * 3_000_000), *[errored(lease) for lease in yard.lease(other)])

    seen = errors(yard, batch.id)

    assert [one.custom_id for one in seen] == ["r2", "r3", "r4"][: len(seen)]  # fewer where they are large
    assert isinstance(seen[0].result, Errored)
    assert seen[0].result.error.message == "wrong"
    assert errors(yard, batch.id, limit=1) == seen[:1]
    assert [one.custom_id for one in errors(yard, other.id)] == ["r0"]


def test_a_request_is_found_by_its_custom_id(yard: Yard) -> None:
    batch, other = yard.create(3), yard.create(5)

    assert [place(yard, batch.id, f"r{n}") for n in range(4)] == [0, 1, 2, None]
    assert place(yard, other.id, "r4") == 4


def test_an_open_request_of_a_canceled_batch_has_come_to_nothing_yet(yard: Yard) -> None:
    batch = yard.cancel(yard.create(1))

    [row] = rows(yard, batch.id)

    assert (row.arrival, row.result) == (0, Canceled())
    assert kind(row.result) == "canceled"


def test_a_batch_that_has_ended_shows_nothing_here(yard: Yard) -> None:
    ended = yard.ended(3)

    assert (arrivals(yard, ended.id), rows(yard, ended.id), place(yard, ended.id, "r0")) == ([], [], None)
    assert errors(yard, ended.id) == []


def test_another_workspaces_batch_is_not_found(yard: Yard) -> None:
    batch = yard.create(1, a_batch("w2"))

    for look in (arrivals, rows, errors):
        with pytest.raises(NotFound):
            look(yard, batch.id)
    with pytest.raises(NotFound):
        place(yard, batch.id, "r0")


def test_what_can_be_no_custom_id_has_no_place(yard: Yard) -> None:
    batch = yard.create(1)

    assert place(yard, batch.id, "r0\0") is None
