"""F3: how many of 256 slots are in use while calls take 50 ms."""

from collections.abc import Iterator

from bench.client import Client
from bench.figures import Figure
from bench.sitting import Sitting, slots_used

SLOTS = 256
LATENCY = 0.05


def measure(sitting: Sitting) -> Iterator[Figure]:
    ours = None
    if sitting.server:
        ours = used(sitting, sitting.size(100_000, 10_000), slots=SLOTS, latency=LATENCY)
    for module, name, full, short in (
        ("bench.sdk_loop", "official SDK, loop with a semaphore", 5_000, 1_000),
        ("bench.aiohttp_loop", "aiohttp, the same", 20_000, 10_000),
    ):
        sitting.say(f"  {name}")
        with sitting.mock(latency=LATENCY) as mock:
            sitting.loop(module, mock.url, count=sitting.size(full, short), in_flight=SLOTS)
            theirs = slots_used(mock.tally(), SLOTS)
        what = "share of 256 slots in use, calls of 50 ms"
        yield Figure("F3", what, "", ours, 0.95, theirs, name, at_most=False, alone=True)


def used(sitting: Sitting, count: int, *, slots: int, latency: float, spread: float = 0.0, batches: int = 1) -> float:
    """Return the share of slots in use while the server runs ``count`` requests in each batch."""
    sitting.say(f"  batchyard, {batches} x {count} requests, {slots} in flight, {latency} s")
    with (
        sitting.mock(latency=latency, spread=spread) as mock,
        sitting.batchyard(mock.url, concurrency=slots) as server,
    ):
        client = Client(server.url)
        for batch in [client.create(sitting.body(count)) for _ in range(batches)]:
            client.follow(batch, every=0.5)
        client.close()
        tally = mock.tally()
    sitting.say(f"  at most {tally.most_in_flight} in flight, CPU of the mock {tally.cpu_seconds:.1f} s")
    return slots_used(tally, slots)
