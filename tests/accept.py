"""Runs the long forms and every planted bug, side by side where they do not mind, and tells how long each took.

    python -m tests.accept [--hours N] [lane ...]

What a lane says goes to a file of its own under ``accept/``; the end of one that failed is shown, and what was not
begun because it would not have ended within the hours, two if not told. How long each test took is known the next time
if ``accept/took.json`` takes the place of ``tests/long_forms.json``. Exit status 1 when one failed.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.long_forms import LEFT, UNTIL, took, usual_minutes

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "accept"
HOUR = "tests/e2e/test_leaks.py"
PYTEST = ("pytest", "-p", "tests.long_forms", "-m", "accept", "-n", "0", "-s")
LANES: dict[str, Sequence[str]] = {
    "hour": (*PYTEST, HOUR),
    "processes": (*PYTEST, "tests/e2e", "tests/browser", "tests/sdk", "tests/docs", f"--ignore={HOUR}"),
    "computed": (
        *PYTEST,
        "tests/simulation",
        "tests/power",
        "tests/inject",
        "tests/fuzz",
        "tests/contract",
        "tests/unit",
    ),
    "planted": ("tests.planted.run",),
}
"""Module and arguments. An hour of waiting, real processes, what only computes, and planted bugs."""
HOURS = 2.0
MARGIN = 300.0
"""Seconds before the end from which on nothing begins: how long a test takes is known from another day."""
TELL_EVERY = 60.0
SHOWN_LINES = 60


def main(words: Sequence[str]) -> int:
    """Run the lanes named, or all; return the exit status."""
    hours, names = (float(words[1]), words[2:]) if words[:1] == ["--hours"] else (HOURS, words)
    unknown = [name for name in names if name not in LANES]
    if unknown:
        say(f"there is no lane {', '.join(unknown)}: choose among {', '.join(LANES)}")
        return 2
    LOGS.mkdir(exist_ok=True)
    began = time.monotonic()
    until = time.time() + 3600.0 * hours - MARGIN
    running = {name: start(name, until) for name in names or LANES}
    failed, told = [], began
    while running:
        time.sleep(0.5)
        for name, process in list(running.items()):
            if process.poll() is None:
                continue
            del running[name]
            say(f"{minutes(began)} {name}: {'passed' if process.returncode == 0 else 'FAILED'}")
            left = [line for line in log(name).read_text(errors="replace").splitlines() if line.startswith(LEFT)]
            say("\n".join(left[:SHOWN_LINES]) if left else f"{name}: nothing was left")
            if process.returncode:
                failed.append(name)
                say("\n".join(log(name).read_text(errors="replace").splitlines()[-SHOWN_LINES:]))
        if running and time.monotonic() - told >= TELL_EVERY:
            told = time.monotonic()
            say(f"{minutes(began)} running: {', '.join(running)}")
    note_times(names or list(LANES))
    say(f"{minutes(began)} {'failed: ' + ', '.join(failed) if failed else 'all passed'}; each lane's words: {LOGS}")
    return 1 if failed else 0


def start(name: str, until: float) -> "subprocess.Popen[bytes]":
    """Start a lane that begins nothing which would end later; it ends with us, or before."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    with log(name).open("wb") as words:
        return subprocess.Popen(
            [sys.executable, "-m", *LANES[name]],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, UNTIL: str(until)},
            stdout=words,
            stderr=subprocess.STDOUT,
        )


def note_times(lanes: Sequence[str]) -> None:
    """Write down the minutes that each test takes, as it took this time or is known to from before."""
    known = usual_minutes()
    for lane in lanes:
        known |= took(log(lane).read_text(errors="replace"))
    kept = {name: known[name] for name in sorted(known)}
    (LOGS / "took.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def log(name: str) -> Path:
    return LOGS / f"{name}.log"


def minutes(began: float) -> str:
    return f"{(time.monotonic() - began) / 60:5.1f} min"


def say(words: str) -> None:
    sys.stderr.write(words + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
