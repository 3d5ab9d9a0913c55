"""Schemathesis makes calls of all kinds from ``/openapi.json``, and holds a real server to every word of it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import HEADERS, ServerProcess

SETTINGS = Path(__file__).with_name("schemathesis.toml")
PROGRAM = Path(sys.executable).with_name("st")


def calls_made(folder: Path, *options: str, seconds: float) -> int:
    """Make the calls with all checks; return how many, none of which failed."""
    key = HEADERS["x-api-key"]
    with ServerProcess(folder / "data", environ={"BATCHYARD_BOOTSTRAP_KEY": key}) as server:
        url = f"{server.url}/openapi.json"
        done = subprocess.run(
            [
                PROGRAM,
                "--config-file",
                SETTINGS,
                "run",
                url,
                "-H",
                f"x-api-key: {key}",
                "-c",
                "all",
                "--no-color",
                *options,
            ],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            cwd=folder,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
        assert server.raw("GET", "/healthz")[0] == 200
        log = server.log()
    assert '"level":"error"' not in log
    assert key not in re.findall(r'"[^"]*"', log)
    found = re.search(r"(\d+) generated, \d+ passed", done.stdout)
    assert found, done.stdout[-1000:]
    return int(found[1])


def test_calls_made_from_the_document_find_no_fault(tmp_path: Path) -> None:
    options = ("--phases", "examples,fuzzing,stateful", "-n", "4", "--seed", "1", "--generation-database", "none")

    assert calls_made(tmp_path, *options, seconds=200) >= 100


@pytest.mark.accept
def test_50_000_calls_made_from_the_document_find_no_fault(tmp_path: Path) -> None:
    made = seed = 0
    while made < 50_000:
        seed += 1
        folder = tmp_path / str(seed)
        folder.mkdir()
        made += calls_made(folder, "-n", "400", "--seed", str(seed), "--generation-database", "none", seconds=7200)
