"""What a lease costs on PostgreSQL while more and more requests wait: ``python -m bench.claim postgresql://…``.

For each size the store is filled up to so many waiting requests, in batches of 100,000. Then one owner takes turns:
each leases 64 requests of some batch and settles those of the turn before. Told are the size of the database, and for
each turn: the CPU that the server process spent, how many pages it touched, and the wall time (which means little on a
machine that does other things too). The server must be on this machine, and its schema ``batchyard`` is filled: name a
database with nothing in it.
"""

import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from batchyard.domain.request import Lease
from batchyard.ports import Pick
from batchyard.store.postgres import PostgresStore
from batchyard.testing.factories import MODEL, a_batch, drafts, later, origin, succeeded

BATCH = 100_000
SLOTS = 64
PLANNED = 20
"""Turns that are not counted: plans are made, pages are read for the first time."""
TURNS = 120
MESSAGE = b'{"type":"message","text":"' + b"x" * 1000 + b'"}'
SIZES = (10_000, 100_000, 1_000_000)


class Backlog:
    """Batches, and how many requests wait in each."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._packed = drafts(BATCH)
        self._chance = random.Random(1)
        self.waiting: dict[str, int] = {}

    async def fill(self, size: int) -> None:
        """Add batches until so many requests wait."""
        while (missing := size - sum(self.waiting.values())) > 0:
            wanted = min(BATCH, missing)
            some = self._packed if wanted == BATCH else drafts(wanted)
            came = origin(sent=f"body {len(self.waiting)}")
            batch = await self._store.create(a_batch(), some, came, defend=False)
            self.waiting[batch.id] = wanted

    def pick(self) -> Pick:
        """Return a pick of some batch that has enough."""
        batch = self._chance.choice([batch for batch, waiting in self.waiting.items() if waiting >= SLOTS])
        self.waiting[batch] -= SLOTS
        return Pick(batch, MODEL, SLOTS)


async def main(url: str, sizes: Sequence[int]) -> None:
    store = await PostgresStore.open(url, connections=1)
    watch = await asyncpg.connect(url.partition("?")[0])
    server = await store._connections.read(_server)
    backlog = Backlog(store)
    for size in sizes:
        await backlog.fill(size)
        for table in ("requests", "parts"):
            await watch.execute(f"vacuum analyze batchyard.{table}")
        print(json.dumps({"waiting": size, **await turns(store, backlog, watch, server)}), flush=True)
    await watch.close()
    await store.close()


async def turns(store: PostgresStore, backlog: Backlog, watch: Any, server: int) -> dict[str, float]:
    """Take turns; return what one costs."""
    held: list[Lease] = []
    seconds = []
    for number in range(TURNS):
        if number == PLANNED:
            pages, cpu = await _pages(watch), _cpu(server)
        settlements = [succeeded(lease, MESSAGE) for lease in held]
        began = time.perf_counter()
        turn = await store.turn("o1", settlements, [backlog.pick()], later(60))
        seconds.append(time.perf_counter() - began)
        assert len(turn.leases) == SLOTS, len(turn.leases)
        held = list(turn.leases)
    spent = _cpu(server) - cpu
    await asyncio.sleep(1.5)  # the server tells its counts a second late
    touched = await _pages(watch) - pages
    await store.turn("o1", [succeeded(lease, MESSAGE) for lease in held], [], later(60))
    counted = TURNS - PLANNED
    megabytes = await watch.fetchval("select pg_database_size(current_database())") / 1e6
    return {
        "database_mb": round(megabytes),
        "server_cpu_ms": round(1000 * spent / counted, 2),
        "pages": round(touched / counted, 1),
        "median_ms": round(1000 * statistics.median(seconds[PLANNED:]), 2),
    }


async def _server(db: Any) -> int:
    return int(await db.fetchval("select pg_backend_pid()"))


async def _pages(watch: Any) -> int:
    """Return how many pages were touched; ours and the vacuum's, which has ended by then."""
    counts = "select blks_hit + blks_read from pg_stat_database where datname = current_database()"
    return int(await watch.fetchval(counts))


def _cpu(pid: int) -> float:
    """Return the CPU seconds of a process of this machine."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], [int(text) for text in sys.argv[2:]] or SIZES))
