"""SIGKILL at random moments: no result is lost, and each kill repeats at most as many calls as there are slots."""

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import CountingUpstream, ServerProcess

SLOTS = 20
READY_SECONDS, LARGE_READY_SECONDS = 3.0, 5.0
"""Of CPU until a restarted server listens: with nothing else to do the wall clock says the same."""


def counts_of(batch: dict[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = batch["request_counts"]
    return counts


def cpu_seconds(server: ServerProcess) -> float:
    """Return what the process has spent since it was started."""
    assert server.process is not None
    words = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def killed_batch(
    folder: Path, *, requests: int, kills: int, seed: int, slots: int = SLOTS, latency: float = 0.02
) -> None:
    """Kill a server so often while it runs one batch; check what must hold after each kill and at the end."""
    chance = random.Random(seed)
    slowest = 0.0
    with CountingUpstream(latency) as upstream:
        server = ServerProcess(folder / "data", "--upstream", upstream.url, "--concurrency", str(slots))
        server.start()
        batch_id = server.create(requests)["id"]
        path = f"/v1/messages/batches/{batch_id}"
        done_before = 0
        for _ in range(kills):
            time.sleep(chance.uniform(0.0, 2.0 * requests * latency / slots / kills))
            server.kill()
            server.start()
            slowest = max(slowest, cpu_seconds(server))
            counts = counts_of(server.call("GET", path))
            assert sum(counts.values()) == requests
            assert counts["succeeded"] >= done_before
            done_before = counts["succeeded"]
        deadline = time.monotonic() + 120
        while server.call("GET", path)["processing_status"] != "ended":
            assert time.monotonic() < deadline, server.log()[-2000:]
            time.sleep(0.1)

        assert counts_of(server.call("GET", path)) == {
            "processing": 0,
            "succeeded": requests,
            "errored": 0,
            "canceled": 0,
            "expired": 0,
        }
        lines = server.results(batch_id)
        assert [line["custom_id"] for line in lines] == [f"r{number}" for number in range(requests)]
        texts = [line["result"]["message"]["content"][0]["text"] for line in lines]
        assert texts == [f"hello {number}" for number in range(requests)]
        assert len(upstream.calls) == requests
        assert upstream.most_in_flight <= 2 * slots  # a killed server's calls run on at the upstream for a moment
        assert upstream.repeated <= slots * kills
        assert server.stop() == 0
        attempts = ledger_attempts(folder / "data")
        assert sum(upstream.calls.values()) <= attempts <= sum(upstream.calls.values()) + slots * kills
        assert slowest <= READY_SECONDS
        repeated = upstream.repeated
    sys.stdout.write(f"{kills} kills: {repeated} calls repeated, ready after {slowest:.2f} s of CPU at most\n")


def ledger_attempts(data: Path) -> int:
    """The server's own count of calls: the sum over the ledgers of all batches."""
    total = 0
    for path in data.rglob("*.ledger"):
        content = path.read_bytes()
        total += sum(json.loads(line)["attempts"] for line in content.split(b"\n") if line.startswith(b'{"seq"'))
    return total


def test_ten_kills_lose_nothing_and_repeat_little(tmp_path: Path) -> None:
    killed_batch(tmp_path, requests=1_000, kills=10, seed=1)


@pytest.mark.accept
def test_five_hundred_kills_of_a_batch_of_20000(tmp_path: Path) -> None:
    killed_batch(tmp_path, requests=20_000, kills=500, seed=2, slots=50, latency=0.1)


@pytest.mark.accept
def test_a_large_batch_that_is_half_done_is_ready_soon_after_a_kill(tmp_path: Path) -> None:
    """Three kills; the rest is run to its end, and each request has its own answer once."""
    requests, slots = 100_000, 64
    with CountingUpstream(0.0) as upstream:
        server = ServerProcess(tmp_path / "data", "--upstream", upstream.url, "--concurrency", str(slots))
        server.start()
        path = f"/v1/messages/batches/{server.create(requests)['id']}"
        for share in (0.3, 0.5, 0.7):
            until = time.monotonic() + 600
            while counts_of(server.call("GET", path))["succeeded"] < share * requests:
                assert time.monotonic() < until
                time.sleep(0.1)
            server.kill()
            began = time.monotonic()
            server.start()
            spent = cpu_seconds(server)
            sys.stdout.write(f"at {share:.0%}: ready after {spent:.2f} s of CPU, {time.monotonic() - began:.2f} s\n")
            assert spent <= LARGE_READY_SECONDS
        until = time.monotonic() + 600
        while server.call("GET", path)["processing_status"] != "ended":
            assert time.monotonic() < until
            time.sleep(0.2)
        lines = server.results(path.rpartition("/")[2])
        assert [line["custom_id"] for line in lines] == [f"r{number}" for number in range(requests)]
        assert all(line["result"]["message"]["content"][0]["text"] == f"hello {n}" for n, line in enumerate(lines))
        assert len(upstream.calls) == requests
        assert upstream.repeated <= 3 * slots
        assert server.stop() == 0
