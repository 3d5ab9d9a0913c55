"""The JSON of the wire, byte for byte, and what our own client makes of it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from batchyard import wire
from batchyard.client import replies
from batchyard.domain.batch import Batch, Counts, Sealed, Status
from batchyard.domain.result import Canceled, Errored, Expired, RequestError, Succeeded

CREATED = datetime(2026, 3, 2, 9, 0, 0, 5, tzinfo=UTC)
RUNNING = Batch(
    id="msgbatch_01AAAAAAAAAAAAAAAAAAAAAA",
    workspace="w1",
    status=Status.IN_PROGRESS,
    counts=Counts(processing=3, errored=1),
    created_at=CREATED,
    expires_at=CREATED + timedelta(days=1),
    version="2023-06-01",
    betas=(),
    body="b.body",
)
ENDED = replace(
    RUNNING,
    status=Status.ENDED,
    counts=Counts(succeeded=1, canceled=1, expired=1, errored=1),
    ended_at=CREATED + timedelta(seconds=9),
    cancel_initiated_at=CREATED + timedelta(seconds=3),
    sealed=Sealed("r", "i", "l", 1, "00"),
)
URL = "https://batches.example/prefix"


def test_a_running_batch() -> None:
    assert wire.batch_json(RUNNING, URL).decode() == (
        '{"id":"msgbatch_01AAAAAAAAAAAAAAAAAAAAAA","type":"message_batch","processing_status":"in_progress",'
        '"request_counts":{"processing":3,"succeeded":0,"errored":1,"canceled":0,"expired":0},"ended_at":null,'
        '"created_at":"2026-03-02T09:00:00.000005Z","expires_at":"2026-03-03T09:00:00.000005Z","archived_at":null,'
        '"cancel_initiated_at":null,"results_url":null}'
    )


def test_an_ended_batch_names_its_results() -> None:
    shown = json.loads(wire.batch_json(ENDED, URL))

    assert shown["results_url"] == f"{URL}/v1/messages/batches/{ENDED.id}/results"
    assert shown["ended_at"] == "2026-03-02T09:00:09.000005Z"
    assert shown["cancel_initiated_at"] == "2026-03-02T09:00:03.000005Z"
    assert shown["request_counts"] == {"processing": 0, "succeeded": 1, "errored": 1, "canceled": 1, "expired": 1}


def test_an_archived_batch_names_no_results() -> None:
    shown = json.loads(wire.batch_json(ENDED.archive(CREATED + timedelta(days=29)), URL))

    assert shown["results_url"] is None
    assert shown["archived_at"] == "2026-03-31T09:00:00.000005Z"


def test_timestamps_are_utc_with_six_digits_also_when_they_are_zero() -> None:
    moment = datetime(2026, 3, 2, 11, 30, tzinfo=timezone(timedelta(hours=2, minutes=30)))

    assert wire.timestamp(moment) == "2026-03-02T09:00:00.000000Z"


def test_a_page_names_its_first_and_last() -> None:
    other = replace(RUNNING, id="msgbatch_01BBBBBBBBBBBBBBBBBBBBBB")

    shown = json.loads(wire.page_json([RUNNING, other], URL, has_more=True))

    assert list(shown) == ["data", "has_more", "first_id", "last_id"]
    assert (shown["first_id"], shown["last_id"], shown["has_more"]) == (RUNNING.id, other.id, True)


def test_an_empty_page_has_null_ids() -> None:
    assert wire.page_json([], URL, has_more=False) == b'{"data":[],"has_more":false,"first_id":null,"last_id":null}'


def test_a_deleted_batch() -> None:
    assert wire.deleted_json("msgbatch_1") == b'{"id":"msgbatch_1","type":"message_batch_deleted"}'


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (Succeeded(b'{"id":"msg_1","n":1e400}'), '{"type":"succeeded","message":{"id":"msg_1","n":1e400}}'),
        (Canceled(), '{"type":"canceled"}'),
        (Expired(), '{"type":"expired"}'),
        (
            Errored(RequestError("not_found_error", "model: x")),
            (
                '{"type":"errored","error":{"type":"error","error":{"type":"not_found_error","message":"model: x"},'
                '"request_id":null,"message":"model: x"}}'
            ),
        ),
        (
            Errored(RequestError("api_error", "no", "workerreq_1", msgspec.Raw(b'{"a":\n1}'))),
            (
                '{"type":"errored","error":{"type":"error","error":{"type":"api_error","message":"no",'
                '"details":{"a": 1}},"request_id":"workerreq_1","message":"no"}}'
            ),
        ),
        (Succeeded(b'{\r\n"a":1\n}'), '{"type":"succeeded","message":{  "a":1 }}'),
        (Succeeded('{"a":"\u2028é"}'.encode()), '{"type":"succeeded","message":{"a":"\u2028é"}}'),
    ],
)
def test_a_result_is_one_compact_line(result: Succeeded | Errored | Canceled | Expired, line: str) -> None:
    written = wire.result_line("my-id", result)

    assert written.decode() == f'{{"custom_id":"my-id","result":{line}}}\n'
    assert written.count(b"\n") == 1
    assert json.loads(written)["custom_id"] == "my-id"


def test_line_breaks_in_an_error_message_stay_inside_their_line() -> None:
    written = wire.result_line("a", Errored(RequestError("api_error", "one\r\ntwo")))

    assert written.count(b"\n") == 1
    error = json.loads(written)["result"]["error"]
    assert error["error"]["message"] == error["message"] == "one\r\ntwo"


def test_an_error_type_that_sdks_cannot_read_in_a_line_is_an_invalid_request() -> None:
    line = json.loads(wire.result_line("a", Errored(RequestError("request_too_large", "big"))))

    assert line["result"]["error"]["error"]["type"] == "invalid_request_error"


def test_our_own_client_reads_what_is_written() -> None:
    batch = replies.batch(wire.batch_json(ENDED, URL))
    page = replies.page(wire.page_json([ENDED], URL, has_more=False))
    line = replies.result_line(wire.result_line("a", Errored(RequestError("api_error", "no"))))

    assert page.batches == (batch,)
    assert (batch.id, batch.has_ended, batch.request_counts.total) == (ENDED.id, True, ENDED.counts.total)
    assert line.result.error is not None
    assert (line.result.error.innermost.type, line.result.error.innermost.message) == ("api_error", "no")


def test_every_error_of_the_domain_has_a_status() -> None:
    from batchyard.domain.errors import BatchyardError

    types = {BatchyardError.type} | {each.type for each in BatchyardError.__subclasses__()}

    assert types <= set(wire.STATUS)
