"""F10: whether cost grows in a straight line: ten batches of 100,000 beside one of 10,000."""

import statistics
from collections.abc import Iterator

from bench.client import Client
from bench.figures import Figure
from bench.sitting import Sitting


def measure(sitting: Sitting) -> Iterator[Figure]:
    if not sitting.server:
        return
    each = sitting.size(100_000, 5_000)
    small = each // 10
    base = [job(sitting, small, batches=1) for _ in range(3)]
    cpu, memory = job(sitting, each, batches=10)
    base_cpu = statistics.median(spent for spent, _ in base)
    base_memory = statistics.median(added for _, added in base)
    against = f"{small:,} requests in one batch"
    what = f"{10 * each:,} requests in ten batches"
    yield Figure("F10", f"{what}: CPU per 1,000", "s", cpu, 1.2, base_cpu, against)
    yield Figure("F10", f"{what}: added memory per request", "B", memory, 1.2, base_memory, against)


def job(sitting: Sitting, count: int, *, batches: int) -> tuple[float, float]:
    """Return CPU seconds per 1,000 requests and added bytes per request, all batches created ahead of their run."""
    sitting.say(f"  batchyard, {batches} x {count} requests")
    with sitting.mock() as mock, sitting.batchyard(mock.url) as server:
        server.rest()
        server.forget_peak()
        before, resident = server.cpu_seconds(), server.resident_bytes()
        client = Client(server.url)
        for batch in [client.create(sitting.body(count)) for _ in range(batches)]:
            client.follow(batch, every=0.25)
        client.close()
        server.rest()
        spent, added = server.cpu_seconds() - before, server.peak_bytes() - resident
    total = count * batches
    sitting.say(f"  {spent:.1f} s of CPU, {added / 1e6:.0f} MB added at most")
    return spent / total * 1000, added / total
