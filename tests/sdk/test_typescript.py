"""The TypeScript SDK, newest and first: node runs the cases in ``ts/``, against servers of ours."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.e2e.processes import ServerProcess
from tests.sdk import tools

SLOW = {"BATCHYARD_SIMULATOR_LATENCY": "100ms"}
FIXTURE_CASES = 16
LIFE_CASES = 20


def run_cases(name: str, cases: int, environ: dict[str, str]) -> None:
    """Run one file of cases beside the packages that it imports, and see that every case was run."""
    node, folder = tools.node_with_packages()
    for file in tools.NODE_PACKAGES.glob("*.mjs"):
        shutil.copy(file, folder)
    ran = subprocess.run(
        [node, "--test", "--test-reporter", "tap", name],
        cwd=folder,
        env=tools.clean_environ(**environ),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    said = f"{ran.stdout[-8000:]}\n{ran.stderr[-2000:]}"
    assert ran.returncode == 0, said
    passed = re.search(r"^# pass (\d+)$", ran.stdout, re.MULTILINE)
    assert passed is not None, said
    assert int(passed[1]) == cases, said


def test_the_sdks_own_cases_pass(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", "--compat-fixtures") as server:
        run_cases("fixtures.test.mjs", FIXTURE_CASES, {"FIXTURES_URL": server.url})


def test_a_whole_life_with_the_newest_and_the_first(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", "--concurrency", "8", environ=SLOW) as server:
        run_cases("life.test.mjs", LIFE_CASES, {"SERVER_URL": server.url})
