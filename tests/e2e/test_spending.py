"""A cap on spending in a real server: what runs stops, what comes is refused."""

import json
import time
from pathlib import Path

from tests.e2e.processes import ServerProcess

SETTINGS = """
concurrency = 2

[limits]
spend_per_day = 0.5

[prices."*"]
input = 0
output = 100000
"""
PATH = "/v1/messages/batches"


def body(requests: int) -> bytes:
    params = {"model": "simulator", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps({"requests": [{"custom_id": f"r{n}", "params": params} for n in range(requests)]}).encode()


def test_a_cap_stops_what_runs_and_refuses_what_comes(tmp_path: Path) -> None:
    (tmp_path / "batchyard.toml").write_text(SETTINGS)
    with ServerProcess(tmp_path / "data") as server:
        batch = server.call("POST", PATH, body(100))
        until = time.monotonic() + 60
        while '"event":"spend_capped"' not in server.log():
            assert time.monotonic() < until, server.log()[-2000:]
            time.sleep(0.1)
        status, text = server.raw("POST", PATH, body(1))
        counts = server.call("GET", f"{PATH}/{batch['id']}")["request_counts"]

    # an answer of one token costs 0.05: ten fill the cap, and two more may have been in flight
    assert status == 429
    assert b"may spend 0.50 US dollars a day" in text
    assert 9 <= counts["succeeded"] <= 12
    assert counts["processing"] == 100 - counts["succeeded"]
