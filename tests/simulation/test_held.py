"""What attempts hold in memory: large params wait for room, small ones for nobody, and nothing is stuck."""

import asyncio
import zlib
from collections.abc import Sequence
from datetime import timedelta

from batchyard.dispatch.held import Held
from batchyard.domain.batch import Batch
from batchyard.domain.request import Drafts, Origin
from batchyard.ports import NewBatch
from batchyard.testing.blobs import MemoryBlobs
from batchyard.testing.time import run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, always, answered
from tests.simulation.world import World, world

MB = 1024 * 1024


class Claiming(MemoryBlobs):
    """Blobs whose params claim to be as long as anybody says, and take no memory."""

    async def read(self, name: str, offset: int, length: int) -> bytes:
        return b"{}"


async def create(here: World, lengths: Sequence[int], *, hours: float = 24.0) -> Batch:
    drafts, writer, now = Drafts(), here.blobs.writer("body"), here.clock.now()
    for number, length in enumerate(lengths):
        drafts.add(f"r{number}", 0, length, zlib.crc32(b"{}"))
    await writer.finish()
    new = NewBatch("w", now, now + timedelta(hours=hours), "2023-06-01", (), writer.name)
    batch = await here.store.create(new, drafts, Origin("caller", "hash", 0), defend=False)
    here.wake()
    return batch


def test_large_params_wait_for_room_and_small_ones_do_not() -> None:
    upstream = ScriptedUpstream(always(answered(), seconds=10.0))

    async def main() -> tuple[int, list[str]]:
        async with world(upstream, limit=32) as here:
            here.blobs = Claiming()
            await here.kill()
            await here.start()
            batch = await create(here, [30 * MB] * 16 + [1000] * 10)
            await asyncio.sleep(5.0)
            at_once = upstream.in_flight
            return at_once, await here.kinds(batch)

    at_once, kinds = run_virtual(main(), limit=600)

    assert at_once == 4 + 10
    assert kinds == ["succeeded"] * 26


def test_what_waits_for_room_expires_with_its_batch() -> None:
    upstream = ScriptedUpstream(always(answered(), seconds=3000.0))

    async def main() -> list[str]:
        async with world(upstream, limit=32) as here:
            here.blobs = Claiming()
            await here.kill()
            await here.start()
            return await here.kinds(await create(here, [30 * MB] * 6, hours=0.1))

    assert run_virtual(main(), limit=1200) == ["expired"] * 6
    assert len(upstream.calls) == 4


def test_one_that_is_larger_than_all_room_goes_alone_and_room_is_given_in_turn() -> None:
    told: list[str] = []

    async def hold(held: Held, name: str, size: int) -> None:
        await held.take(size)
        told.append(name)
        assert held.bytes <= MB or held.bytes == size
        await asyncio.sleep(1.0)
        held.give(size)

    async def main() -> None:
        held = Held(MB)
        sizes = {"a": MB // 2, "b": 2 * MB, "c": MB // 2, "d": MB // 2, "small": 10}
        tasks = {name: asyncio.create_task(hold(held, name, size)) for name, size in sizes.items()}
        await asyncio.gather(*tasks.values())
        assert held.bytes == 0

    run_virtual(main(), limit=60)

    assert told == ["a", "small", "b", "c", "d"]


def test_one_that_is_cut_gives_its_room_to_the_next() -> None:
    async def main() -> None:
        held = Held(MB)
        await held.take(MB)
        cut, patient = asyncio.create_task(held.take(2 * MB)), asyncio.create_task(held.take(MB))
        await asyncio.sleep(0)
        held.give(MB)
        cut.cancel()  # it was given its room in this very moment
        await asyncio.wait([cut, patient])
        assert cut.cancelled()
        assert held.bytes == MB

    run_virtual(main(), limit=60)
