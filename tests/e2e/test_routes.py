"""Several model servers behind one server, as processes and sockets: each model goes where its route leads."""

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.e2e.processes import CountingUpstream, ServerProcess


class CountingChat(CountingUpstream):
    """The same, in the dialect of chat completions."""

    def _answer(self, body: bytes) -> bytes:
        asked = json.loads(body)
        message = {"role": "assistant", "content": asked["messages"][-1]["content"]}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2}
        return json.dumps({"id": "c1", "model": asked["model"], "choices": [choice], "usage": usage}).encode()


def test_a_server_of_chat_completions_answers_a_batch(tmp_path: Path) -> None:
    with CountingChat() as upstream:
        options = ("--upstream", upstream.url, "--upstream-api", "chat-completions", "--model", "qwen3")
        with ServerProcess(tmp_path / "data", *options) as server:
            batch = server.create(20)
            while server.call("GET", f"/v1/messages/batches/{batch['id']}")["processing_status"] != "ended":
                time.sleep(0.05)
            lines = server.results(batch["id"])
            params = {"model": "claude-x", "max_tokens": 5, "messages": [{"role": "user", "content": "now"}]}
            interactive = server.call("POST", "/v1/messages", json.dumps(params).encode())

        texts = [line["result"]["message"]["content"][0]["text"] for line in lines]
        assert texts == [f"hello {number}" for number in range(20)]
        assert interactive["content"][0]["text"] == "now"
        assert {json.loads(body)["model"] for body in upstream.calls} == {"qwen3"}


def test_models_go_where_their_routes_lead(tmp_path: Path) -> None:
    with CountingUpstream() as one, CountingUpstream() as two:
        (tmp_path / "batchyard.toml").write_text(f"""
[upstreams.one]
url = "{one.url}"
models = {{ "claude-*" = "qwen3" }}
[upstreams.two]
url = "{two.url}"
[[routes]]
models = ["claude-*"]
to = ["one"]
[[routes]]
models = ["llama*"]
to = ["two"]
""")
        models = ["claude-a", "llama3", "nobody's"]
        requests = [
            {
                "custom_id": f"r{number}",
                "params": {
                    "model": models[number % 3],
                    "max_tokens": 5,
                    "messages": [{"role": "user", "content": f"hello {number}"}],
                },
            }
            for number in range(30)
        ]
        with ServerProcess(tmp_path / "data") as server:
            batch = server.call("POST", "/v1/messages/batches", json.dumps({"requests": requests}).encode())
            while server.call("GET", f"/v1/messages/batches/{batch['id']}")["processing_status"] != "ended":
                time.sleep(0.05)
            kinds = [line["result"]["type"] for line in server.results(batch["id"])]

        assert kinds == ["succeeded", "succeeded", "errored"] * 10
        assert sum(one.calls.values()) == sum(two.calls.values()) == 10
        assert {json.loads(body)["model"] for body in one.calls} == {"qwen3"}
        assert {json.loads(body)["model"] for body in two.calls} == {"llama3"}


def test_the_ledger_can_be_shown_from_the_command_line(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        batch = server.create(3)
        while server.call("GET", f"/v1/messages/batches/{batch['id']}")["processing_status"] != "ended":
            time.sleep(0.05)
        command = [sys.executable, "-m", "batchyard", "show", batch["id"], "--attempts", "--base-url", server.url]
        people = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        pipes = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60, check=True).stdout

    assert [line for line in people.splitlines() if not line.startswith(" ")] == [
        f"r{number}  succeeded  1 attempts" for number in range(3)
    ]
    assert [json.loads(line)["custom_id"] for line in pipes.splitlines()] == ["r0", "r1", "r2"]
