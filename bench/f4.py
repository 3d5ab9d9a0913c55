"""F4: how many of 1,000 slots are in use, with calls of 50 ms and with calls of half a second to one and a half."""

from collections.abc import Iterator

from bench import f3
from bench.figures import Figure
from bench.sitting import Sitting, slots_used

SLOTS = 1000


def measure(sitting: Sitting) -> Iterator[Figure]:
    count = sitting.size(100_000, 20_000)
    for latency, spread, bound, words in ((0.05, 0.0, 0.90, "50 ms"), (1.0, 0.5, 0.99, "1 s ± 50 %")):
        ours = None
        if sitting.server:
            ours = f3.used(
                sitting, count, slots=SLOTS, latency=latency, spread=spread, batches=1 if sitting.short else 2
            )
        sitting.say("  a loop of aiohttp")
        with sitting.mock(latency=latency, spread=spread) as mock:
            sitting.loop("bench.aiohttp_loop", mock.url, count=count, in_flight=SLOTS)
            theirs = slots_used(mock.tally(), SLOTS)
        what = f"share of 1,000 slots in use, calls of {words}"
        yield Figure("F4", what, "", ours, bound, theirs, "aiohttp, loop with a semaphore", at_most=False, alone=True)
