"""F1: the CPU of a whole job, upload to results, at an upstream that answers at once."""

from collections.abc import Iterator

from bench.client import Client, check_results
from bench.figures import Figure
from bench.sitting import Sitting

IN_FLIGHT = 64
WHAT = "CPU of a whole job, per 1,000 requests, upstream answers at once"


def measure(sitting: Sitting) -> Iterator[Figure]:
    ours = job(sitting, sitting.size(100_000, 5_000)) if sitting.server else None
    with sitting.mock() as mock:
        sitting.say("  a loop of the official SDK")
        sdk = sitting.loop("bench.sdk_loop", mock.url, count=sitting.size(5_000, 500), in_flight=IN_FLIGHT)
        sitting.say("  a loop of aiohttp")
        lean = sitting.loop("bench.aiohttp_loop", mock.url, count=sitting.size(20_000, 5_000), in_flight=IN_FLIGHT)
    for against, loop, bound in (
        ("official SDK, loop with a semaphore", sdk, 1 / 20),
        ("aiohttp, the same", lean, 0.5),
    ):
        theirs = loop.cpu_seconds / loop.requests * 1000
        yield Figure("F1", WHAT, "s", ours, bound, theirs, against)


def job(sitting: Sitting, count: int) -> float:
    """Return the server's CPU seconds per 1,000 requests: create, run, results, and its tidying up afterwards."""
    sitting.say(f"  batchyard, {count} requests")
    target = sitting.scratch / "results.jsonl"
    with sitting.mock() as mock, sitting.batchyard(mock.url, concurrency=IN_FLIGHT) as server:
        server.rest()
        before = server.cpu_seconds()
        batch = sitting.finished(server.url, count)
        client = Client(server.url)
        client.results(batch, target)
        client.close()
        server.rest()
        spent = server.cpu_seconds() - before
    check_results(target, count)
    return spent / count * 1000
