"""Batchyard behind Batchyard, as real processes, killed at either end: one result a line, nothing made twice there."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import CountingUpstream, ServerProcess
from tests.e2e.test_heavy import peak_mb
from tests.e2e.test_kill import ledger_attempts

TABLE = """
[upstreams.far]
url = "{url}"
api = "batches"
key_env = "FAR_KEY"
carrier_requests = {most}
carrier_bytes = 268435456
gather = "100ms"
poll = "500ms"
idempotency_keys = {keyed}
concurrency = 8
"""


def lasting_port() -> int:
    """A free port that no other program is given by chance while its server is dead: those are above 32767."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) != 0:
                return port


class Pair:
    """A far server over a model server that counts, and a near one over the far one. Either may be killed."""

    def __init__(self, folder: Path, model: CountingUpstream, *, most: int, keyed: bool) -> None:
        for name in ("far", "near"):
            (folder / name).mkdir()
        self.far = ServerProcess(
            folder / "far" / "data", "--upstream", model.url, "--concurrency", "20", "--port", str(lasting_port())
        )
        self.far.start()
        table = TABLE.format(url=self.far.url, most=most, keyed=str(keyed).lower())
        (folder / "near" / "batchyard.toml").write_text(table)
        self.near = ServerProcess(folder / "near" / "data", environ={"FAR_KEY": "any"})
        self.near.start()

    def __enter__(self) -> "Pair":
        return self

    def __exit__(self, *_: object) -> None:
        self.near.kill()
        self.far.kill()

    def kill_near(self) -> None:
        self.near.kill()
        self.near.start()

    def kill_far(self) -> None:
        """It comes back at the same address."""
        self.far.kill()
        self.far.start()

    def ended(self, batch_id: str, seconds: float) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while True:
            batch: dict[str, Any] = self.near.call("GET", f"/v1/messages/batches/{batch_id}")
            if batch["processing_status"] == "ended":
                return batch
            assert time.monotonic() < until, (batch, self.near.log()[-3000:], self.far.log()[-1000:])
            time.sleep(0.1)

    def far_batches(self) -> list[dict[str, Any]]:
        page = self.far.call("GET", "/v1/messages/batches?limit=1000")
        listed: list[dict[str, Any]] = page["data"]
        return listed

    def far_settled(self, seconds: float = 30.0) -> list[dict[str, Any]]:
        """Every far batch, once none is at work any more."""
        until = time.monotonic() + seconds
        while True:
            batches = self.far_batches()
            if all(batch["processing_status"] == "ended" for batch in batches):
                return batches
            assert time.monotonic() < until, batches
            time.sleep(0.2)


