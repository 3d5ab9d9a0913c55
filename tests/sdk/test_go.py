"""The newest Go SDK: a whole life, and its own batch tests, which its module carries. Compiling it takes minutes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.processes import ServerProcess
from tests.sdk import tools

FOLDER = Path(__file__).with_name("go")
SDK = "github.com/anthropics/anthropic-sdk-go/v2"
SLOW = {"BATCHYARD_SIMULATOR_LATENCY": "100ms"}


def run_cases(cases: int, environ: dict[str, str], *what: str) -> None:
    """Run Go tests from the folder whose ``go.mod`` pins the SDK, and see that so many passed and none was skipped."""
    go = shutil.which("go")
    if go is None:
        tools.unavailable("go is not installed: the Go SDK is not tried")
    fetched = subprocess.run([go, "mod", "download"], cwd=FOLDER, capture_output=True, text=True, check=False)
    if fetched.returncode:
        tools.unavailable(f"the Go SDK could not be fetched: {fetched.stderr.strip()[-500:]}")
    ran = subprocess.run(
        [go, "test", "-count=1", "-vet=off", "-v", *what],
        cwd=FOLDER,
        env=tools.clean_environ(**environ),
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    said = f"{ran.stdout[-4000:]}\n{ran.stderr[-2000:]}"
    assert ran.returncode == 0, said
    assert len(re.findall(r"^--- PASS: ", ran.stdout, re.MULTILINE)) == cases, said


@pytest.mark.accept
def test_a_whole_life(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", "--concurrency", "8", environ=SLOW) as server:
        run_cases(3, {"SERVER_URL": server.url}, ".")


@pytest.mark.accept
def test_the_sdks_own_batch_tests_pass(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", "--compat-fixtures") as server:
        run_cases(10, {"TEST_API_BASE_URL": server.url}, "-run", "MessageBatch", SDK)
