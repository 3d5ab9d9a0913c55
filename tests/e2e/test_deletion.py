"""What is deleted, or has outlived its retention, is gone from the disk: database, log, payloads, everything."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.processes import CountingUpstream, ServerProcess

BATCHES = "/v1/messages/batches"
SECRET = b"marzipan"
NAME = b"quince"


def files_with(folder: Path, *words: bytes) -> list[str]:
    """The files, of whatever name, that hold one of the words."""
    found = []
    for path in folder.rglob("*"):
        try:
            content = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:
            continue
        if any(word in content for word in words):
            found.append(path.name)
    return found


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def create(server: ServerProcess, word: bytes, name: bytes, requests: int = 60) -> str:
    """Create a batch whose params say the word, as its answers will, and whose custom_ids begin with the name."""
    params = {"model": "m", "max_tokens": 20, "messages": [{"role": "user", "content": f"{word.decode()} " * 40}]}
    body = {"requests": [{"custom_id": f"{name.decode()}{n}", "params": params} for n in range(requests)]}
    batch: str = server.call("POST", BATCHES, json.dumps(body).encode())["id"]
    return batch


def is_ended(server: ServerProcess, batch: str) -> Callable[[], bool]:
    return lambda: bool(server.call("GET", f"{BATCHES}/{batch}")["processing_status"] == "ended")


@pytest.mark.parametrize("ends_by", ["running", "cancel"])
def test_nothing_of_a_deleted_batch_is_left_while_others_run(tmp_path: Path, ends_by: str) -> None:
    data = tmp_path / "data"
    with (
        CountingUpstream(latency=0.02) as upstream,
        ServerProcess(data, "--upstream", upstream.url, "--concurrency", "4") as server,
    ):
        doomed = create(server, SECRET, NAME)
        kept = create(server, b"sultana", b"medlar", requests=2_000)
        if ends_by == "cancel":
            until(lambda: server.call("GET", f"{BATCHES}/{doomed}")["request_counts"]["succeeded"] > 3)
            server.call("POST", f"{BATCHES}/{doomed}/cancel")
        until(is_ended(server, doomed))
        assert server.raw("GET", f"{BATCHES}/{doomed}/results")[0] == 200
        assert files_with(data, SECRET, NAME)

        server.call("DELETE", f"{BATCHES}/{doomed}")
        until(lambda: not files_with(data, SECRET, NAME))
        assert not is_ended(server, kept)(), "the log was emptied while others ran"
        assert files_with(data, b"sultana", b"medlar")
        assert files_with(tmp_path, SECRET, NAME) == [], "nor may the logs have it"
        server.kill()
        server.start()
        time.sleep(1.0)
        assert files_with(tmp_path, SECRET, NAME) == []


def test_nothing_of_a_batch_is_left_after_its_retention(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ServerProcess(data, environ={"BATCHYARD_RETAIN_RESULTS_FOR": "4s"}) as server:
        batch = create(server, SECRET, NAME)
        until(is_ended(server, batch))
        until(lambda: server.raw("GET", f"{BATCHES}/{batch}/results")[0] == 404)
        until(lambda: not files_with(data, SECRET, NAME))
        assert server.call("GET", f"{BATCHES}/{batch}")["archived_at"] is not None
        assert list((data / "blobs").iterdir()) == []


def test_nothing_of_a_create_that_was_refused_or_cut_is_left(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ServerProcess(data) as server:
        params = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": SECRET.decode() * 99}]}
        twice = [{"custom_id": "same", "params": params}] * 2
        assert server.raw("POST", BATCHES, json.dumps({"requests": twice}).encode())[0] == 400
        until(lambda: not files_with(tmp_path, SECRET), 10)
        assert list((data / "blobs").iterdir()) == []
