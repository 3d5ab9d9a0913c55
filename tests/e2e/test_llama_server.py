"""A batch over llama.cpp's own server, in both of its dialects: what a real model server answers, and how it fails.

Built once from source by ``make accept``. The model is random: what it says means nothing, but every way to stop, to
refuse and to break is the server's own.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import llama
from tests.e2e.llama import LlamaServer
from tests.e2e.processes import ServerProcess

pytestmark = pytest.mark.accept

Params = dict[str, Any]
DIALECTS = ["messages", "chat-completions", "messages, streamed", "chat-completions, streamed"]
TABLE = """
[upstreams.llama]
url = "{url}"
api = "{api}"
stream = {stream}
concurrency = {concurrency}
{more}
"""
WAIT_SECONDS = 240.0


@pytest.fixture(scope="module")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    llama.build()
    with LlamaServer(tmp_path_factory.mktemp("llama")) as server:
        yield server


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(llama_server: LlamaServer, dialect: str, tmp_path: Path) -> Iterator[ServerProcess]:
    with batchyard(llama_server, dialect, tmp_path) as started:
        yield started


def batchyard(upstream: LlamaServer, dialect: str, folder: Path, concurrency: int = 8, more: str = "") -> ServerProcess:
    api, _, streamed = dialect.partition(", ")
    stream = "true" if streamed else "false"
    tables = TABLE.format(url=upstream.url, api=api, stream=stream, concurrency=concurrency, more=more)
    (folder / "batchyard.toml").write_text(tables)
    return ServerProcess(folder / "data")


def params(text: str = "one two", **more: Any) -> Params:
    return {"model": "tiny", "max_tokens": 8, "messages": [{"role": "user", "content": text}], **more}


def run_batch(server: ServerProcess, requests: list[Params]) -> list[dict[str, Any]]:
    """Return the result lines of a batch, in the order of its requests."""
    batch = created(server, requests)
    ended(server, batch)
    return server.results(batch)


def created(server: ServerProcess, requests: list[Params]) -> str:
    entries = [{"custom_id": f"r{number}", "params": one} for number, one in enumerate(requests)]
    return str(server.call("POST", "/v1/messages/batches", json.dumps({"requests": entries}).encode())["id"])


def ended(server: ServerProcess, batch: str) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while server.call("GET", f"/v1/messages/batches/{batch}")["processing_status"] != "ended":
        assert time.monotonic() < until, server.log()[-2000:]
        time.sleep(0.05)


def succeeded(server: ServerProcess, batch: str, count: int) -> None:
    """Wait until so many of a batch have."""
    until = time.monotonic() + WAIT_SECONDS
    while server.call("GET", f"/v1/messages/batches/{batch}")["request_counts"]["succeeded"] < count:
        assert time.monotonic() < until, server.log()[-2000:]
        time.sleep(0.02)


def wait_until_one_hung(server: ServerProcess) -> None:
    none = 'batchyard_attempts_total{outcome="hung",upstream="llama"} 0.0'
    until = time.monotonic() + WAIT_SECONDS
    while none in server.raw("GET", "/metrics")[1].decode():
        assert time.monotonic() < until, server.log()[-2000:]
        time.sleep(0.05)


def outcomes(server: ServerProcess, batch: str) -> Counter[str]:
    """How often each outcome is in the batch's ledger."""
    status, ledger = server.raw("GET", f"/batchyard/v1/batches/{batch}/attempts")
    assert status == 200
    return Counter(trace[0] for line in ledger.splitlines() for trace in json.loads(line)["traces"])


def messages(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    assert {line["result"]["type"] for line in lines} == {"succeeded"}, lines
    return [line["result"]["message"] for line in lines]


def text(message: dict[str, Any]) -> str:
    assert [block["type"] for block in message["content"]] == ["text"]
    return str(message["content"][0]["text"])


def test_a_plain_request_is_answered_as_the_messages_api_would(server: ServerProcess) -> None:
    [message] = messages(run_batch(server, [params()]))

    assert message["id"].startswith("msg_")
    assert (message["type"], message["role"]) == ("message", "assistant")
    assert (message["stop_reason"], message["stop_sequence"]) == ("max_tokens", None)
    assert text(message)
    assert message["usage"]["output_tokens"] == 8
    assert message["usage"]["input_tokens"] + message["usage"]["cache_read_input_tokens"] > 8


def test_a_system_prompt_reaches_the_model(server: ServerProcess) -> None:
    plain, told = messages(run_batch(server, [params(), params(system=[{"type": "text", "text": "red blue " * 20}])]))

    def given(message: dict[str, Any]) -> int:
        usage: dict[str, int] = message["usage"]
        return usage["input_tokens"] + usage["cache_read_input_tokens"]

    assert given(told) > given(plain) + 40


def test_a_stop_sequence_is_met_and_named(server: ServerProcess, dialect: str) -> None:
    [message] = messages(run_batch(server, [params(max_tokens=400, stop_sequences=["e", "a", "o", "n"])]))

    assert message["usage"]["output_tokens"] < 400
    assert not set("eaon") & set(text(message) if message["content"] else "")
    if dialect.startswith("messages"):
        assert message["stop_reason"] == "stop_sequence"
        assert message["stop_sequence"] in {"e", "a", "o", "n"}
    else:  # its chat completions do not say what stopped them
        assert (message["stop_reason"], message["stop_sequence"]) == ("end_turn", None)


def test_more_requests_than_it_has_slots_are_all_answered_once(
    server: ServerProcess, llama_server: LlamaServer
) -> None:
    before = llama_server.metric("tokens_predicted_total")
    requests = [params(f"number {number}", max_tokens=5 + number % 7) for number in range(200)]

    answers = messages(run_batch(server, requests))

    assert [one["usage"]["output_tokens"] for one in answers] == [one["max_tokens"] for one in requests]
    assert len({one["id"] for one in answers}) == 200
    said = llama_server.metric("tokens_predicted_total") - before
    assert said == sum(one["max_tokens"] for one in requests)


BAD: list[Params] = [
    params("x" * 9000),
    params(""),
    params([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}]),  # type: ignore[arg-type]
    params(5),  # type: ignore[arg-type]
]


