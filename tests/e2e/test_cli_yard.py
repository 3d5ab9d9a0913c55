"""The commands against a real server: a job under a name, what it left over, and the end of everything."""

import json
from pathlib import Path

import pytest

from tests.e2e.processes import ServerProcess
from tests.e2e.test_cli import Shell

MODEL = "claude-haiku-4-5"


def test_a_named_job_leaves_failures_that_are_sent_again_and_all_of_it_is_deleted(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Path("in.jsonl").open("w") as file:
        for number in range(20):
            words = f"Hello {number}" + (" [[simulate: overloaded_error]]" if number % 7 == 3 else "")
            params = {"model": MODEL, "max_tokens": 8, "messages": [{"role": "user", "content": words}]}
            file.write(json.dumps({"custom_id": f"r{number}", "params": params}) + "\n")
    with ServerProcess(tmp_path / "data") as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        shell = Shell(capsysbinary, None)

        assert shell("run", "in.jsonl", "-o", "out.jsonl", "--name", "nightly", "--batch-requests", "10") == 1
        assert "3 requests may succeed the next time" in shell.err
        assert shell("search", "nightly", "--json") == 0
        found = [json.loads(line)["batch"] for line in shell.out.splitlines()]
        assert sorted(sum(batch["request_counts"].values()) for batch in found) == [3, 3, 10, 10]

        again = next(batch["id"] for batch in found if batch["request_counts"]["errored"] == 3)
        made = []
        for source in ([], ["in.jsonl"]):
            assert shell("retry", again, *source) == 0
            made.append(shell.out.decode().strip())
        assert made[0] != made[1]
        assert shell("watch", *made, "--json") == 1
        assert json.loads(shell.out.splitlines()[-1])["request_counts"]["errored"] == 3

        assert shell("delete", "--all-ended") == 0
        assert shell.err.count("deleted") == 6
        assert shell("list") == 0
        assert b"msgbatch" not in shell.out
