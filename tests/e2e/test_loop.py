"""The event loop of a real server never stalls, whatever bodies it is given and while it streams results."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.processes import HEADERS, CountingUpstream, ServerProcess
from tests.e2e.test_heavy import MB, Shape, create, filled, large_requests, peak_mb, small_requests

LONGEST_MS = 100.0
RESULTS_MB = 16
SCRIPT = Path(__file__).with_name("watched_server.py")


def numbers(size: int) -> Iterator[bytes]:
    """Requests that are all numbers."""
    return filled(size, b',"pad":[0', b",1", b"]")


def brackets(size: int) -> Iterator[bytes]:
    """Requests that are all brackets and escapes."""
    return filled(size, b',"pad":[[]', rb',["\""]', b"]")


def towers(size: int) -> Iterator[bytes]:
    """Requests that are all brackets 400 deep."""
    return filled(size, b',"pad":[[]', b"," + b"[" * 400 + b"]" * 400, b"]")


def members(size: int) -> Iterator[bytes]:
    """Requests that are all members of one name."""
    return filled(size, b"", b',"a":1', b"")


def wide(size: int) -> Iterator[bytes]:
    """Requests whose text is not ASCII."""
    return filled(size, b',"pad":"', "ü".encode(), b'"')


def blanks(size: int) -> Iterator[bytes]:
    """Requests that are all blanks in one run."""
    return filled(size, b',"pad":[0', b" " * 64, b"]")


class WatchedServer(ServerProcess):
    """Its loop ticks, and tells of the longest turn."""

    def __init__(self, data: Path, /, *options: str) -> None:
        super().__init__(data, *options)
        self.report = data.parent / "turns.json"
        self.program = (str(SCRIPT), str(self.report))

    def told(self) -> dict[str, Any]:
        """Return what was told after this call began."""
        since = time.time()
        while not self.report.exists() or self.report.stat().st_mtime < since:
            time.sleep(0.05)
        told: dict[str, Any] = json.loads(self.report.read_text())
        return told


@contextmanager
def downloads(server: ServerProcess, batch_id: str) -> Iterator[list[int]]:
    """Download the results over and over while it is open; yields the sizes of those that came whole."""
    sizes: list[int] = []
    stop = threading.Event()

    def work() -> None:
        parts = urlsplit(server.url)
        while not stop.is_set():
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=600)
            try:
                connection.request("GET", f"/v1/messages/batches/{batch_id}/results", headers=HEADERS)
                answer = connection.getresponse()
                size = 0
                while part := answer.read(64 * 1024):
                    size += len(part)
                sizes.append(size)
            finally:
                connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield sizes
    finally:
        stop.set()
        thread.join()


def ended_batch(server: ServerProcess, megabytes: int) -> str:
    """Run a batch whose results have so many MB, then let nothing more run."""
    params = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "a" * (MB // 2)}]}
    requests = [{"custom_id": f"r{number}", "params": params} for number in range(2 * megabytes)]
    made: str = server.call("POST", "/v1/messages/batches", json.dumps({"requests": requests}).encode())["id"]
    until = time.monotonic() + 300
    while server.call("GET", f"/v1/messages/batches/{made}")["processing_status"] != "ended":
        assert time.monotonic() < until
        time.sleep(0.2)
    server.call("POST", "/batchyard/v1/lanes/upstream/pause")
    return made


def forget_peak(server: ServerProcess) -> None:
    """Let the peak of its memory begin anew at what it has now."""
    assert server.process is not None
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


def creates(server: ServerProcess, shape: Shape, size: int, count: int) -> None:
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(create(server, shape(size)))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * count


def turns(folder: Path, shape: Shape, size: int, count: int, results_mb: int = 32) -> dict[str, Any]:
    """Return what the loop tells of so many creates at once, beside a download."""
    with CountingUpstream(0.0) as upstream, WatchedServer(folder / "data", "--upstream", upstream.url) as server:
        batch_id = ended_batch(server, results_mb)
        with downloads(server, batch_id) as sizes:
            creates(server, shape, size, count)
        assert sizes
        assert set(sizes) == {sizes[0]}
        return server.told()


@pytest.mark.accept
@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("shape", [small_requests, large_requests, numbers, brackets, towers, members, wide, blanks])
def test_creates_of_256_mb_stall_no_download(tmp_path: Path, shape: Shape, count: int) -> None:
    told = turns(tmp_path, shape, 250 * MB, count)

    assert told["turns"] > 1000
    assert told["longest_ms"] < LONGEST_MS, told
    assert told["process_ms"] < LONGEST_MS, told


def test_creates_of_40_mb_stall_no_download(tmp_path: Path) -> None:
    told = turns(tmp_path, large_requests, 40 * MB, 2, results_mb=4)

    assert told["turns"] > 100
    assert told["longest_ms"] < LONGEST_MS, told


@pytest.mark.accept
def test_results_stream_within_16_mb(tmp_path: Path) -> None:
    with CountingUpstream(0.0) as upstream, ServerProcess(tmp_path / "data", "--upstream", upstream.url) as server:
        batch_id = ended_batch(server, 250)
        forget_peak(server)
        before = peak_mb(server)
        with downloads(server, batch_id) as first, downloads(server, batch_id) as second:
            while len(first) + len(second) < 4:
                time.sleep(0.1)
        assert {*first, *second} == {first[0]}
        assert first[0] > 250 * MB
        assert peak_mb(server) - before <= RESULTS_MB