def killed(folder: Path, *, requests: int, kills: int, seed: int, keyed: bool) -> None:
    chance = random.Random(seed)
    most = max(50, requests // 4)
    with CountingUpstream(latency=0.01) as model, Pair(folder, model, most=most, keyed=keyed) as pair:
        batch_id = pair.near.create(requests)["id"]
        done_before = 0
        for _ in range(kills):
            time.sleep(chance.uniform(0.0, 1.2))
            (pair.kill_near if chance.random() < 0.6 else pair.kill_far)()
            counts = pair.near.call("GET", f"/v1/messages/batches/{batch_id}")["request_counts"]
            assert sum(counts.values()) == requests
            assert counts["succeeded"] >= done_before
            done_before = counts["succeeded"]
        batch = pair.ended(batch_id, 120 + requests / 50)

        assert batch["request_counts"]["succeeded"] == requests, (batch, pair.near.log()[-3000:])
        lines = pair.near.results(batch_id)
        assert [line["custom_id"] for line in lines] == [f"r{number}" for number in range(requests)]
        texts = [line["result"]["message"]["content"][0]["text"] for line in lines]
        assert texts == [f"hello {number}" for number in range(requests)]
        far = pair.far_settled()
        lines_there = Counter(
            json.dumps(line["custom_id"].rpartition("-")[0]) for one in far for line in pair.far.results(one["id"])
        )
        assert sum(one["request_counts"]["succeeded"] for one in far) == requests  # nothing was made twice there
        assert len(lines_there) == len(far)  # each batch there is one carrier's, each carrier has one
        assert len(model.calls) == requests
        _, ledger = pair.near.raw("GET", f"/batchyard/v1/batches/{batch_id}/attempts")
        tried = [json.loads(line) for line in ledger.splitlines()]
        assert all([trace[0] for trace in one["traces"]][-1] == "answered" for one in tried)
        assert sum(one["paid"] for one in tried) == 0
        assert pair.near.stop() == 0
        assert pair.far.stop() == 0
        assert sum(model.calls.values()) <= ledger_attempts(folder / "far" / "data")


@pytest.mark.parametrize("keyed", [True, False])
def test_kills_at_either_end_lose_nothing_and_make_nothing_twice(tmp_path: Path, keyed: bool) -> None:
    killed(tmp_path, requests=300, kills=6, seed=1 + keyed, keyed=keyed)


@pytest.mark.accept
@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("seed", range(10, 15))
def test_many_kills_at_either_end(tmp_path: Path, keyed: bool, seed: int) -> None:
    killed(tmp_path, requests=3_000, kills=30, seed=seed, keyed=keyed)


def test_a_cancel_is_passed_on_and_no_orphan_is_left(tmp_path: Path) -> None:
    with CountingUpstream(latency=0.2) as model, Pair(tmp_path, model, most=1000, keyed=True) as pair:
        batch_id = pair.near.create(400)["id"]
        until = time.monotonic() + 20
        while not model.calls:
            assert time.monotonic() < until
            time.sleep(0.05)
        pair.near.call("POST", f"/v1/messages/batches/{batch_id}/cancel")
        counts = pair.ended(batch_id, 30)["request_counts"]
        far = pair.far_settled()

        assert counts["canceled"] > 0
        assert (
            counts["succeeded"] == sum(model.calls.values()) == sum(one["request_counts"]["succeeded"] for one in far)
        )
        assert counts["canceled"] + counts["succeeded"] == 400


def test_calls_that_somebody_waits_for_go_straight_through(tmp_path: Path) -> None:
    with CountingUpstream() as model, Pair(tmp_path, model, most=1000, keyed=True) as pair:
        asked = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "now"}]}
        message = pair.near.call("POST", "/v1/messages", json.dumps(asked).encode())

        assert message["content"][0]["text"] == "now"
        assert pair.far_batches() == []


def test_a_server_that_takes_batches_is_tried_by_its_list(tmp_path: Path) -> None:
    with CountingUpstream() as model, Pair(tmp_path, model, most=1000, keyed=True) as pair:
        done = subprocess.run(
            [sys.executable, "-m", "batchyard", "upstreams", "test", "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path / "near",
            env={**os.environ, "FAR_KEY": "any"},
        )

        found = [json.loads(line) for line in done.stdout.splitlines()]
        [batches] = [one for one in found if one["check"] == "batches"]
        assert (batches["works"], batches["needed"], batches["words"]) == (True, True, "takes batches: lists 0")
        assert done.returncode == 0, done.stdout
        assert pair.far_batches() == []


@pytest.mark.accept
def test_a_carrier_of_160_mb_is_sent_and_collected_in_bounded_memory(tmp_path: Path) -> None:
    requests, text = 40_000, "x" * 4_000
    for name in ("far", "near"):
        (tmp_path / name).mkdir()
    with ServerProcess(tmp_path / "far" / "data", environ={"BATCHYARD_SIMULATOR_LATENCY": "0s"}) as far:
        (tmp_path / "near" / "batchyard.toml").write_text(TABLE.format(url=far.url, most=100_000, keyed="false"))
        with ServerProcess(tmp_path / "near" / "data", environ={"FAR_KEY": "any"}) as near:
            batch_id = near.create(requests, words=text)["id"]
            idle = forget_peak(near)
            path = f"/v1/messages/batches/{batch_id}"
            until = time.monotonic() + 600
            while near.call("GET", path)["processing_status"] != "ended":
                assert time.monotonic() < until, near.log()[-3000:]
                time.sleep(0.5)
            grown = peak_mb(near) - idle
            counts = near.call("GET", path)["request_counts"]
            listed = far.call("GET", "/v1/messages/batches?limit=100")["data"]

    assert counts["succeeded"] == requests
    assert [one["request_counts"]["succeeded"] for one in listed] == [requests]
    sys.stdout.write(f"\na carrier of {requests} requests and 160 MB: {grown:.0f} MB more than {idle:.0f} MB\n")
    assert grown <= 96  # 40,000 members take some 40 MB; the body is never there


def forget_peak(server: ServerProcess) -> float:
    """Let the kernel count the most memory from now on; return what there is, in MB."""
    assert server.process is not None
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    return peak_mb(server)
