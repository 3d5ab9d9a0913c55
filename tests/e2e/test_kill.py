"""SIGKILL at random moments: no result is lost, and each kill repeats at most as many calls as there are slots."""

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import CountingUpstream, ServerProcess

SLOTS = 20


def counts_of(batch: dict[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = batch["request_counts"]
    return counts


def killed_batch(folder: Path, *, requests: int, kills: int, seed: int) -> None:
    """Kill a server so often while it runs one batch; check what must hold after each kill and at the end."""
    chance = random.Random(seed)
    with CountingUpstream(latency=0.02) as upstream:
        server = ServerProcess(folder / "data", "--upstream", upstream.url, "--concurrency", str(SLOTS))
        server.start()
        batch_id = server.create(requests)["id"]
        path = f"/v1/messages/batches/{batch_id}"
        done_before = 0
        for _ in range(kills):
            time.sleep(chance.uniform(0.0, 2.0 * requests * upstream.latency / SLOTS / kills))
            server.kill()
            server.start()
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
        assert upstream.most_in_flight <= 2 * SLOTS  # a killed server's calls run on at the upstream for a moment
        assert upstream.repeated <= SLOTS * kills
        assert server.stop() == 0
        attempts = ledger_attempts(folder / "data")
        assert sum(upstream.calls.values()) <= attempts <= sum(upstream.calls.values()) + SLOTS * kills


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
@pytest.mark.parametrize("seed", [2, 3])
def test_fifty_kills_of_a_batch_of_5000(tmp_path: Path, seed: int) -> None:
    killed_batch(tmp_path, requests=5_000, kills=50, seed=seed)
