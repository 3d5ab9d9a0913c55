"""The tool chains of the SDK tests: virtual environments and node packages of their own, made once from lock files.

They live beside ``.venv``, outside git. Where one cannot be made (no network, no node), a test that needs it is
skipped and says why; with ``CI`` set it fails instead.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
NODE_PACKAGES = ROOT / "tests" / "sdk" / "ts"
INSTALL_SECONDS = 400


def unavailable(reason: str) -> NoReturn:
    """Skip the test with the reason; fail where nothing may be missing."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"needed in CI: {reason}")
    pytest.skip(reason)


def python_with(name: str) -> Path:
    """Return the interpreter of ``.venv-NAME``, which holds what ``requirements/NAME.txt`` pins."""
    folder, lock = ROOT / f".venv-{name}", ROOT / "requirements" / f"{name}.txt"
    python = folder / "bin" / "python"

    def install() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
        options = ["--quiet", "--disable-pip-version-check", "--no-compile", "--require-hashes"]
        run([*pip(python), "install", *options, "-r", str(lock)])

    once(folder, [lock], install)
    return python


def pip(python: Path) -> list[str]:
    """Return the command of pip for another environment: our own serves all, to give each its own takes seconds."""
    return [sys.executable, "-m", "pip", "--python", str(python)]


def node_with_packages() -> tuple[str, Path]:
    """Return ``node`` and the folder ``.node``, whose ``node_modules`` holds what ``tests/sdk/ts`` pins."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        unavailable("node and npm are not installed: the TypeScript SDK is not tried")
    folder = ROOT / ".node"
    wanted = [NODE_PACKAGES / "package.json", NODE_PACKAGES / "package-lock.json"]

    def install() -> None:
        folder.mkdir(exist_ok=True)
        for file in wanted:
            shutil.copy(file, folder)
        run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"], cwd=folder)

    once(folder, wanted, install)
    return node, folder


def clean_environ(**more: str) -> dict[str, str]:
    """Return this process's environment without what would steer another Python, pytest or SDK."""
    steering = ("PYTEST_", "PYTHON", "ANTHROPIC_", "VIRTUAL_ENV")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(steering)}, **more}


def once(folder: Path, made_from: Sequence[Path], install: Callable[[], None]) -> None:
    """Install unless the folder was made from these very files; one process at a time."""
    stamp = folder / ".made-from"
    wanted = sha256(b"".join(file.read_bytes() for file in made_from)).hexdigest()
    with _alone(folder):
        if stamp.exists() and stamp.read_text() == wanted:
            return
        try:
            install()
        except subprocess.TimeoutExpired as late:
            unavailable(f"{folder.name} could not be installed within {late.timeout:.0f} s")
        except subprocess.CalledProcessError as failed:
            unavailable(f"{folder.name} could not be installed: {failed.stderr.strip()[-500:]}")
        stamp.write_text(wanted)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (ROOT / f".stamp-{folder.name.lstrip('.')}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(command: Sequence[str], cwd: Path = ROOT, *, seconds: float = INSTALL_SECONDS) -> None:
    """Run a command of an installation; raises what ``subprocess.run`` does."""
    subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=seconds, env=clean_environ())
