"""A database with a damaged page in the rows of one batch: that batch's calls say so, its neighbours' succeed."""

import asyncio
import time
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from batchyard.domain.batch import Counts
from batchyard.domain.errors import StoreDamaged
from batchyard.ports import Pick
from batchyard.store import database
from batchyard.store.sqlite import SqliteStore
from batchyard.testing.factories import MODEL, a_batch, drafts, later, origin, sealed_files, succeeded

REQUESTS = 3000


def damage_rows_of_the_first(folder: Path) -> None:
    """Flip a byte in a leaf of the table of requests in the middle of the first batch's rows."""
    path = folder / database.NAME
    with closing(database.connect(path, None, apsw.SQLITE_OPEN_READWRITE)) as connection:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    content = bytearray(path.read_bytes())
    needle = f"r{REQUESTS // 2}".encode()
    leaves = [at for at in range(0, len(content), 4096) if content[at] == 0x0D and needle in content[at : at + 4096]]
    content[leaves[0] + 2000] ^= 4
    path.write_bytes(content)


def test_only_the_damaged_batch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not database.load_checksums():
        pytest.skip("this apsw comes without the checksum VFS")
    monkeypatch.setattr(database, "LARGEST_CHECKED", 0)  # as a database is opened that is too large to be read through

    async def made() -> list[str]:
        store = SqliteStore.open(tmp_path)
        made = [await store.create(a_batch(), drafts(REQUESTS), origin(sent=n), defend=False) for n in "ab"]
        await store.close()
        return [batch.id for batch in made]

    async def used(hurt: str, sound: str) -> None:
        store = SqliteStore.open(tmp_path)
        assert {ready.batch for ready in await store.backlog(later(1))} == {hurt, sound}
        with pytest.raises(StoreDamaged, match="checksum"):
            await store.turn("o", [], [Pick(hurt, MODEL, REQUESTS)], later(1))

        together = await store.turn("o", [], [Pick(sound, MODEL, REQUESTS)], later(1))
        assert len(together.leases) == REQUESTS
        settlements = [succeeded(lease, b"{}") for lease in together.leases]
        assert (await store.turn("o", settlements, [], later(2))).ripe == [sound]
        finals = [final async for part in store.finals(sound) for final in part]
        assert len(finals) == REQUESTS
        assert await store.seal(sound, sealed_files(), Counts(succeeded=REQUESTS), later(3)) is not None
        await store.cancel("w1", hurt, later(4))
        with pytest.raises(StoreDamaged):
            [final async for part in store.finals(hurt) for final in part]
        await store.close()

    hurt, sound = asyncio.run(made())
    damage_rows_of_the_first(tmp_path)
    asyncio.run(used(hurt, sound))


def test_the_culprit_is_told_that_it_is_damaged_and_its_neighbours_to_try_again(tmp_path: Path) -> None:
    def breaks(connection: apsw.Connection) -> None:
        connection.execute("rollback")  # as SQLite does at some faults
        raise apsw.CorruptError("database disk image is malformed")

    async def live() -> None:
        store = SqliteStore.open(tmp_path)
        held = asyncio.create_task(store._writer.run(lambda _: time.sleep(0.2)))  # what comes meanwhile is one group
        await asyncio.sleep(0.05)
        neighbour = asyncio.create_task(store.beat("o", later(1)))
        culprit = asyncio.create_task(store._writer.run(breaks))
        first, second, _ = await asyncio.gather(neighbour, culprit, held, return_exceptions=True)
        assert isinstance(second, StoreDamaged)
        assert isinstance(first, Exception)
        assert not isinstance(first, StoreDamaged)
        assert await store.beat("o", later(1)) == 1
        await store.close()

    asyncio.run(live())
