"""What did not succeed and may the next time goes into batches again; the results are those of the last time."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from batchyard.client.events import Counted, Event, SentAgain
from tests.e2e.fake_api import FakeApi
from tests.e2e.test_client_job import Killed, a_job, die_after, left_in, requests, run

FAIL = {
    1: "errored:overloaded_error",
    3: "errored:invalid_request_error",
    4: "expired",
    7: "canceled",
    12: "errored:api_error",
    13: "errored:rate_limit_error",
    20: "errored:timeout_error",
    21: "errored:billing_error",
}
SENT_AGAIN = ["r1", "r4", "r12", "r13", "r20"]


def ids_of(server: FakeApi) -> list[list[object]]:
    return [[request["custom_id"] for request in batch.requests] for batch in server.batches.values()]


def results(path: Path) -> dict[str, str]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["custom_id"]: line["result"]["type"] for line in lines}


def test_what_may_succeed_the_next_time_is_sent_once_more_and_nothing_else(tmp_path: Path) -> None:
    server = FakeApi(heals_after=1, backwards=True)
    told: list[Event] = []
    job = replace(a_job(tmp_path, requests(25, FAIL), most=10), retries=2)

    tally, ids = run(job, server, hear=told.append)

    assert ids == [f"r{n}" for n in range(25)]
    assert ids_of(server)[3:] == [SENT_AGAIN]
    assert [event for event in told if isinstance(event, SentAgain)] == [SentAgain(5, 1)]
    assert tally.counts == {"succeeded": 22, "errored": 2, "canceled": 1, "expired": 0}
    last = [event for event in told if isinstance(event, Counted)][-1]
    assert (last.counts.succeeded, last.fetched.output_tokens) == (5, tally.output_tokens)
    ended = results(tmp_path / "out.jsonl")
    assert {one for one, kind in ended.items() if kind != "succeeded"} == {"r3", "r7", "r21"}
    assert left_in(tmp_path) == {"in.jsonl", "out.jsonl"}


@pytest.mark.parametrize(("retries", "batches"), [(0, 3), (1, 4), (3, 6)])
def test_rounds_end_when_they_were_as_many_as_asked_for(tmp_path: Path, retries: int, batches: int) -> None:
    server = FakeApi()
    job = replace(a_job(tmp_path, requests(25, FAIL), most=10), retries=retries)

    tally, ids = run(job, server)

    assert ids == [f"r{n}" for n in range(25)]
    assert len(server.batches) == batches
    assert tally.counts["expired"] == 1


def test_a_round_is_split_like_the_input(tmp_path: Path) -> None:
    server = FakeApi(heals_after=1)
    job = replace(a_job(tmp_path, requests(25, dict.fromkeys(range(25), "expired")), most=10), retries=1)

    tally, ids = run(job, server)

    assert [len(batch.requests) for batch in server.batches.values()] == [10, 10, 5, 10, 10, 5]
    assert (tally.all_succeeded, ids) == (True, [f"r{n}" for n in range(25)])


def test_what_did_not_succeed_is_written_with_its_request_as_an_input(tmp_path: Path) -> None:
    server = FakeApi()
    job = replace(a_job(tmp_path, requests(25, FAIL), most=10), errors=tmp_path / "errors.jsonl")

    run(job, server)

    failed = [json.loads(line) for line in (tmp_path / "errors.jsonl").read_text().splitlines()]
    assert [line["custom_id"] for line in failed] == [f"r{n}" for n in FAIL]
    assert [line["params"]["fate"] for line in failed] == list(FAIL.values())
    assert failed[0]["result"]["error"]["error"]["type"] == "overloaded_error"
    assert failed[2]["result"] == {"type": "expired"}


def test_no_file_of_errors_is_left_when_all_succeeded(tmp_path: Path) -> None:
    run(replace(a_job(tmp_path, requests(5)), errors=tmp_path / "errors.jsonl"), FakeApi())

    assert left_in(tmp_path) == {"in.jsonl", "out.jsonl"}


@pytest.mark.parametrize("moment", ["SentAgain", "Created", "Fetched", "Collecting"])
def test_a_job_killed_in_a_later_round_goes_on_there(tmp_path: Path, moment: str) -> None:
    server = FakeApi(heals_after=1, backwards=True)
    job = replace(a_job(tmp_path, requests(25, FAIL), most=10), retries=2)
    seen_again = False

    def hear(event: Event) -> None:
        nonlocal seen_again
        seen_again = seen_again or isinstance(event, SentAgain)
        if seen_again:
            die_after(moment)(event)

    with pytest.raises(Killed):
        run(job, server, hear=hear)
    tally, ids = run(job, server)

    assert ids == [f"r{n}" for n in range(25)]
    assert len(server.batches) == 4
    assert tally.counts["succeeded"] == 22
