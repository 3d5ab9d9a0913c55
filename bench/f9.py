"""F9: what an upstream's everyday faults cost: 2 % 429, 1 % 500, 1 % 529, 0.5 % dropped connections."""

import statistics
import time
from collections.abc import Iterator

from bench.client import Client
from bench.figures import Figure
from bench.sitting import Sitting, slots_used

SLOTS = 256
LATENCY = 0.05


def measure(sitting: Sitting) -> Iterator[Figure]:
    if not sitting.server:
        return
    count = sitting.size(100_000, 10_000)
    clean, faulty, patient = [], [], []
    for _ in range(1 if sitting.short else 3):
        clean.append(job(sitting, count, faults=False))
        faulty.append(job(sitting, count, faults=True))
        patient.append(job(sitting, count, faults=True, retry_after=1))
    theirs = statistics.median(clean)
    for seconds, words in ((faulty, ""), (patient, ", each 429 asks for 1 s of patience")):
        what = f"wall of {count:,} requests with everyday faults{words} (50 ms, 256 in flight)"
        yield Figure("F9", what, "s", statistics.median(seconds), 1.15, theirs, "the same without faults")


def job(sitting: Sitting, count: int, *, faults: bool, retry_after: int = 0) -> float:
    """Return the wall time from the create's answer to the batch's end."""
    sitting.say(f"  batchyard, {count} requests, {'everyday faults' if faults else 'no faults'}")
    # Dropped twice, a request is not sent a third time: two or three of 100,000 end so.
    may_fail = 5 + count // 10_000 if faults else 0
    with (
        sitting.mock(latency=LATENCY, faults=faults, retry_after=retry_after) as mock,
        sitting.batchyard(mock.url, concurrency=SLOTS) as server,
    ):
        client = Client(server.url)
        batch = client.create(sitting.body(count))
        began = time.perf_counter()
        client.follow(batch, every=0.05, may_fail=may_fail)
        spent = time.perf_counter() - began
        client.close()
        tally = mock.tally()
    sitting.say(f"  {tally.calls} calls, {slots_used(tally, SLOTS):.0%} of the slots used: {tally.answers}")
    return spent
