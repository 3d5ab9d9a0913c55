"""A real disk that fills up: creates are refused, nothing more is paid for, and all goes on when there is room."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.processes import CountingUpstream, ServerProcess

MEBIBYTE = 1024 * 1024
BATCHES = "/v1/messages/batches"


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A disk of its own of that size, in memory. Needs the right to mount."""
    folder.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "batchyard-test", str(folder)]
    if mount is None or subprocess.run([mount, *options], capture_output=True, check=False).returncode:
        pytest.skip("a small disk needs the right to mount one (root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Leave so many bytes free."""
    ballast = disk / "ballast"
    free = os.statvfs(disk)
    with ballast.open("wb", buffering=0) as file, suppress(OSError):  # the server writes too, and may be first
        file.write(bytes(max(0, free.f_bavail * free.f_frsize - left)))
        while not left:
            file.write(bytes(4096))
    return ballast


def until(true: "object", seconds: float) -> float:
    """Wait until it is true; return how long that took."""
    assert callable(true)
    began = time.monotonic()
    while not true():
        assert time.monotonic() < began + seconds
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.mark.parametrize("left", [2 * MEBIBYTE, 0])
def test_a_disk_that_fills_up_pauses_and_room_lets_all_go_on(tmp_path: Path, left: int) -> None:
    requests = 1000
    with small_disk(tmp_path / "disk", 40) as disk, CountingUpstream(latency=0.05) as upstream:
        data = disk / "data"
        with ServerProcess(data, "--upstream", upstream.url, "--concurrency", "20") as server:
            batch = server.create(requests)["id"]
            path = f"{BATCHES}/{batch}"
            until(lambda: server.call("GET", path)["request_counts"]["succeeded"] > 100, 30)

            ballast = fill(disk, left)
            until(lambda: server.raw("GET", "/readyz")[0] == 503, 5)
            time.sleep(1.0)
            paused_at = sum(upstream.calls.values())
            time.sleep(2.0)
            assert sum(upstream.calls.values()) == paused_at < requests
            status, refused = server.raw("POST", BATCHES, b'{"requests":[]}')
            assert (status, json.loads(refused)["error"]["type"]) == (529, "overloaded_error")
            assert server.call("GET", path)["request_counts"]["processing"] > 0

            ballast.unlink()
            assert until(lambda: sum(upstream.calls.values()) > paused_at, 10) < 10
            until(lambda: server.call("GET", path)["processing_status"] == "ended", 60)
            assert [line["custom_id"] for line in server.results(batch)] == [f"r{n}" for n in range(requests)]
            assert upstream.repeated == 0
            assert server.create(3)["request_counts"]["processing"] == 3
            assert server.stop() == 0


def test_a_start_on_a_full_disk_serves_or_says_so_in_a_line(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 40) as disk, CountingUpstream(latency=0.05) as upstream:
        data = disk / "data"
        with ServerProcess(data, "--upstream", upstream.url, "--concurrency", "20") as server:
            batch = server.create(500)["id"]
            until(lambda: server.call("GET", f"{BATCHES}/{batch}")["request_counts"]["succeeded"] > 50, 30)
            server.kill()
            ballast = fill(disk, 0)

            command = [sys.executable, "-m", "batchyard", "serve", "--port", "0", "--data", str(data)]
            refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert refused.returncode == 2
            assert "Traceback" not in refused.stderr
            assert "full" in refused.stderr.splitlines()[-1]

            ballast.unlink()
            server.start()
            until(lambda: server.call("GET", f"{BATCHES}/{batch}")["processing_status"] == "ended", 60)
            assert len(server.results(batch)) == 500
            assert upstream.repeated <= 20
