"""One batch over three upstreams of three kinds, one of them failing three calls in ten in every way there is."""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from batchyard.testing import fault_kinds
from batchyard.testing.fault_kinds import KINDS
from batchyard.testing.faults import Fault, FaultServer
from tests.e2e.processes import CountingUpstream, ServerProcess
from tests.e2e.test_routes import CountingChat

TABLES = """
concurrency = 32
[upstreams.good]
url = "{good}"
[upstreams.chat]
url = "{chat}"
api = "chat-completions"
[upstreams.bad]
url = "{bad}"
timeout = "1s"
max_answer_bytes = 1000000
[[routes]]
models = ["a"]
to = ["good"]
[[routes]]
models = ["b"]
to = ["chat"]
[[routes]]
models = ["c"]
to = ["bad"]
"""
HOLDING = fault_kinds.HELD
"""These hold the lane for a while each: few of them, or the batch would wait for nothing else."""
LASTING = {"refused": 1, "hostile": 1, "failed": 3, "unknown": 2, "hung": 2}
"""Outcome -> how many of it at most end a request."""


class FailingUpstream:
    """A model server in a thread that does something wrong with so many calls of a hundred, at random."""

    def __init__(self, percent: int, seed: int) -> None:
        self._dice = random.Random(seed)
        self._percent = percent
        self._wrong = [KINDS[name] for name in sorted(KINDS) if name not in HOLDING and name not in fault_kinds.WELL]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.server = FaultServer(self._script)
        self.url = ""

    def __enter__(self) -> "FailingUpstream":
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self.server.start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.server.close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _script(self, _number: int) -> Fault:
        if self._dice.randrange(1000) == 0:
            return HOLDING[self._dice.choice(sorted(HOLDING))]
        return self._dice.choice(self._wrong) if self._dice.randrange(100) < self._percent else KINDS["good"]


@pytest.mark.parametrize("requests", [240, pytest.param(20_000, marks=pytest.mark.accept)])
def test_every_line_has_its_right_end_and_the_ledger_is_what_the_upstreams_saw(tmp_path: Path, requests: int) -> None:
    with CountingUpstream() as good, CountingChat() as chat, FailingUpstream(30, seed=requests) as bad:
        tables = TABLES.format(good=good.url, chat=chat.url, bad=bad.url)
        (tmp_path / "batchyard.toml").write_text(tables)
        with ServerProcess(tmp_path / "data") as server:
            batch_id = server.call("POST", "/v1/messages/batches", a_body(requests))["id"]
            until = time.monotonic() + 60 + requests / 20
            while server.call("GET", f"/v1/messages/batches/{batch_id}")["processing_status"] != "ended":
                assert time.monotonic() < until, server.call("GET", f"/v1/messages/batches/{batch_id}")
                time.sleep(0.2)
            lines = server.results(batch_id)
            status, ledger = server.raw("GET", f"/batchyard/v1/batches/{batch_id}/attempts")
            canaries = counted(server.raw("GET", "/metrics")[1], b"batchyard_canaries_total")

    assert status == 200
    tried = [json.loads(line) for line in ledger.splitlines()]
    assert [line["custom_id"] for line in lines] == [one["custom_id"] for one in tried]
    for line, one in zip(lines, tried, strict=True):
        check_end(line["result"], [trace[0] for trace in one["traces"]], must_succeed=one["seq"] % 3 < 2)
    assert all(line["result"]["message"]["content"][0]["text"].endswith(line["custom_id"]) for line in lines[0::3])
    assert all(line["result"]["message"]["content"][0]["text"].endswith(line["custom_id"]) for line in lines[1::3])
    assert good.repeated == chat.repeated == 0
    seen = Counter(json.loads(body)["messages"][0]["content"] for body in read_bodies(bad))
    assert all(seen[f"say {one['custom_id']}"] <= one["attempts"] for one in tried)
    made = sum(one["attempts"] for one in tried[2::3]) + canaries
    free = sum(trace[0] == "notstarted" for one in tried[2::3] for trace in one["traces"])
    assert made - free <= bad.server.calls <= made  # what was never sent is free, and nothing else is missing


def counted(metrics: bytes, name: bytes) -> int:
    """The sum of a counter over its labels."""
    return sum(int(float(line.split()[-1])) for line in metrics.splitlines() if line.startswith(name + b"{"))


def check_end(result: dict[str, object], outcomes: list[str], *, must_succeed: bool) -> None:
    """The result follows from what the attempts showed, and nothing was tried that need not be."""
    counts = Counter(outcomes)
    if result["type"] == "succeeded":
        assert outcomes[-1] == "answered"
    else:
        assert not must_succeed
        assert result["type"] == "errored"
        assert outcomes[-1] in LASTING
        paid = counts["failed"] + counts["unknown"] + counts["hung"]
        assert outcomes[-1] in {"refused", "hostile"} or paid == 3 or counts["unknown"] + counts["hung"] == 2
    assert all(counts[name] <= most for name, most in LASTING.items())
    assert counts["unknown"] + counts["hung"] <= 2


def read_bodies(bad: FailingUpstream) -> list[bytes]:
    """The bodies that reached it whole; canaries and calls that it never read are none."""
    return [one.body for one in bad.server.received if one.body and b'"ping"' not in one.body]


def a_body(requests: int) -> bytes:
    listed = [
        {
            "custom_id": f"r{number}",
            "params": {
                "model": "abc"[number % 3],
                "max_tokens": 5,
                "messages": [{"role": "user", "content": f"say r{number}"}],
            },
        }
        for number in range(requests)
    ]
    return json.dumps({"requests": listed}).encode()
