"""Messages, counts and models by the newest official SDK against a real server process, with and without a model."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from tests.e2e.processes import CountingUpstream, ServerProcess

MODEL = "claude-haiku-4-5-20251001"
ASKED: dict[str, Any] = {"model": MODEL, "max_tokens": 900, "messages": [{"role": "user", "content": "Hello there"}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("neighbours") / "data") as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Anthropic]:
    with Anthropic(base_url=server.url, api_key="any", max_retries=0) as made:
        yield made


def test_a_message(client: Anthropic) -> None:
    message = client.messages.create(**ASKED)

    assert message.type == "message"
    assert message.stop_reason == "end_turn"
    assert message.usage.service_tier == "standard"
    assert str(message._request_id).startswith("req_")


def test_a_stream_adds_up_to_a_message(client: Anthropic) -> None:
    with client.messages.stream(**ASKED) as stream:
        words = "".join(stream.text_stream)
        message = stream.get_final_message()

    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == -(-len(words.encode()) // 4)
    assert message.content[0].type == "text"
    assert words == message.content[0].text
    kinds = [event.type for event in client.messages.create(**ASKED, stream=True)]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"


def test_the_cache_may_be_warmed_with_no_output(client: Anthropic) -> None:
    assert client.messages.create(**{**ASKED, "max_tokens": 0}).usage.output_tokens == 0


def test_a_count_is_the_input_of_the_message(client: Anthropic) -> None:
    counted = client.messages.count_tokens(model=MODEL, messages=ASKED["messages"])

    assert counted.input_tokens == client.messages.create(**ASKED).usage.input_tokens


def test_models_are_listed_page_by_page_and_found_by_id_and_alias(client: Anthropic) -> None:
    models = list(client.models.list(limit=4))

    assert models[0].id == "simulator"
    assert len({model.id for model in models}) == len(models) > 20
    assert all(model.capabilities is not None and model.capabilities.batch.supported for model in models)
    assert client.models.retrieve("claude-haiku-4-5") == client.models.retrieve(MODEL) == models[_place(models, MODEL)]
    with pytest.raises(anthropic.NotFoundError, match="model: nobody"):
        client.models.retrieve("nobody")


def _place(models: list[Any], name: str) -> int:
    return [model.id for model in models].index(name)


def test_wrong_params_are_refused_with_our_request_id(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model: nobody") as refused:
        client.messages.create(**{**ASKED, "model": "nobody"})
    assert refused.value.body["request_id"] == refused.value.request_id  # type: ignore[index]
    with (
        pytest.raises(anthropic.BadRequestError, match="max_tokens"),
        client.messages.stream(**{**ASKED, "max_tokens": -1}),
    ):
        pass
    with pytest.raises(anthropic.BadRequestError, match="messages"):
        client.messages.count_tokens(model=MODEL, messages=[])


def test_the_asynchronous_client_and_the_beta_namespace(server: ServerProcess) -> None:
    async def scenario() -> None:
        async with AsyncAnthropic(base_url=server.url, api_key="any") as client:
            plain, counted, found = await asyncio.gather(
                client.beta.messages.create(**ASKED, betas=["x"]),
                client.beta.messages.count_tokens(model=MODEL, messages=ASKED["messages"]),
                client.beta.models.retrieve(MODEL),
            )
            async with client.messages.stream(**ASKED) as stream:
                message = await stream.get_final_message()
            assert message.usage.input_tokens == plain.usage.input_tokens
            assert counted.input_tokens == plain.usage.input_tokens
            assert found.id in [model.id async for model in client.models.list()]

    asyncio.run(scenario())


def test_params_reach_an_upstream_byte_for_byte_and_ahead_of_a_batch(tmp_path: Path) -> None:
    raw = json.dumps({**ASKED, "n": 2**70, "z": "\u00fc\\/"}).encode() + b"\n "
    with CountingUpstream(latency=0.3) as upstream:
        options = ("--upstream", upstream.url, "--concurrency", "2")
        with ServerProcess(tmp_path / "data", *options) as server:
            batch = server.create(200)
            began = time.monotonic()
            answer = server.call("POST", "/v1/messages", raw)

            assert answer["type"] == "message"
            assert upstream.calls[raw] == 1
            assert upstream.most_in_flight <= 2
            assert server.call("GET", f"/v1/messages/batches/{batch['id']}")["processing_status"] == "in_progress"
            assert time.monotonic() - began < 0.3 * 100


def test_a_client_that_goes_away_in_mid_stream_frees_the_slot(tmp_path: Path) -> None:
    slow = {"BATCHYARD_SIMULATOR_TOKENS_PER_SECOND": "0.5", "BATCHYARD_SIMULATOR_LATENCY": "0s"}
    with ServerProcess(tmp_path / "data", "--concurrency", "1", environ=slow) as server:
        body = json.dumps({**ASKED, "stream": True}).encode()
        parts = urlsplit(server.url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as client:
            client.sendall(
                b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: a\r\nanthropic-version: 2023-06-01\r\n"
                b"content-length: %d\r\n\r\n%b" % (len(body), body)
            )
            heard = b""
            while b"content_block_start" not in heard:
                heard += client.recv(65536)
        assert heard.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"content-type: text/event-stream" in heard

        small = json.dumps({**ASKED, "max_tokens": 1}).encode()
        assert server.call("POST", "/v1/messages", small)["stop_reason"] == "max_tokens"


def test_a_stop_lets_a_call_in_flight_finish(tmp_path: Path) -> None:
    answers: list[tuple[int, bytes]] = []
    with (
        CountingUpstream(latency=2.0) as upstream,
        ServerProcess(tmp_path / "data", "--upstream", upstream.url) as server,
    ):
        raw = json.dumps(ASKED).encode()
        asking = threading.Thread(target=lambda: answers.append(server.raw("POST", "/v1/messages", raw)))
        asking.start()
        deadline = time.monotonic() + 30
        while not upstream.in_flight:
            assert time.monotonic() < deadline
            time.sleep(0.01)

        assert server.stop() == 0

        asking.join(10)
        assert [status for status, _ in answers] == [200]
