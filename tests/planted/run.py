"""Plant each bug in a copy of the source, run the tests that are for it, and tell which were caught.

    python tests/planted/run.py [--learn] [word in the name]

The test that caught a bug last is tried first, all that are for it only if it passes; ``--learn`` notes which one it is
(``catchers.json``). Exit status 1 when one was missed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.long_forms import LEFT, is_too_late  # noqa: E402 the path comes first
from tests.planted.bug import Bug  # noqa: E402 the path comes first
from tests.planted.bugs import BUGS  # noqa: E402 the path comes first

FAILED = 1  # pytest: some tests failed; anything else means that they did not run
NAMED = re.compile(r"^FAILED (\S.*?)(?: - .*)?$", re.MULTILINE)
TIMES = count(1_000_000_000)
MINUTES = 0.5
"""What a bug may take."""
HUNG, UNNAMED = "(hung)", "(unnamed)"
CATCHERS = ROOT / "tests" / "planted" / "catchers.json"
REPORT_FAILED = b"AST constructor recursion depth mismatch"
"""CPython 3.11 (gh-106905) may break pytest's report of a failure, never of a success: the test failed all the same."""


def caught(bug: Bug, copy: Path, first: str | None) -> str | None:
    """Return what catches the bug when it is planted in the copy: a test, or nothing if all pass."""
    path = copy / "src" / "batchyard" / bug.file
    sound = path.read_text()
    write(path, sound.replace(bug.old, bug.new))
    try:
        return (first and failing([first], copy)) or failing(bug.tests.split(), copy)
    finally:
        write(path, sound)


def write(path: Path, text: str) -> None:
    """Write a source file with a time that it never had: the bytecode kept of it is of another text."""
    path.write_text(text)
    when = next(TIMES)
    os.utime(path, (when, when))


def failing(tests: list[str], copy: Path) -> str | None:
    """Return the first test that fails, or what else shows that one does."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-rf", "-p", "no:cacheprovider", *tests],
            cwd=copy,
            env={**kept, "PYTHONPATH": str(copy / "src"), "COLUMNS": "1000"},
            capture_output=True,
            timeout=600,
            check=False,
        )
    except subprocess.TimeoutExpired:  # it hangs: nobody would call that passing
        return HUNG
    output = done.stdout + done.stderr
    if done.returncode == FAILED:
        named = NAMED.search(output.decode(errors="replace"))
        return named[1] if named else UNNAMED
    return UNNAMED if REPORT_FAILED in output else None


def main(words: list[str]) -> int:
    """Run all bugs, or those whose name has one of the words; print one line each and the score."""
    learn = "--learn" in words
    words = [word for word in words if word != "--learn"]
    missed = tried = 0
    chosen = [bug for bug in BUGS if not words or any(word in bug.name for word in words)]
    catchers: dict[str, str] = json.loads(CATCHERS.read_text()) if CATCHERS.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("src", "tests", "pyproject.toml", "examples", "docs", "deploy", "scripts", "README.md"):
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, copy / part)
        for bug in chosen:
            if is_too_late(MINUTES):
                print(f"{LEFT}{bug.name}", flush=True)  # noqa: T201 this is its output
                continue
            catcher = caught(bug, copy, catchers.get(bug.name))
            tried, missed = tried + 1, missed + (catcher is None)
            print(f"{'caught' if catcher else 'MISSED'}  {bug.name}", flush=True)  # noqa: T201 this is its output
            if learn:
                note(catchers, bug.name, catcher)
    print(f"{tried - missed} passed, {missed} failed")  # noqa: T201 this is its output
    return 1 if missed else 0


def note(catchers: dict[str, str], name: str, catcher: str | None) -> None:
    """Write down what caught a bug, where it can be named, and forget bugs that are no more."""
    catchers.pop(name, None)
    if catcher is not None and catcher not in (HUNG, UNNAMED):
        catchers[name] = catcher
    names = {bug.name for bug in BUGS}
    kept = {name: catchers[name] for name in sorted(catchers) if name in names}
    CATCHERS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
