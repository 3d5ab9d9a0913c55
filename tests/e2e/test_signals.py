"""Stops that are asked for, and a process that is frozen and thawed: no call is made twice, no answer is lost."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.processes import CountingUpstream, ServerProcess

SLOTS = 20
BATCHES = "/v1/messages/batches"


def run_to_the_end(server: ServerProcess, batch: str, requests: int) -> None:
    deadline = time.monotonic() + 120
    while server.call("GET", f"{BATCHES}/{batch}")["processing_status"] != "ended":
        assert time.monotonic() < deadline, server.log()[-2000:]
        time.sleep(0.1)
    lines = server.results(batch)
    assert [line["custom_id"] for line in lines] == [f"r{number}" for number in range(requests)]
    assert [line["result"]["message"]["content"][0]["text"] for line in lines] == [
        f"hello {n}" for n in range(requests)
    ]


def stopped_batch(folder: Path, *, requests: int, stops: int, seed: int) -> None:
    """Stop a server so often while it runs one batch, as an upgrade does, and start it again."""
    chance = random.Random(seed)
    with CountingUpstream(latency=0.05) as upstream:
        server = ServerProcess(folder / "data", "--upstream", upstream.url, "--concurrency", str(SLOTS))
        with server:
            batch = server.create(requests)["id"]
            before = 0
            for _ in range(stops):
                time.sleep(chance.uniform(0.0, 1.5 * requests * upstream.latency / SLOTS / stops))
                assert server.stop() == 0
                assert upstream.in_flight == 0
                stored = sum(upstream.calls.values())
                server.start()
                counts = server.call("GET", f"{BATCHES}/{batch}")["request_counts"]
                assert before <= counts["succeeded"]
                before = counts["succeeded"]
                assert stored <= before + 1  # each answer was stored; one is held back from the counts until the end
            run_to_the_end(server, batch, requests)
            assert upstream.repeated == 0
            assert len(upstream.calls) == requests


def test_five_stops_repeat_no_call_and_lose_no_answer(tmp_path: Path) -> None:
    stopped_batch(tmp_path, requests=600, stops=5, seed=1)


@pytest.mark.accept
def test_fifty_stops_in_one_batch(tmp_path: Path) -> None:
    stopped_batch(tmp_path, requests=4_000, stops=50, seed=2)


def frozen_batch(folder: Path, *, requests: int, freezes: int) -> None:
    """Freeze a server for longer than its lease, again and again, while it has calls in flight."""
    with CountingUpstream(latency=0.4) as upstream:
        options = ("--upstream", upstream.url, "--concurrency", str(SLOTS))
        with ServerProcess(folder / "data", *options, environ={"BATCHYARD_LEASE": "500ms"}) as server:
            batch = server.create(requests)["id"]
            assert server.process is not None
            for _ in range(freezes):
                time.sleep(0.7)
                os.kill(server.process.pid, signal.SIGSTOP)
                time.sleep(1.5)
                sent = sum(upstream.calls.values())
                time.sleep(0.2)
                assert sum(upstream.calls.values()) == sent
                os.kill(server.process.pid, signal.SIGCONT)
            run_to_the_end(server, batch, requests)
            assert upstream.repeated == 0
            assert '"bug_found"' not in server.log()


def test_a_frozen_and_thawed_server_repeats_no_call(tmp_path: Path) -> None:
    frozen_batch(tmp_path, requests=150, freezes=2)


@pytest.mark.accept
def test_a_server_that_is_frozen_thirty_times_repeats_no_call(tmp_path: Path) -> None:
    frozen_batch(tmp_path, requests=1_500, freezes=30)
