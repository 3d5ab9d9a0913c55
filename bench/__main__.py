"""Runs measurements: each figure is a JSON line on standard output, words go to standard error.

python -m bench                              all of them, some 20 minutes
python -m bench f3 f5 --short                two of them, seconds
python -m bench f3 --requests 20000
"""

import argparse
import ctypes.util
import importlib
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

from bench.processes import TICKS
from bench.sitting import ROOT, Sitting

MEASURES = ("f1", "f2", "f3", "f4", "f5", "s3", "f6", "f7", "f8", "f9", "f10")
BESIDE = ("anthropic", "aiohttp", "fastapi", "pydantic", "starlette", "uvicorn", "uvloop")


def place(sitting: Sitting) -> dict[str, str]:
    """Return what a reader must know of where and with what this was measured."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    version = "not measured"
    if sitting.server:
        said = subprocess.run([sitting.server, "--version"], capture_output=True, text=True, check=False, timeout=60)
        version = said.stdout.strip() or "unknown"
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "form": "short" if sitting.short else "full",
        "machine": f"{os.cpu_count()} cores ({cpu[0].partition(':')[2].strip()}), {memory:.0f} GiB",
        "system": f"Linux {platform.release()}, Python {platform.python_version()}",
        "file system": filesystem(sitting.scratch),
        "load before": f"{os.getloadavg()[0]:.1f}",
        "Batchyard": version,
        "beside it": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in BESIDE),
    }


def filesystem(folder: Path) -> str:
    """Return the kind of file system the folder is on: on one in memory, durability costs nothing."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    within = [(mount, kind) for mount, kind in mounts if folder.is_relative_to(mount)]
    return max(within, key=lambda each: len(each[0]))[1]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("measures", nargs="*", metavar="measure", help=f"{', '.join(MEASURES)}; none: all")
    parser.add_argument("--short", action="store_true", help="seconds instead of minutes; rough")
    parser.add_argument("--requests", type=int, help="how many requests, instead of what the form says")
    parser.add_argument("--server", type=Path, default=ROOT / ".venv/bin/batchyard", help="the batchyard program")
    parser.add_argument("--without-server", action="store_true", help="measure only what stands beside it")
    parser.add_argument("--wrk", default=shutil.which("wrk"), help="the wrk program, for f2")
    parser.add_argument("--eatmydata", default=ctypes.util.find_library("eatmydata"), help="libeatmydata.so, for f8")
    parser.add_argument("--scratch", type=Path, help="where bodies, data folders and logs go (a real disk)")
    chosen = parser.parse_args()
    if unknown := set(chosen.measures) - set(MEASURES):
        parser.error(f"no such measure: {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    return chosen


def main() -> int:
    chosen = options()
    if not chosen.without_server and not chosen.server.exists():
        print(f"{chosen.server} is not there: make setup, or name it with --server", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended, and the folder removed
    failed = 0
    with tempfile.TemporaryDirectory(prefix="bench-", dir=chosen.scratch) as scratch:
        sitting = Sitting(
            server=None if chosen.without_server else chosen.server.absolute(),
            wrk=chosen.wrk,
            eatmydata=chosen.eatmydata,
            scratch=Path(scratch),
            short=chosen.short,
            count=chosen.requests,
        )
        print(json.dumps(place(sitting)), flush=True)
        others = []
        for name in chosen.measures or MEASURES:
            busy, ours = busy_seconds(), own_seconds()
            failed += not run(sitting, name)
            share = 1 - (own_seconds() - ours) / max(busy_seconds() - busy, 0.01)
            others.append(f"{name} {max(share, 0):.0%}")
        print(json.dumps({"share of the CPU time used that was other programs'": ", ".join(others)}), flush=True)
    return 1 if failed else 0


def busy_seconds() -> float:
    """Return the time that all cores have spent at work since the machine started."""
    user, nice, system, _idle, _wait, *rest = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return sum(map(int, (user, nice, system, *rest[:3]))) / TICKS


def own_seconds() -> float:
    """Return the CPU time of this process and of those it started that have ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def run(sitting: Sitting, name: str) -> bool:
    """Measure and print; a measurement that breaks is named and the others go on."""
    began = time.monotonic()
    sitting.say(name)
    try:
        for figure in importlib.import_module(f"bench.{name}").measure(sitting):
            print(figure.line(), flush=True)
    except Exception:
        sitting.say(f"  {name} broke\n{traceback.format_exc()}")
        return False
    sitting.say(f"  {time.monotonic() - began:.0f} s")
    return True


if __name__ == "__main__":
    sys.exit(main())
