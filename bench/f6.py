"""F6: how long others wait for an answer while a large batch is created, and while it runs."""

import statistics
from collections.abc import Iterator
from pathlib import Path

from bench.client import Client
from bench.f5 import AGAINST, NEVER
from bench.figures import Figure
from bench.prober import Prober
from bench.processes import Running
from bench.sitting import LARGE, Sitting, path_of

EVERY = 0.005


def measure(sitting: Sitting) -> Iterator[Figure]:
    count = sitting.size(100_000, 10_000)
    body = sitting.body(count, LARGE)
    ours, theirs = [], []
    for _ in range(1 if sitting.short else 3):
        if sitting.server:
            sitting.say(f"  batchyard, GETs during a create of {count} requests")
            with sitting.mock(latency=NEVER) as mock, sitting.batchyard(mock.url) as server:
                ours.append(worst_get(sitting, server, body))
        sitting.say("  the FastAPI endpoint, the same")
        with sitting.program("bench.fastapi_create", "batches.sqlite") as endpoint:
            theirs.append(worst_get(sitting, endpoint, body))
    what = f"longest GET of a batch during a create of {count:,} requests"
    worst = statistics.median(ours) if ours else None
    yield Figure("F6", what, "ms", worst, 1 / 20, statistics.median(theirs), AGAINST)
    p99 = while_running(sitting, count) if sitting.server else None
    yield Figure("F6", f"99th percentile of GETs while {count:,} run (50 ms, 256)", "ms", p99, 20, alone=True)


def worst_get(sitting: Sitting, server: Running, body: Path) -> float:
    """Return the longest GET of another batch, in milliseconds."""
    client = Client(server.url)
    other = client.create(sitting.body(10))
    client.close()
    server.rest()
    with Prober(server.url, path_of(other), EVERY) as prober:
        sitting.uploads(server.url, body)
    return prober.worst() * 1000


def while_running(sitting: Sitting, count: int) -> float:
    sitting.say(f"  batchyard, GETs while {count} requests run")
    with sitting.mock(latency=0.05) as mock, sitting.batchyard(mock.url, concurrency=256) as server:
        client = Client(server.url)
        batch = client.create(sitting.body(count))
        with Prober(server.url, path_of(batch), EVERY) as prober:
            client.follow(batch, every=0.5)
        client.close()
    return prober.percentile(99) * 1000
