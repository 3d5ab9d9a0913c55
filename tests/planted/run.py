"""Plant each bug in a copy of the source, run the tests that are for it, and tell which were caught.

    python tests/planted/run.py [word in the name]

Exit status 1 when one was missed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.planted.bug import Bug  # noqa: E402 the path comes first
from tests.planted.bugs import BUGS  # noqa: E402 the path comes first

FAILED = 1  # pytest: some tests failed; anything else means that they did not run
REPORT_FAILED = b"AST constructor recursion depth mismatch"
"""CPython 3.11 (gh-106905) may break pytest's report of a failure, never of a success: the test failed all the same."""


def caught(bug: Bug, copy: Path) -> bool:
    """Whether the tests named by the bug fail with it planted in the copy."""
    path = copy / "src" / "batchyard" / bug.file
    sound = path.read_text()
    path.write_text(sound.replace(bug.old, bug.new))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *bug.tests.split()],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            timeout=600,
            check=False,
        )
    except subprocess.TimeoutExpired:  # it hangs: nobody would call that passing
        return True
    finally:
        path.write_text(sound)
    return done.returncode == FAILED or REPORT_FAILED in done.stdout + done.stderr


def main(words: list[str]) -> int:
    """Run all bugs, or those whose name has one of the words; print one line each and the score."""
    missed = 0
    chosen = [bug for bug in BUGS if not words or any(word in bug.name for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("src", "tests", "pyproject.toml", "examples", "docs", "deploy", "scripts", "README.md"):
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, copy / part)
        for bug in chosen:
            good = caught(bug, copy)
            missed += not good
            print(f"{'caught' if good else 'MISSED'}  {bug.name}", flush=True)  # noqa: T201 this is its output
    print(f"{len(chosen) - missed} passed, {missed} failed")  # noqa: T201
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
