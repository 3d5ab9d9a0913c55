"""What ``finals`` promises: every request in order, with its result, its arrival and its attempts."""

import msgspec
import pytest
from msgspec.structs import replace

from batchyard.domain.batch import Counts
from batchyard.domain.outcome import Finish, Trace
from batchyard.domain.result import Canceled, Errored, Expired, RequestError, Result, Succeeded
from batchyard.testing.factories import (
    DAY,
    NOW,
    a_trace,
    errored,
    failed,
    later,
    retried,
    succeeded,
)
from tests.contract.yard import Yard


def test_finals_come_in_the_order_of_the_requests(yard: Yard) -> None:
    batch = yard.create(4)
    leases = yard.lease(batch)
    for seq in (2, 0, 3, 1):
        yard.settle(succeeded(leases[seq], b"%d" % seq))

    finals = yard.finals(batch)

    assert [(final.seq, final.custom_id) for final in finals] == [(0, "r0"), (1, "r1"), (2, "r2"), (3, "r3")]
    assert [final.result for final in finals] == [Succeeded(b"%d" % seq) for seq in range(4)]
    assert [final.arrival for final in finals] == [2, 4, 1, 3]


def test_arrivals_in_one_turn_count_in_its_order(yard: Yard) -> None:
    batch, other = yard.create(3), yard.create(2)
    a, b, c = yard.lease(batch)
    d, e = yard.lease(other)

    yard.settle(succeeded(c), succeeded(d), errored(a), succeeded(e), succeeded(b))

    assert [final.arrival for final in yard.finals(batch)] == [2, 3, 1]
    assert [final.arrival for final in yard.finals(other)] == [1, 2]


RESULTS: list[Result] = [
    Succeeded('{"text":"Grüße \\u0000 “x”"}'.encode()),
    Succeeded(b"\x00\xff not text at all"),
    Succeeded(b"x" * 300_000),
    Errored(RequestError("overloaded_error", "busy", "workerreq_1", msgspec.Raw(b'{"a":[1,2.50]}'))),
    Errored(RequestError("invalid_request_error", "")),
    Canceled(),
    Expired(),
]


def test_results_are_kept_byte_for_byte(yard: Yard) -> None:
    batch = yard.create(len(RESULTS))
    leases = yard.lease(batch)

    yard.settle(*[Finish(lease, result, a_trace()) for lease, result in zip(leases, RESULTS, strict=True)])

    assert [final.result for final in yard.finals(batch)] == RESULTS
    assert yard.get(batch).counts == Counts(processing=1, succeeded=3, errored=2, canceled=1)


@pytest.mark.parametrize("expired", [True, False])
def test_open_requests_are_final_as_the_batch_was_closed(yard: Yard, expired: bool) -> None:
    batch = yard.create(4)
    a, b, _ = yard.lease(batch, 3)
    yard.settle(succeeded(a, b"kept"), failed(b, later(70)))
    yard.reclaim("o1")
    if expired:
        yard.expire(NOW + DAY)
    else:
        yard.cancel(batch)

    finals = yard.finals(batch)

    fate = Expired() if expired else Canceled()
    assert [final.result for final in finals] == [Succeeded(b"kept"), fate, fate, fate]
    assert [final.arrival for final in finals] == [1, 0, 0, 0]
    assert [final.attempts for final in finals] == [1, 1, 1, 0]


def test_the_ledger_has_every_attempt_that_was_settled(yard: Yard) -> None:
    batch = yard.create(2)
    [first] = yard.lease(batch, 1, now=later(60))
    yard.settle(retried(first, later(65), at=later(61)))
    [second] = yard.lease(batch, 1, now=later(70))
    yard.settle(failed(second, later(75), at=later(71)))
    [third] = yard.lease(batch, 1, now=later(80))
    yard.settle(errored(third, at=later(81)))
    yard.cancel(batch)

    tried, untried = yard.finals(batch)

    assert list(tried.traces) == [
        Trace("notstarted", later(60), later(61), "overloaded_error"),
        Trace("unknown", later(70), later(71), "api_error"),
        Trace("refused", later(80), later(81), "not_found_error"),
    ]
    assert (tried.attempts, tried.paid, tried.deaths) == (3, 1, 0)
    assert list(untried.traces) == []
    assert (untried.attempts, untried.paid, untried.deaths) == (0, 0, 0)


def test_a_reclaimed_attempt_is_counted_and_has_no_trace(yard: Yard) -> None:
    batch = yard.create(1)
    [lost] = yard.lease(batch)
    yard.reclaim("o1")
    yard.settle(succeeded(lost, b"too late"))
    [lease] = yard.lease(batch, owner="o2")
    yard.settle(succeeded(lease, b"in time"), owner="o2")

    [final] = yard.finals(batch)

    assert final.result == Succeeded(b"in time")
    assert (final.attempts, final.paid, final.deaths) == (2, 1, 1)
    assert [trace.outcome for trace in final.traces] == ["answered"]
    assert final.arrival == 1


def test_a_trace_keeps_its_microseconds(yard: Yard) -> None:
    batch = yard.create(1)
    [lease] = yard.lease(batch)
    trace = replace(a_trace(at=later(1.000001)), started_at=later(0.999999), reason='Ünd "so" weiter\'')
    yard.settle(Finish(lease, Succeeded(b"{}"), trace))

    [final] = yard.finals(batch)

    assert list(final.traces) == [trace]


def test_finals_come_in_slices(yard: Yard) -> None:
    batch = yard.create(5000)
    yard.cancel(batch)

    slices = yard.slices(batch)

    assert [final.seq for part in slices for final in part] == list(range(5000))
    assert max(len(part) for part in slices) <= 2000
    assert min(len(part) for part in slices) > 0


def test_finals_may_be_read_twice_and_left_half_read(yard: Yard) -> None:
    batch = yard.create(3000)
    yard.cancel(batch)

    async def first_slice() -> int:
        async for part in yard.store.finals(batch.id):
            return len(part)
        return 0

    assert yard.run(first_slice()) > 0
    assert yard.finals(batch) == yard.finals(batch)
