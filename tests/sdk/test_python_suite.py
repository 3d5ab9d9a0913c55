"""The newest Python SDK's own batch tests, out of its source package, against ``serve --compat-fixtures``."""

import re
import subprocess
import tarfile
from pathlib import Path
from xml.etree import ElementTree

from tests.e2e.processes import ServerProcess
from tests.sdk import tools

LOCK = tools.ROOT / "requirements" / "sdk-suite.txt"
FILES = ("tests/api_resources/messages/test_batches.py", "tests/api_resources/beta/messages/test_batches.py")
CASES = 252


def source_package(python: Path, folder: Path) -> Path:
    """Return the unpacked source package of the version and the hashes that the lock names."""
    pinned = re.search(r"^anthropic==.*?(?=^ {4}#)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    assert pinned is not None
    wanted = folder / "anthropic.txt"
    wanted.write_text(pinned[0])
    options = ["--quiet", "--no-deps", "--no-binary", "anthropic", "--no-build-isolation", "--require-hashes"]
    command = [*tools.pip(python), "download", *options, "--dest", str(folder), "-r", str(wanted)]
    fetched = subprocess.run(
        command, capture_output=True, text=True, timeout=tools.INSTALL_SECONDS, env=tools.clean_environ(), check=False
    )
    if fetched.returncode:
        tools.unavailable(f"the SDK's source package could not be fetched: {fetched.stderr.strip()[-500:]}")
    [archive] = folder.glob("anthropic-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def test_the_sdks_own_batch_tests_pass(tmp_path: Path) -> None:
    python = tools.python_with("sdk-suite")
    suite = source_package(python, tmp_path)
    report = tmp_path / "report.xml"

    with ServerProcess(tmp_path / "data", "--compat-fixtures") as server:
        ran = subprocess.run(
            [str(python), "-m", "pytest", "-n", "2", "-q", f"--junitxml={report}", *FILES],
            cwd=suite,
            env=tools.clean_environ(TEST_API_BASE_URL=server.url),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    assert ran.returncode == 0, ran.stdout[-4000:]
    [counts] = ElementTree.parse(report).getroot().iter("testsuite")
    seen = {name: int(counts.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    assert seen == {"tests": CASES, "failures": 0, "errors": 0, "skipped": 0}