def test_a_bad_request_is_errored_at_once_and_its_neighbours_are_answered(
    server: ServerProcess, llama_server: LlamaServer
) -> None:
    batch = created(server, [*BAD, params()])
    ended(server, batch)
    *bad, good = server.results(batch)

    assert good["result"]["type"] == "succeeded"
    assert [line["result"]["type"] for line in bad] == ["errored"] * len(BAD), bad
    kinds = [line["result"]["error"]["error"]["type"] for line in bad]
    assert kinds == ["invalid_request_error"] * len(BAD), bad
    assert outcomes(server, batch) == {"refused": len(BAD), "answered": 1}  # none of them is tried again


def test_tokens_are_counted_by_the_server_itself(server: ServerProcess, dialect: str) -> None:
    body = json.dumps(params()).encode()

    status, answer = server.raw("POST", "/v1/messages/count_tokens", body)

    if dialect.startswith("messages"):
        assert status == 200
        [message] = messages(run_batch(server, [params("another prompt of other words"), params()]))[1:]
        usage = message["usage"]
        assert json.loads(answer)["input_tokens"] == usage["input_tokens"] + usage["cache_read_input_tokens"]
    else:
        assert (status, json.loads(answer)["error"]["type"]) == (404, "not_found_error")


def test_a_caller_can_stream(server: ServerProcess) -> None:
    status, events = server.raw("POST", "/v1/messages", json.dumps(params(stream=True)).encode())

    assert status == 200
    kinds = Counter(line for line in events.decode().splitlines() if line.startswith("event: "))
    assert kinds["event: message_start"] == kinds["event: message_stop"] == 1
    assert kinds["event: content_block_delta"] >= 1


def test_a_server_that_is_killed_and_comes_back_costs_no_line(dialect: str, tmp_path: Path) -> None:
    llama.build()
    with LlamaServer(tmp_path) as upstream, batchyard(upstream, dialect, tmp_path, concurrency=4) as server:
        batch = created(server, [params(f"{number}", max_tokens=100) for number in range(60)])
        succeeded(server, batch, 5)
        upstream.kill()
        threading.Timer(1.0, upstream.start).start()
        ended(server, batch)

        lines = server.results(batch)
        assert Counter(line["result"]["type"] for line in lines) == {"succeeded": 60}, lines
        assert all(message["usage"]["output_tokens"] == 100 for message in messages(lines))
        seen = outcomes(server, batch)
        assert seen["answered"] == 60
        assert 1 <= seen["unknown"] <= 4, seen  # what was in flight at the kill, and nothing else
        assert set(seen) <= {"answered", "unknown", "notstarted"}, seen


@pytest.mark.parametrize("dialect", [one for one in DIALECTS if "streamed" in one])
def test_a_server_that_falls_silent_is_left_long_before_its_calls_time_out(dialect: str, tmp_path: Path) -> None:
    """Its calls are given up after five seconds without a word, not after the ten minutes that one may take."""
    llama.build()
    limits = 'silence = "5s"\nfirst_byte = "5s"'
    lengths = [300 + 100 * (number % 5) for number in range(16)]  # so that not all end at the same time
    with LlamaServer(tmp_path) as upstream, batchyard(upstream, dialect, tmp_path, 4, limits) as server:
        batch = created(server, [params(f"{number}", max_tokens=length) for number, length in enumerate(lengths)])
        succeeded(server, batch, 4)

        upstream.freeze()
        try:
            wait_until_one_hung(server)
        finally:
            upstream.thaw()
        ended(server, batch)

        lines = server.results(batch)
        assert Counter(line["result"]["type"] for line in lines) == {"succeeded": 16}, lines
        assert [message["usage"]["output_tokens"] for message in messages(lines)] == lengths
        seen = outcomes(server, batch)
        assert seen["answered"] == 16
        assert 1 <= seen["hung"] <= 4, seen
        assert set(seen) <= {"answered", "hung", "notstarted"}, seen
