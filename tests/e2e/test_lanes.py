"""``batchyard lanes`` against a real server, as an operator uses it."""

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.processes import HEADERS, ServerProcess

MODEL = "org/simulator"


def batchyard(server: ServerProcess, *words: str) -> tuple[int, list[str], str]:
    done = subprocess.run(
        [sys.executable, "-m", "batchyard", *words, "--base-url", server.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def ask(server: ServerProcess, requests: int) -> None:
    params = {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
    body = {"requests": [{"custom_id": f"r{number}", "params": params} for number in range(requests)]}
    server.call("POST", "/v1/messages/batches", json.dumps(body).encode(), HEADERS)


def test_an_operator_sees_lanes_pauses_one_and_resumes_it_after_a_restart(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        assert batchyard(server, "lanes", "pause", "nobody")[0] == 3
        ask(server, 3)
        assert batchyard(server, "watch")[0] == 0
        assert batchyard(server, "lanes", "pause", "simulator", MODEL) == (0, [f"simulator/{MODEL}: paused"], "")
        server.kill()
        server.start()
        ask(server, 2)

        _, [line], _ = batchyard(server, "lanes", "list", "--json")
        lane = json.loads(line)
        assert (lane["lane"], lane["state"], lane["pending"]) == (f"simulator/{MODEL}", "paused", 2)
        status, table, told = batchyard(server, "lanes", "list")
        assert status == 0
        assert "paused" in table[1]
        assert told == "simulator: 0 of 64 slots in use, open\n"

        assert batchyard(server, "lanes", "resume", "simulator", MODEL)[0] == 0
        assert batchyard(server, "watch")[0] == 0
