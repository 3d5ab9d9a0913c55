"""F8: what durability costs: the same server with its syncs to disk made to do nothing, by libeatmydata."""

import statistics
import time
from collections.abc import Iterator

from bench.client import Client
from bench.figures import Figure
from bench.sitting import Sitting

MISSING = "libeatmydata is not installed (Debian and Ubuntu: apt install libeatmydata1)"
AGAINST = "the same, syncs to disk switched off"


def measure(sitting: Sitting) -> Iterator[Figure]:
    count = sitting.size(50_000, 5_000)
    for latency, slots, bound, words in ((0.0, 64, 1.5, "at once"), (0.05, 256, 1.05, "after 50 ms, 256 in flight")):
        durable: list[float] = []
        careless: list[float] = []
        if sitting.server:
            for _ in range(1 if sitting.short else 3):
                durable.append(job(sitting, count, latency, slots))
                if sitting.eatmydata:
                    careless.append(job(sitting, count, latency, slots, preload=sitting.eatmydata))
        ours = statistics.median(durable) if durable else None
        theirs = statistics.median(careless) if careless else None
        note = "" if sitting.eatmydata else MISSING
        what = f"wall of {count:,} requests, upload to end, upstream answers {words}"
        yield Figure("F8", what, "s", ours, bound, theirs, AGAINST, note=note)


def job(sitting: Sitting, count: int, latency: float, slots: int, *, preload: str = "") -> float:
    """Return the wall time from the upload's first byte to the batch's end."""
    sitting.say(f"  batchyard, {count} requests, {'syncs off' if preload else 'durable'}")
    environment = {"LD_PRELOAD": preload} if preload else {}
    with (
        sitting.mock(latency=latency) as mock,
        sitting.batchyard(mock.url, concurrency=slots, environment=environment) as server,
    ):
        client = Client(server.url)
        body = sitting.body(count)
        began = time.perf_counter()
        client.follow(client.create(body), every=0.05)
        spent = time.perf_counter() - began
        client.close()
    return spent
