"""SIGKILL of a process that writes to the embedded store: whatever it was told is done, is there afterwards."""

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batchyard.domain.batch import Status
from batchyard.domain.result import Succeeded
from batchyard.store.sqlite import SqliteStore

REQUESTS = 12

LIVE = f"""
import asyncio, json, sys
from pathlib import Path
from batchyard.domain.batch import Counts
from batchyard.ports import Pick
from batchyard.store.sqlite import SqliteStore
from batchyard.testing.factories import MODEL, a_batch, drafts, later, origin, sealed_files, succeeded

def told(what, *facts):
    print(json.dumps([what, *facts]), flush=True)

async def life(store, owner):
    while True:
        batch = await store.create(a_batch(), drafts({REQUESTS}), origin(), defend=False)
        told("created", batch.id)
        settlements = []
        while True:
            turn = await store.turn(owner, settlements, [Pick(batch.id, MODEL, 5)], later(1))
            for settlement in settlements:
                told("settled", batch.id, settlement.lease.seq, settlement.result.message.decode())
            for lease in turn.leases:
                told("leased", batch.id, lease.seq, lease.attempt)
            if not turn.leases:
                break
            settlements = [succeeded(lease, b"%d of %s" % (lease.seq, batch.id.encode())) for lease in turn.leases]
        await store.seal(batch.id, sealed_files(), Counts(succeeded={REQUESTS}), later(2))
        told("sealed", batch.id)
        await store.sweep(7)

async def main():
    store = SqliteStore.open(Path(sys.argv[1]))
    await asyncio.gather(*[life(store, f"o{{number}}") for number in range(4)])

asyncio.run(main())
"""


def killed_after(folder: Path, lines: int) -> list[list[Any]]:
    """Let a process live in the folder until it told so much, kill it, and return all that it told."""
    process = subprocess.Popen([sys.executable, "-c", LIVE, str(folder)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    rest = process.stdout.read()  # communicate() would read past what readline() has buffered
    process.stdout.close()
    process.wait()
    whole = [line for line in [*said, *rest.splitlines(keepends=True)] if line.endswith(b"\n")]
    assert len(whole) >= lines
    return [json.loads(line) for line in whole]


async def check(folder: Path, told: list[list[Any]]) -> None:
    store = SqliteStore.open(folder)
    assert await store._writer.run(lambda connection: connection.pragma("integrity_check")) == "ok"
    batches = {name: await store.get("w1", name) for _, name, *_ in told}
    finals = {name: [f async for part in store.finals(name) for f in part] for name in batches}
    for what, name, *facts in told:
        batch, rows = batches[name], finals[name]
        assert len(rows) == (0 if batch.status is Status.ENDED else REQUESTS)
        match what:
            case "settled" if rows:
                assert rows[facts[0]].result == Succeeded(facts[1].encode())
            case "leased" if rows:
                assert rows[facts[0]].attempts >= facts[1]
            case "settled" | "leased":
                assert batch.counts.succeeded == REQUESTS
            case "sealed":
                assert batch.status is Status.ENDED
    await store.close()


def kill_often(folder: Path, *, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(kills):
        asyncio.run(check(folder, killed_after(folder, chance.randint(1, 300))))


def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    kill_often(tmp_path, kills=20, seed=1)


@pytest.mark.accept
def test_what_was_acknowledged_survives_many_kills(tmp_path: Path) -> None:
    kill_often(tmp_path, kills=500, seed=2)
