"""What these tests need beside Python: Chromium, and axe from npm. Where one is missing a test is skipped and says so;
with ``CI`` set Chromium is installed with apt-get, and what cannot be had fails."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.sdk.tools import ROOT, once, run, unavailable

AXE_PACKAGES = ROOT / "tests" / "browser" / "axe"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@cache
def chromium() -> str:
    """Return the program."""
    found = _found()
    if found is None and os.environ.get("CI") and shutil.which("apt-get") and os.geteuid() == 0:
        for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", "--quiet", *command], check=False, capture_output=True, timeout=600)
        found = _found()
    if found is None:
        unavailable("Chromium is not installed (Debian: apt-get install chromium): the dashboard is not tried in it")
    return found


def _found() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@cache
def axe() -> str:
    """Return the script that looks for what keeps people out."""
    npm = shutil.which("npm")
    if npm is None:
        unavailable("npm is not installed: axe does not look at the dashboard")
    folder = ROOT / ".node-axe"
    wanted = [AXE_PACKAGES / "package.json", AXE_PACKAGES / "package-lock.json"]

    def install() -> None:
        folder.mkdir(exist_ok=True)
        for file in wanted:
            shutil.copy(file, folder)
        run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"], cwd=folder)

    once(folder, wanted, install)
    return Path(folder / "node_modules" / "axe-core" / "axe.min.js").read_text()
