"""A server that does a bit of everything, round after round: what it holds stays the same."""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.processes import CountingUpstream, ServerProcess

BATCHES = "/v1/messages/batches"
MESSAGE = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
HOUR = 3600.0


@dataclass(frozen=True)
class Held:
    """What a process holds, and what lies in its folder."""

    memory_kb: int
    descriptors: int
    threads: int
    files: int
    database_bytes: int


def held(server: ServerProcess) -> Held:
    assert server.process is not None
    proc = Path(f"/proc/{server.process.pid}")
    status = proc.joinpath("status").read_text()
    number = {name: int(status.partition(f"{name}:")[2].split()[0]) for name in ("VmRSS", "Threads")}
    data = server.data
    size = sum(path.stat().st_size for path in data.glob("batchyard.db*"))
    return Held(
        number["VmRSS"],
        len(list(proc.joinpath("fd").iterdir())),
        number["Threads"],
        len(list(data.joinpath("blobs").iterdir())),
        size,
    )


def wait_for(server: ServerProcess, batch: str) -> None:
    deadline = time.monotonic() + 120
    while server.call("GET", f"{BATCHES}/{batch}")["processing_status"] != "ended":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def one_round(server: ServerProcess, number: int) -> None:
    """Create, run, read and delete; cancel; a call that somebody waits for; calls that are refused."""
    done = server.create(20, words=f"round {number}")["id"]
    canceled = server.create(20, words=f"canceled {number}")["id"]
    assert server.raw("POST", f"{BATCHES}/{canceled}/cancel")[0] in {200, 400}  # 400: it was done before
    assert server.raw("POST", "/v1/messages", json.dumps(MESSAGE).encode())[0] == 200
    assert (
        server.raw("POST", BATCHES, b'{"requests": [{"custom_id": "a", "params": {}}, {"custom_id": "a"}]}')[0] == 400
    )
    assert server.raw("GET", f"{BATCHES}/msgbatch_01{number:022d}/results")[0] == 404
    for batch in (done, canceled):
        wait_for(server, batch)
        assert len(server.results(batch)) == 20
        server.call("DELETE", f"{BATCHES}/{batch}")


def rounds(folder: Path, *, warm: int, goes_on: Callable[[int], bool]) -> tuple[int, Held, Held]:
    """Return how many rounds it were, what was held after the first so many, and what at the end."""
    with (
        CountingUpstream(latency=0.001) as upstream,
        ServerProcess(folder / "data", "--upstream", upstream.url, "--concurrency", "8") as server,
    ):
        number = 0
        while number < warm:
            one_round(server, number)
            number += 1
        time.sleep(1.5)
        before = held(server)
        while goes_on(number):
            one_round(server, number)
            number += 1
        time.sleep(1.5)
        after = held(server)
        assert server.stop() == 0
        assert '"bug_found"' not in server.log()
        return number, before, after


def is_steady(before: Held, after: Held, *, more_kb: int) -> bool:
    return (
        after.memory_kb <= before.memory_kb + more_kb
        and after.descriptors <= before.descriptors + 4
        and after.threads <= before.threads + 2
        and after.files == 0
        and after.database_bytes <= before.database_bytes + 512 * 1024
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
def test_thirty_rounds_leave_nothing_behind(tmp_path: Path) -> None:
    _, before, after = rounds(tmp_path, warm=15, goes_on=lambda number: number < 45)

    assert is_steady(before, after, more_kb=6_000), (before, after)


@pytest.mark.accept
def test_an_hour_leaves_nothing_behind(tmp_path: Path) -> None:
    """``LEAK_SECONDS`` makes it shorter; say so when you quote it."""
    seconds = float(os.environ.get("LEAK_SECONDS", HOUR))
    until = time.monotonic() + seconds
    number, before, after = rounds(tmp_path, warm=300, goes_on=lambda _number: time.monotonic() < until)

    sys.stdout.write(f"{number} rounds in {seconds:g} s: {before} then {after}\n")
    assert is_steady(before, after, more_kb=16_000), (before, after)
