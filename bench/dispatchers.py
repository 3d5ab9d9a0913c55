"""Throughput with 1, 2 and 4 dispatchers on one PostgreSQL: ``python -m bench.dispatchers postgresql://…``.

Each size is a run of its own: one API process and so many dispatchers, each with 100 slots, against a model server that
takes a second. Told are requests a second from the create to the end, the share of slots that calls used while it ran,
and the CPU that all our processes took for each 1,000 requests. The schema of each run stays behind in the database.
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import inputs
from bench.client import Client
from bench.processes import Running
from bench.sitting import ROOT, Mock, slots_used

SLOTS = 100
LATENCY = 1.0
SECONDS = 20
"""How long a run takes at best: each dispatcher gets so many times its slots to do."""
SIZES = (1, 2, 4)


def main(url: str, sizes: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for dispatchers in sizes:
            print(json.dumps(measured(Path(folder), url, dispatchers)), flush=True)


def measured(folder: Path, url: str, dispatchers: int) -> dict[str, float]:
    """Run one size."""
    count, slots = SLOTS * SECONDS * dispatchers, SLOTS * dispatchers
    common = {
        "BATCHYARD_DATABASE": f"{url}?schema=dispatchers_{dispatchers}_{int(time.time())}",
        "BATCHYARD_DATA": str(folder / f"data{dispatchers}"),
        "BATCHYARD_CONCURRENCY": str(slots),
    }
    with ExitStack() as stack:
        command = [sys.executable, "-m", "bench.mock", "--latency", str(LATENCY)]
        mock = stack.enter_context(Mock(command, folder=folder / "mock", environment={"PYTHONPATH": str(ROOT)}))
        common["BATCHYARD_UPSTREAM"] = mock.url
        command = [sys.executable, "-m", "batchyard", "serve", "--port", "0"]
        roles = ["api", *["dispatch"] * dispatchers]
        ours = [
            stack.enter_context(
                Running(
                    command, folder=folder / f"{dispatchers}-{number}", environment=common | {"BATCHYARD_ROLE": role}
                )
            )
            for number, role in enumerate(roles)
        ]
        client = Client(ours[0].url)
        stack.callback(client.close)
        body = inputs.batch_body(folder, count, 1500)
        before = sum(process.cpu_seconds() for process in ours)
        began = time.monotonic()
        client.follow(client.create(body), every=0.25)
        seconds = time.monotonic() - began
        spent = sum(process.cpu_seconds() for process in ours) - before
        tally = mock.tally()
    return {
        "dispatchers": dispatchers,
        "requests_per_second": round(count / seconds, 1),
        "slots_used": round(slots_used(tally, slots), 3),
        "cpu_seconds_per_1000": round(1000 * spent / count, 3),
    }


if __name__ == "__main__":
    main(sys.argv[1], [int(text) for text in sys.argv[2:]] or SIZES)
