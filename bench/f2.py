"""F2: the CPU of the run phase for one request, beside wrk, which does nothing but send and read."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench import inputs
from bench.client import Client
from bench.figures import Figure
from bench.sitting import SMALL, Mock, Sitting

IN_FLIGHT = 64


def measure(sitting: Sitting) -> Iterator[Figure]:
    ours = run_phase(sitting, sitting.size(100_000, 5_000)) if sitting.server else None
    theirs = None
    note = "wrk is not installed (Debian and Ubuntu: apt install wrk)"
    if sitting.wrk:
        note = ""
        sitting.say("  wrk")
        with sitting.mock() as mock:
            theirs = wrk(sitting.wrk, mock, sitting.scratch, seconds=2 if sitting.short else 8)
    yield Figure("F2", "CPU of the run phase, per 1,000 requests", "s", ours, 5, theirs, "wrk", note=note)


def run_phase(sitting: Sitting, count: int) -> float:
    """Return the server's CPU seconds per 1,000 requests, from the create's answer to the batch's end."""
    sitting.say(f"  batchyard, {count} requests")
    with sitting.mock() as mock, sitting.batchyard(mock.url, concurrency=IN_FLIGHT) as server:
        client = Client(server.url)
        batch = client.create(sitting.body(count))
        before = server.cpu_seconds()
        client.follow(batch, every=0.25)
        spent = server.cpu_seconds() - before
        client.close()
    return spent / count * 1000


def wrk(program: str, mock: Mock, scratch: Path, *, seconds: int) -> float:
    """Return wrk's CPU seconds per 1,000 requests of the same size."""
    script = scratch / "wrk.lua"
    body = inputs.request(0, SMALL).decode()
    script.write_text(
        'wrk.method = "POST"\nwrk.path = "/v1/messages"\nwrk.headers["content-type"] = "application/json"\n'
        f"wrk.body = [==[{body}]==]\n"
    )
    command = [program, "-t1", f"-c{IN_FLIGHT}", f"-d{seconds}s", "-s", str(script), mock.url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"wrk ended with status {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) / mock.tally().calls * 1000
