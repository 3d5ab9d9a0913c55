"""F7: how fast results are sent, beside the same HTTP server sending constant blocks of 256 KiB."""

import statistics
from collections.abc import Iterator

from bench.client import Client, Download
from bench.figures import Figure
from bench.processes import Running
from bench.sitting import Sitting

TEXT_BYTES = 1200
AGAINST = "constant blocks, Starlette and uvicorn"


def measure(sitting: Sitting) -> Iterator[Figure]:
    count = sitting.size(100_000, 10_000)
    rounds = 3 if sitting.short else 7
    size = count * 1_600
    ours: list[Download] = []
    if sitting.server:
        sitting.say(f"  batchyard, results of {count} requests")
        with sitting.mock(text_bytes=TEXT_BYTES) as mock, sitting.batchyard(mock.url) as server:
            batch = sitting.finished(server.url, count)
            ours, added = downloads(server, f"/v1/messages/batches/{batch}/results", rounds)
        size = ours[0].size
        yield Figure("S3", "results being sent: added memory", "MB", added / 1e6, 16 * 1.048576, alone=True)
    sitting.say("  constant blocks")
    with sitting.program("bench.blocks") as blocks:
        theirs, _ = downloads(blocks, f"/blocks?size={size}", rounds)
    fast = rate(ours) if ours else None
    yield Figure("F7", f"results, {size / 1e6:.0f} MB", "MB/s", fast, 1 / 5, rate(theirs), AGAINST, at_most=False)
    first = max(each.first_byte_seconds for each in ours) * 1000 if ours else None
    yield Figure("F7", "results: first byte, slowest of all reads", "ms", first, 50, alone=True)


def rate(reads: list[Download]) -> float:
    return statistics.median(each.size / each.seconds for each in reads) / 1e6


def downloads(server: Running, path: str, rounds: int) -> tuple[list[Download], int]:
    """Return each download, and the memory they added at most."""
    server.rest()
    server.forget_peak()
    before = server.resident_bytes()
    client = Client(server.url)
    reads = [client.download(path) for _ in range(rounds)]
    client.close()
    return reads, server.peak_bytes() - before
