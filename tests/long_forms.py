"""A plugin of pytest for ``make accept``: begins no test that would not end in time, and names those it left.

How long each takes is known from a run before (``long_forms.json``, minutes); how long it took this time is told, too.
"""

import json
import os
import re
import time
from pathlib import Path

import pytest

UNTIL = "ACCEPT_UNTIL"
"""The variable with the time of the end, in seconds since 1970; without it there is none."""
LEFT = "NOT RUN  "
"""What a line begins with that names what was left."""
TOOK = Path(__file__).with_name("long_forms.json")
KEPT_MINUTES = 0.1
_TOOK = re.compile(r"^TOOK +([\d.]+) min  (\S.*)$", re.MULTILINE)
_left: list[str] = []
_minutes: dict[str, float] = {}


def ends_at() -> float:
    return float(os.environ.get(UNTIL, "inf"))


def is_too_late(minutes: float) -> bool:
    """Whether what takes so long would not end in time."""
    return time.time() + 60.0 * minutes > ends_at()


def usual_minutes() -> dict[str, float]:
    minutes: dict[str, float] = json.loads(TOOK.read_text()) if TOOK.exists() else {}
    return minutes


def took(words: str) -> dict[str, float]:
    """Return the minutes of each test that took some, of what a lane said."""
    return {name: float(minutes) for minutes, name in _TOOK.findall(words)}


def pytest_runtest_setup(item: pytest.Item) -> None:
    if is_too_late(usual_minutes().get(item.nodeid, 0.0)):
        _left.append(item.nodeid)
        pytest.skip("the time of make accept is over")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _minutes[report.nodeid] = _minutes.get(report.nodeid, 0.0) + report.duration / 60.0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, minutes in sorted(_minutes.items(), key=lambda one: -one[1]):
        if minutes >= KEPT_MINUTES:
            terminalreporter.write_line(f"TOOK {minutes:5.1f} min  {name}")
    for name in _left:
        terminalreporter.write_line(f"{LEFT}{name}")
