"""S3: the memory that creates of 256 MB add, one and eight at once, and whether others wait meanwhile."""

from collections.abc import Iterator

from bench import f5
from bench.figures import Figure
from bench.prober import Prober
from bench.sitting import Sitting

MOST = 256 * 1024 * 1024


def measure(sitting: Sitting) -> Iterator[Figure]:
    if not sitting.server:
        return
    count = 100_000 if not sitting.short else 20_000
    size = (MOST - 64) // 100_000 - 1
    body = sitting.body(count, size)
    megabytes = body.stat().st_size / 1e6
    for at_once, bound in ((1, 64), (8, 400)):
        sitting.say(f"  batchyard, {at_once} x {megabytes:.0f} MB")
        with (
            sitting.mock(latency=f5.NEVER) as mock,
            sitting.batchyard(mock.url) as server,
            Prober(server.url, "/healthz", 0.005) as prober,
        ):
            _, added = f5.create(sitting, server, body, at_once=at_once)
        what = f"{at_once} create{'s' * (at_once > 1)} of {megabytes:.0f} MB at once"
        yield Figure("S3", f"{what}: added memory", "MB", added / 1e6, bound * 1.048576, alone=True)
        worst = prober.worst() * 1000
        yield Figure("S3", f"{what}: longest answer of /healthz meanwhile", "ms", worst, 100, alone=True)
