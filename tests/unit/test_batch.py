"""A batch goes forward only; ids sort by creation; results survive packing."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchyard.domain.batch import Batch, Closing, Counts, Sealed, Status
from batchyard.domain.errors import InvalidRequest
from batchyard.domain.ids import batch_id, is_batch_id, random_id
from batchyard.domain.result import Canceled, Errored, Expired, RequestError, Result, Succeeded, kind, pack, unpack
from batchyard.testing.time import START

SEALED = Sealed("r", "i", "l", 1, "00")


def batch(total: int = 2) -> Batch:
    return Batch(
        id="msgbatch_" + "0" * 24,
        workspace="w",
        status=Status.IN_PROGRESS,
        counts=Counts(processing=total),
        created_at=START,
        expires_at=START + timedelta(hours=24),
        version="2023-06-01",
        betas=(),
        body="b",
    )


def test_canceling_twice_changes_nothing() -> None:
    once = batch().begin_cancel(START)
    assert (once.status, once.closing, once.cancel_initiated_at) == (Status.CANCELING, Closing.CANCELED, START)
    assert once.begin_cancel(START + timedelta(hours=1)) == once


def test_an_ended_batch_cannot_be_canceled() -> None:
    ended = batch().end(Counts(succeeded=2), SEALED, START)
    with pytest.raises(InvalidRequest, match="already finished processing"):
        ended.begin_cancel(START)


def test_the_first_reason_to_close_stays() -> None:
    expired = batch().begin_expiry(START + timedelta(hours=24))
    assert expired.closing is Closing.EXPIRED
    assert expired.begin_cancel(START).closing is Closing.EXPIRED
    canceled = batch().begin_cancel(START)
    assert canceled.begin_expiry(START + timedelta(days=9)).closing is Closing.CANCELED


def test_a_batch_does_not_expire_before_its_time() -> None:
    assert batch().begin_expiry(START + timedelta(hours=23, minutes=59)).closing is None


def test_only_an_ended_batch_can_be_deleted() -> None:
    for running in (batch(), batch().begin_cancel(START)):
        with pytest.raises(InvalidRequest, match="In progress batches cannot be deleted"):
            running.check_deletable()
    batch().end(Counts(canceled=2), SEALED, START).check_deletable()


@pytest.mark.parametrize("counts", [Counts(succeeded=1), Counts(processing=1, succeeded=1), Counts(succeeded=3)])
def test_a_seal_that_loses_or_invents_a_request_is_a_bug(counts: Counts) -> None:
    with pytest.raises(AssertionError):
        batch().end(counts, SEALED, START)


def test_a_batch_is_sealed_once() -> None:
    ended = batch().end(Counts(succeeded=2), SEALED, START)
    with pytest.raises(AssertionError):
        ended.end(Counts(succeeded=2), SEALED, START)


def test_archiving_takes_the_results_and_keeps_the_batch() -> None:
    ended = batch().end(Counts(succeeded=2), SEALED, START)
    archived = ended.archive(START + timedelta(days=29))
    assert ended.has_results
    assert not archived.has_results
    assert archived.sealed is None
    assert archived.archive(START + timedelta(days=40)) == archived


TIMES = st.integers(1_577_836_800, 10_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
BITS = st.integers(0, 2**160)


@given(TIMES, TIMES, BITS, BITS)
def test_batch_ids_sort_by_creation(first: datetime, second: datetime, one: int, other: int) -> None:
    if first < second:
        assert batch_id(first, one) < batch_id(second, other)


@given(TIMES, BITS)
def test_ids_have_the_form_of_the_wire(when: datetime, entropy: int) -> None:
    assert is_batch_id(batch_id(when, entropy))
    assert batch_id(when, entropy).startswith("msgbatch_01")
    assert len(random_id("req_", entropy)) == 28


@pytest.mark.parametrize("text", ["", "msgbatch_", "msgbatch_" + "0" * 23, "msgbatch_" + "0" * 25, "x" * 33,
                                  "msgbatch_" + "0" * 23 + "-", "msgbatch_" + "0" * 24 + "\n"])  # fmt: skip
def test_other_texts_are_no_batch_ids(text: str) -> None:
    assert not is_batch_id(text)


RESULTS = st.one_of(
    st.binary().map(Succeeded),
    st.builds(Errored, st.builds(RequestError, st.text(), st.text(), st.none() | st.text())),
    st.just(Canceled()),
    st.just(Expired()),
)


@given(RESULTS)
def test_a_packed_result_comes_back_as_it_was(result: Result) -> None:
    name, packed = pack(result)

    assert unpack(name, packed) == result
    assert name == kind(result)


def test_error_types_that_sdks_cannot_parse_become_invalid_request_error() -> None:
    assert RequestError("request_too_large", "m").type == "invalid_request_error"
    assert RequestError("overloaded_error", "m").type == "overloaded_error"
