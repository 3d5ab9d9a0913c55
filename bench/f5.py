"""F5: a create of 100,000 requests, 152 MB, durable before the answer: how long, how much memory."""

import statistics
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure
from bench.processes import Running
from bench.sitting import LARGE, Sitting

AGAINST = "FastAPI, pydantic, SQLite"
NEVER = 3600.0
"""Latency of an upstream that answers nothing, so that nothing but the create is measured."""


def measure(sitting: Sitting) -> Iterator[Figure]:
    count = sitting.size(100_000, 10_000)
    body = sitting.body(count, LARGE)
    ours: list[tuple[float, int]] = []
    theirs: list[tuple[float, int]] = []
    for _ in range(1 if sitting.short else 3):
        if sitting.server:
            sitting.say(f"  batchyard, {count} requests, {body.stat().st_size / 1e6:.0f} MB")
            with sitting.mock(latency=NEVER) as mock, sitting.batchyard(mock.url) as server:
                ours.append(create(sitting, server, body))
        sitting.say("  the FastAPI endpoint")
        with sitting.program("bench.fastapi_create", "batches.sqlite") as endpoint:
            theirs.append(create(sitting, endpoint, body))
    wall = statistics.median(seconds for seconds, _ in ours) if ours else None
    memory = max(added for _, added in ours) / 1e6 if ours else None
    theirs_wall = statistics.median(seconds for seconds, _ in theirs)
    theirs_memory = max(added for _, added in theirs) / 1e6
    yield Figure("F5", f"create of {count:,} requests: wall", "s", wall, 1 / 3, theirs_wall, AGAINST)
    yield Figure("F5", f"create of {count:,} requests: added memory", "MB", memory, 1 / 10, theirs_memory, AGAINST)


def create(sitting: Sitting, server: Running, body: Path, *, at_once: int = 1) -> tuple[float, int]:
    """Return the seconds of the longest create, and the memory all of them added at most."""
    server.rest()
    server.forget_peak()
    before = server.resident_bytes()
    uploads = sitting.uploads(server.url, body, at_once=at_once)
    return max(upload.seconds for upload in uploads), server.peak_bytes() - before
