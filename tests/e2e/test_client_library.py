"""`batchyard.client` from a program: results in order, the promises of the command, helpers for users of an SDK."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from anthropic.types.messages import MessageBatchIndividualResponse

import batchyard.client
from batchyard.client import BadInput, Limits, Result, WrongUse, batches_of, join, may_be_sent_again, run, to_send_again
from batchyard.client.events import Event, Waiting
from tests.e2e.fake_api import FakeApi, Refuse


def requests(count: int, fates: dict[int, str] | None = None) -> list[dict[str, Any]]:
    return [{"custom_id": f"r{n}", "params": {"fate": (fates or {}).get(n, "succeeded")}} for n in range(count)]


def results(server: FakeApi, wanted: Any, **options: Any) -> list[Result]:
    async def go() -> list[Result]:
        async with server:
            return [result async for result in run(wanted, base_url=server.base, api_key="k", **options)]

    return asyncio.run(go())


def test_results_come_in_the_order_of_the_requests_with_what_they_are_of() -> None:
    server = FakeApi(backwards=True)
    told: list[Event] = []

    got = results(server, requests(7, {2: "errored", 3: "canceled"}), limits=Limits(3), progress=told.append)

    assert [result.custom_id for result in got] == [f"r{n}" for n in range(7)]
    assert [result.type for result in got[1:4]] == ["succeeded", "errored", "canceled"]
    assert (got[0].text, got[0].params) == ("ja – ü", {"fate": "succeeded"})
    assert (got[2].text, got[2].message) == ("", None)
    assert got[2].error is not None
    assert got[2].error["type"] == "invalid_request_error"
    assert json.loads(got[0].raw)["custom_id"] == "r0"
    assert len(server.batches) == 3
    assert {"Checked", "Created", "Counted", "Fetched"} <= {type(event).__name__ for event in told}


def test_requests_may_come_from_anything_that_gives_them_one_by_one() -> None:
    async def slowly() -> AsyncIterator[dict[str, Any]]:
        for request in requests(3):
            await asyncio.sleep(0)
            yield request

    for wanted in (slowly(), iter(requests(3)), tuple(requests(3))):
        assert len(results(FakeApi(), wanted)) == 3


def test_progress_tells_of_calls_that_are_made_again() -> None:
    server = FakeApi()
    server.fail("create", Refuse(500))
    told: list[Event] = []

    assert len(results(server, requests(1), progress=told.append)) == 1

    assert [event.reason for event in told if isinstance(event, Waiting)] == [
        "the server refused: 500 api_error: scripted (req_1)"
    ]


def test_what_may_succeed_is_sent_again() -> None:
    server = FakeApi(heals_after=1)

    got = results(server, requests(5, {1: "expired", 2: "errored:api_error", 3: "errored"}))

    assert [result.type for result in got] == ["succeeded", "succeeded", "succeeded", "errored", "succeeded"]
    assert [len(batch.requests) for batch in server.batches.values()] == [5, 2]


def test_a_job_with_a_state_goes_on_where_its_program_ended(tmp_path: Path) -> None:
    server = FakeApi()

    async def go(stop: bool) -> int:
        got = 0
        async with server:
            wanted = run(requests(5), base_url="http://server", api_key="k", state=tmp_path / "job", limits=Limits(2))
            async for _ in wanted:
                got += 1
                if stop:
                    break
            await wanted.aclose()  # type: ignore[attr-defined]
        return got

    def at_its_address(self: Any, base_url: str, *arguments: Any, **options: Any) -> None:
        make(self, server.base, *arguments, **options)

    make = batchyard.client.library.Api.__init__  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchyard.client.api.Api.__init__", at_its_address)
        assert asyncio.run(go(stop=True)) == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == ["job.batchyard", "job.batchyard.work"]
        assert asyncio.run(go(stop=False)) == 5

    assert len(server.batches) == 3
    assert list(tmp_path.iterdir()) == []


def test_wrong_requests_are_told_all_at_once_before_anything_is_sent() -> None:
    server = FakeApi()

    with pytest.raises(BadInput) as bad:
        results(server, [*requests(2), {"custom_id": "a b", "params": {}}, *requests(1)])

    assert [problem.partition(": ")[0] for problem in bad.value.problems] == ["requests:3", "requests:4"]
    assert server.calls == []


def test_what_cannot_be_written_as_json_is_told() -> None:
    with pytest.raises(WrongUse, match="cannot be written as JSON"):
        results(FakeApi(), [{"custom_id": "a", "params": {"x": object()}}])


def test_a_server_must_be_named_and_may_be_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> list[Result]:
        return [result async for result in run(requests(1))]

    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    with pytest.raises(WrongUse, match="no server is named"):
        asyncio.run(go())

    server = FakeApi()

    async def named() -> list[Result]:
        async with server:
            monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base)
            return await go()

    assert len(asyncio.run(named())) == 1
    assert server.calls[0][1]["x-api-key"] == "k"


def test_a_limit_on_the_cost_holds() -> None:
    wanted = [{"custom_id": "a", "params": {"model": "m", "max_tokens": 1000, "messages": []}}]

    with pytest.raises(WrongUse, match="would be passed"):
        results(FakeApi(), wanted, max_cost=0.001, prices={"m": "2/10"})
    with pytest.raises(WrongUse, match="prices: 'm=x' is no price"):
        results(FakeApi(), wanted, max_cost=0.001, prices={"m": "x"})


def test_the_package_is_imported_name_by_name() -> None:
    code = "import sys, batchyard.client; sys.exit('aiohttp' in sys.modules or 'msgspec' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert set(batchyard.client.__all__) <= {
        name for name in batchyard.client.__all__ if hasattr(batchyard.client, name)
    }
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = batchyard.client.nothing


def test_requests_are_cut_by_count_and_by_bytes() -> None:
    wanted = [{"custom_id": f"r{n}", "params": {"x": "é" * n}} for n in range(40)]

    cut = list(batches_of(wanted, Limits(7, 400)))

    assert [request for batch in cut for request in batch] == wanted
    assert all(len(batch) <= 7 for batch in cut)
    assert all(
        len(json.dumps({"requests": batch}, ensure_ascii=False, separators=(",", ":")).encode()) <= 400 for batch in cut
    )
    assert len(cut) < 20


def test_what_no_batch_can_hold_is_refused() -> None:
    with pytest.raises(BadInput, match="request 2: custom_id 'r0' came already"):
        list(batches_of([*requests(1), *requests(1)], Limits(1)))
    with pytest.raises(BadInput, match="request 1: too large for any batch"):
        list(batches_of([{"custom_id": "a", "params": {"x": "y" * 100}}], Limits(body_bytes=100)))


def as_sdk(custom_id: str, result: dict[str, Any]) -> MessageBatchIndividualResponse:
    return MessageBatchIndividualResponse.model_validate({"custom_id": custom_id, "result": result})


def errored(kind: str) -> dict[str, Any]:
    return {"type": "errored", "error": {"type": "error", "error": {"type": kind, "message": "x"}, "request_id": None}}


SUCCEEDED = {
    "type": "succeeded",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
}


@pytest.mark.parametrize(
    ("result", "again"),
    [
        (SUCCEEDED, False),
        ({"type": "canceled"}, False),
        ({"type": "expired"}, True),
        (errored("overloaded_error"), True),
        (errored("timeout_error"), True),
        (errored("invalid_request_error"), False),
        (errored("authentication_error"), False),
    ],
)
def test_results_of_the_official_sdk_are_told_apart_like_plain_ones(result: dict[str, Any], again: bool) -> None:
    assert may_be_sent_again(as_sdk("a", result)) == again
    assert may_be_sent_again({"custom_id": "a", "result": result}) == again


def test_failures_lead_back_to_their_requests_and_results_to_their_rows() -> None:
    wanted = requests(3)
    got = [as_sdk("r2", {"type": "expired"}), as_sdk("r0", SUCCEEDED)]

    assert to_send_again(wanted, got) == [wanted[2]]
    assert [(row, result and result.custom_id) for row, result in join([0, 1, 2], got, lambda row: f"r{row}")] == [
        (0, "r0"),
        (1, None),
        (2, "r2"),
    ]
