"""What is beside the wire, with a real server and the commands that show it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import ServerProcess

MODEL = "claude-haiku-4-5-20251001"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("beside")
    with ServerProcess(folder / "data", environ={"BATCHYARD_SIMULATOR_LATENCY": "1ms"}) as started:
        yield started


def batchyard(server: ServerProcess, *words: str) -> tuple[int, list[str], str]:
    """Run a command against the server; return its status, its lines of data and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "batchyard", *words, "--base-url", server.url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=server.data.parent,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def an_ended_batch(server: ServerProcess, requests: int) -> Any:
    batch = server.create(requests)
    status, _, told = batchyard(server, "watch", batch["id"])
    assert status == 0, told
    return batch


def test_usage_is_what_the_answers_say_and_outlives_a_restart_and_a_delete(server: ServerProcess) -> None:
    batch = an_ended_batch(server, 5)
    used = [line["result"]["message"]["usage"] for line in server.results(batch["id"])]

    status, [line], told = batchyard(server, "usage", "--json")

    row = json.loads(line)
    assert status == 0, told
    assert (row["model"], row["workspace"], row["requests"]) == (MODEL, "default", 5)
    assert row["input_tokens"] == sum(one["input_tokens"] for one in used)
    assert row["output_tokens"] == sum(one["output_tokens"] for one in used)
    assert row["standard_cost"] == pytest.approx((row["input_tokens"] + 5 * row["output_tokens"]) / 1e6, abs=1e-6)
    assert row["batch_cost"] == pytest.approx(row["standard_cost"] / 2, abs=1e-6)

    server.kill()
    server.start()
    server.call("DELETE", f"/v1/messages/batches/{batch['id']}")

    assert [json.loads(line) for line in batchyard(server, "usage", "--json")[1]] == [row]
    head, csv_row = batchyard(server, "usage", "--by-batch", "--csv")[1]
    assert head.startswith("day,workspace,model,batch,requests,input_tokens")
    assert csv_row.split(",")[2:5] == [MODEL, "", "5"]
    assert "5 answers" in batchyard(server, "usage")[2]


def test_a_batch_is_named_labelled_and_found_from_a_shell(server: ServerProcess, tmp_path: Path) -> None:
    params = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    file = tmp_path / "in.jsonl"
    file.write_text(json.dumps({"custom_id": "a", "params": params}) + "\n")
    words = ("create", str(file), "--name", "Nächtlich, 1", "--label", "team=search, ads", "--label", "run=42")
    status, [batch], told = batchyard(server, *words)
    assert status == 0, told

    _, [line], _ = batchyard(server, "search", "nächtlich", "--label", "team", "--json")
    found = json.loads(line)
    assert (found["batch"]["id"], found["name"]) == (batch, "Nächtlich, 1")
    assert found["labels"] == {"run": "42", "team": "search, ads"}

    _, [line], _ = batchyard(server, "label", batch, "owner=me", "--remove", "run", "--name", "", "--json")
    assert json.loads(line) == {"id": batch, "name": "", "labels": {"owner": "me", "team": "search, ads"}}
    assert batchyard(server, "search", "--label", "run", "--json")[1] == []
    status, _, told = batchyard(server, "label", batch, "nonsense")
    assert (status, told.strip()) == (2, "batchyard: nonsense: write a label as KEY=VALUE")


def test_results_are_followed_over_a_kill_of_the_server_and_failures_run_again(server: ServerProcess) -> None:
    bad = {"model": MODEL, "max_tokens": 0, "messages": []}
    good = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    requests = [{"custom_id": f"r{n}", "params": bad if n % 100 == 7 else good} for n in range(3000)]
    batch = server.call("POST", "/v1/messages/batches", json.dumps({"requests": requests}).encode())["id"]
    command = [sys.executable, "-m", "batchyard", "results", batch, "--follow", "--base-url", server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=server.data.parent) as following:
        assert following.stdout is not None
        seen = [following.stdout.readline()]
        port = server.url.rpartition(":")[2]
        server.kill()
        server.options = ("--port", port)
        server.start()
        seen += list(following.stdout)
    assert following.returncode == 0

    lines = [json.loads(line) for line in seen]
    assert sorted(line["custom_id"] for line in lines) == sorted(f"r{n}" for n in range(3000))
    results = {line["custom_id"]: line["result"] for line in server.results(batch)}
    assert {line["custom_id"]: line["result"] for line in lines} == results

    again = server.call("POST", f"/batchyard/v1/batches/{batch}/rerun")
    assert batchyard(server, "watch", again["id"])[0] == 1
    assert [line["custom_id"] for line in server.results(again["id"])] == [f"r{n}" for n in range(7, 3000, 100)]


def test_show_tells_what_a_batch_is_called_what_it_cost_and_when_it_is_done(
    server: ServerProcess, tmp_path: Path
) -> None:
    params = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "[[simulate: latency=10m]]"}]}
    file = tmp_path / "in.jsonl"
    file.write_text(json.dumps({"custom_id": "a", "params": params}) + "\n")
    _, [batch], _ = batchyard(server, "create", str(file), "--name", "slow", "--label", "team=search")
    batchyard(server, "pause", batch)

    shown = " ".join(batchyard(server, "show", batch)[1])

    assert "slow" in shown
    assert "team=search" in shown
    assert "it is paused" in shown
    assert list(json.loads(batchyard(server, "show", batch, "--json")[1][0])) == list(
        server.call("GET", f"/v1/messages/batches/{batch}")
    )
    batchyard(server, "cancel", batch)
