"""What a sealer reads from the embedded store: any bytes, in slices that fit into memory."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

from batchyard.domain.result import Succeeded
from batchyard.ports import Final, Pick
from batchyard.store.sqlite import SqliteStore
from batchyard.testing.factories import MODEL, a_batch, drafts, later, origin, succeeded

MEGABYTE = 1024 * 1024


def slices_of(folder: Path, messages: Sequence[bytes]) -> list[Sequence[Final]]:
    """Return the slices of a batch whose requests succeeded with these messages, the last one first."""

    async def live() -> list[Sequence[Final]]:
        store = SqliteStore.open(folder)
        batch = await store.create(a_batch(), drafts(len(messages)), origin(), defend=False)
        leases = (await store.turn("o1", [], [Pick(batch.id, MODEL, len(messages))], later(1))).leases
        settlements = [succeeded(lease, messages[lease.seq]) for lease in reversed(leases)]
        await store.turn("o1", settlements, [], later(2))
        parts = [part async for part in store.finals(batch.id)]
        await store.close()
        return parts

    return asyncio.run(live())


def test_results_keep_every_byte_and_their_order(tmp_path: Path) -> None:
    chance = random.Random(3)
    messages = [chance.randbytes(chance.randrange(3000)) for _ in range(60)]
    messages[7], messages[8], messages[9] = b"", b"\0\0", b"\xff\xfe,',\xc3\x28"

    [finals] = slices_of(tmp_path, messages)

    assert [final.result for final in finals] == [Succeeded(message) for message in messages]
    assert [final.arrival for final in finals] == list(range(60, 0, -1))


def test_large_results_come_in_slices_of_some_megabytes(tmp_path: Path) -> None:
    messages = [b"a" * 2 * MEGABYTE, b"b" * MEGABYTE, b"c" * 9 * MEGABYTE, b"d", b"e" * 3 * MEGABYTE, b"f" * MEGABYTE]

    parts = slices_of(tmp_path, messages)

    assert [[final.seq for final in part] for part in parts] == [[0, 1], [2], [3, 4], [5]]
    assert [final.result for part in parts for final in part] == [Succeeded(message) for message in messages]
