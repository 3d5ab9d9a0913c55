"""``batchyard upstreams``: what is configured, and whether it works, as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.processes import CountingUpstream

TABLES = """
[upstreams.sim]
api = "simulator"
[upstreams.dead]
url = "http://127.0.0.1:1"
key_env = "DEAD_KEY"
model = "m"
[[routes]]
models = ["claude-*"]
to = ["sim"]
fallback = ["dead"]
"""


def batchyard(folder: Path, *words: str) -> tuple[int, list[str], str]:
    done = subprocess.run(
        [sys.executable, "-m", "batchyard", "upstreams", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        env={"PATH": "", "DEAD_KEY": "sk-secret-0123456789"},
    )
    assert "sk-secret" not in done.stdout + done.stderr
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_every_upstream_is_tried_and_the_status_tells_whether_all_answer(tmp_path: Path) -> None:
    (tmp_path / "batchyard.toml").write_text(TABLES)

    status, lines, told = batchyard(tmp_path, "test", "--json")

    found = [json.loads(line) for line in lines]
    works = {(one["upstream"], one["check"]): one["works"] for one in found}
    assert status == 1
    assert works == {
        ("sim", "models"): True,
        ("sim", "answer"): True,
        ("sim", "stream"): True,
        ("sim", "count"): True,
        ("dead", "models"): False,
        ("dead", "answer"): False,
    }
    assert "No connection to the upstream" in found[-1]["words"]
    assert told == "1 without an answer\n"


def test_one_upstream_can_be_tried_alone(tmp_path: Path) -> None:
    (tmp_path / "batchyard.toml").write_text(TABLES)

    status, lines, told = batchyard(tmp_path, "test", "sim")

    assert (status, len(lines), told) == (0, 4, "every upstream answers\n")
    assert batchyard(tmp_path, "test", "nobody")[0] == 2


def test_a_server_that_has_neither_list_nor_stream_nor_count_still_works(tmp_path: Path) -> None:
    with CountingUpstream() as upstream:
        status, lines, _ = batchyard(tmp_path, "test", "--upstream", upstream.url, "--try", "m", "--json")

    works = {one["check"]: one["works"] for one in map(json.loads, lines)}
    assert status == 0
    assert works == {"models": False, "answer": True, "stream": False, "count": False}


def test_the_list_shows_routes_and_no_key(tmp_path: Path) -> None:
    (tmp_path / "batchyard.toml").write_text(TABLES)

    status, lines, _ = batchyard(tmp_path, "list", "--json")

    sim, dead = (json.loads(line) for line in lines)
    assert status == 0
    assert (sim["models"], sim["fallback_for"], sim["has_key"]) == (["claude-*"], [], False)
    assert (dead["models"], dead["fallback_for"], dead["has_key"]) == ([], ["claude-*"], True)
