"""Large creates against a real server: what they add to its memory, and how long others wait."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.processes import HEADERS, ServerProcess

MB = 1024 * 1024


def peak_mb(server: ServerProcess) -> float:
    """The most memory that the process ever had in RAM."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def small_requests(size: int) -> Iterator[bytes]:
    """A body of 100,000 requests."""
    each = size // 100_000 - 120
    params = json.dumps({"model": "simulator", "max_tokens": 1, "messages": [{"role": "user", "content": "a" * each}]})
    yield b'{"requests":['
    for number in range(100_000):
        yield b'%b{"custom_id":"r%d","params":%b}' % (b"," if number else b"", number, params.encode())
    yield b"]}"


def filled(size: int, begin: bytes, one: bytes, end: bytes) -> Iterator[bytes]:
    """A body of requests of just under 32 MB: the model, ``begin``, very many times ``one``, ``end``."""
    yield b'{"requests":['
    for number in range(size // (32 * MB)):
        yield b'%b{"custom_id":"r%d","params":{"model":"simulator"%b' % (b"," if number else b"", number, begin)
        for _ in range(31):
            yield one * (MB // len(one))
        yield end + b"}}"
    yield b"]}"


def large_requests(size: int) -> Iterator[bytes]:
    """Requests that are all text."""
    return filled(size, b',"pad":"', b"a", b'"')


def create(server: ServerProcess, body: Iterator[bytes]) -> int:
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=600)
    try:
        connection.request("POST", "/v1/messages/batches", _portions(body), HEADERS, encode_chunked=True)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def _portions(body: Iterator[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for piece in body:
        held += piece
        if len(held) >= 256 * 1024:
            yield bytes(held)
            held.clear()
    yield bytes(held)


Shape = Callable[[int], Iterator[bytes]]
SHAPES = pytest.mark.parametrize("shape", [small_requests, large_requests])


@contextmanager
def idle_server(folder: Path) -> Iterator[ServerProcess]:
    """A server whose upstream has no hours until long after the test: what is measured are creates alone."""
    hour = (datetime.now(UTC) + timedelta(hours=12)).hour
    windows = f"{hour:02d}:00-{hour:02d}:01"
    (folder / "batchyard.toml").write_text(f'[upstreams.idle]\nurl = "http://127.0.0.1:9"\nwindows = "{windows}"\n')
    with ServerProcess(folder / "data") as server:
        yield server


@pytest.mark.accept
@SHAPES
def test_one_create_of_256_mb_adds_at_most_64_mb(tmp_path: Path, shape: Shape) -> None:
    with idle_server(tmp_path) as server:
        before = peak_mb(server)
        assert create(server, shape(250 * MB)) == 200
        added = peak_mb(server) - before
        assert added <= 64, added


@pytest.mark.accept
@SHAPES
def test_eight_creates_of_256_mb_at_once_add_at_most_400_mb(tmp_path: Path, shape: Shape) -> None:
    with idle_server(tmp_path) as server:
        before = peak_mb(server)
        answers: list[int] = []
        threads = [threading.Thread(target=lambda: answers.append(create(server, shape(250 * MB)))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        added = peak_mb(server) - before
        assert answers == [200] * 8
        assert added <= 400, added


@SHAPES
def test_a_create_of_64_mb_adds_less_than_its_size(tmp_path: Path, shape: Shape) -> None:
    with idle_server(tmp_path) as server:
        before = peak_mb(server)
        assert create(server, shape(64 * MB)) == 200
        added = peak_mb(server) - before
        assert added <= 60, added
