"""The newest official SDK against a real server process: the seeds' create, follow, results, list, cancel, delete."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from tests.e2e.processes import CountingUpstream, ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("sdk") / "data") as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Anthropic]:
    with Anthropic(base_url=server.url, api_key="any") as made:
        yield made


def a_request(number: int, **params: Any) -> Any:
    whole = {
        "model": "claude-haiku-4-5-20251001",
        "max_tokens": 60,
        "messages": [{"role": "user", "content": f"Classify: 'Great product {number}!' -> positive/negative/neutral"}],
        **params,
    }
    return {"custom_id": f"review-{number}", "params": whole}


def follow(client: Anthropic, batch_id: str) -> Any:
    deadline = time.monotonic() + 60
    while True:
        batch = client.messages.batches.retrieve(batch_id)
        if batch.processing_status == "ended":
            return batch
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_batch_is_created_followed_and_read(client: Anthropic) -> None:
    batch = client.messages.batches.create(requests=[a_request(n) for n in range(5)])
    assert (batch.processing_status, batch.request_counts.processing) == ("in_progress", 5)
    ended = follow(client, batch.id)
    assert ended.results_url == f"{str(client.base_url).rstrip('/')}/v1/messages/batches/{batch.id}/results"

    results = list(client.messages.batches.results(batch.id))

    assert [result.custom_id for result in results] == [f"review-{n}" for n in range(5)]
    for result in results:
        assert result.result.type == "succeeded"
        assert result.result.message.usage.service_tier == "batch"
        assert result.result.message.content[0].type == "text"


def test_errors_in_params_become_lines_with_the_text_in_both_places(client: Anthropic) -> None:
    requests = [a_request(0), a_request(1, max_tokens=0), a_request(2, model="nobody-knows-it")]
    batch = client.messages.batches.create(requests=requests)
    follow(client, batch.id)

    good, bad, unknown = client.messages.batches.results(batch.id)

    assert good.result.type == "succeeded"
    assert bad.result.type == "errored"
    assert bad.result.error.error.type == "invalid_request_error"
    assert bad.result.error.error.message == "max_tokens: must be greater than or equal to 1"
    assert bad.result.error.message == bad.result.error.error.message  # type: ignore[attr-defined]
    assert unknown.result.type == "errored"
    assert unknown.result.error.error.type == "not_found_error"


def test_lists_page_through_every_batch_newest_first(client: Anthropic) -> None:
    made = [client.messages.batches.create(requests=[a_request(n)]).id for n in range(7)]

    listed = [batch.id for batch in client.messages.batches.list(limit=3)]

    assert listed[:7] == made[::-1]
    assert len(listed) == len(set(listed))


def test_deleting_needs_an_end_and_forgets_the_batch(client: Anthropic) -> None:
    batch = client.messages.batches.create(requests=[a_request(0)])
    follow(client, batch.id)
    assert client.messages.batches.delete(batch.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(batch.id)


def test_the_asynchronous_client_does_the_same(server: ServerProcess) -> None:
    async def main() -> list[str]:
        async with AsyncAnthropic(base_url=server.url, api_key="any") as client:
            batch = await client.messages.batches.create(requests=[a_request(n) for n in range(3)])
            while (await client.messages.batches.retrieve(batch.id)).processing_status != "ended":
                await asyncio.sleep(0.05)
            return [result.custom_id async for result in await client.messages.batches.results(batch.id)]

    assert asyncio.run(main()) == ["review-0", "review-1", "review-2"]


def test_a_cancel_keeps_what_is_answered_and_cancels_the_rest(tmp_path: Path) -> None:
    with CountingUpstream(latency=1.0) as upstream:
        options = ("--upstream", upstream.url, "--concurrency", "4")
        with ServerProcess(tmp_path / "data", *options) as slow, Anthropic(base_url=slow.url, api_key="any") as client:
            batch = client.messages.batches.create(requests=[a_request(n) for n in range(40)])
            while sum(upstream.calls.values()) < 6:
                time.sleep(0.02)
            with pytest.raises(anthropic.BadRequestError):
                client.messages.batches.delete(batch.id)
            canceling = client.messages.batches.cancel(batch.id)
            calls = sum(upstream.calls.values())
            assert canceling.processing_status == "canceling"
            assert canceling.cancel_initiated_at is not None
            ended = follow(client, batch.id)

            assert sum(upstream.calls.values()) == calls
            assert ended.request_counts.succeeded == calls
            assert ended.request_counts.canceled == 40 - calls
            kinds = [result.result.type for result in client.messages.batches.results(batch.id)]
            assert kinds == ["succeeded"] * calls + ["canceled"] * (40 - calls)
            with pytest.raises(anthropic.BadRequestError, match="already finished processing"):
                client.messages.batches.cancel(batch.id)
