"""Blobs as files: what is synced when, what damage is seen, what a fault, a crash or a cancelled caller leaves behind.

What all blob layers promise is in ``tests/contract/test_blobs.py``.
"""

import asyncio
import errno
import gc
import os
import random
import stat
import threading
import tracemalloc
from pathlib import Path

import pytest

from batchyard.blobs.blocks import BLOCK_BYTES
from batchyard.blobs.check import problem, size
from batchyard.blobs.disk import Disk
from batchyard.blobs.files import AHEAD_BYTES, KEPT_OPEN, FileBlobs
from batchyard.blobs.writer import BUFFER_BYTES, FileWriter
from batchyard.domain.errors import DataRefused, StoreUnavailable
from batchyard.ports import Damaged


class RecordingDisk(Disk):
    """Writes down every call that changes the disk, and fails the one that it is told to."""

    def __init__(self, *, fail_at: int | None = None, number: int = errno.ENOSPC) -> None:
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self.opened: list[int] = []
        self.read_error: int | None = None
        self.bad_from: int | None = None
        self.reads = 0
        self._fail_at = fail_at
        self._number = number

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self.threads.add(threading.get_ident())
        if len(self.calls) - 1 == self._fail_at:
            raise OSError(self._number, os.strerror(self._number))

    def create(self, path: Path) -> int:
        self._note(f"create {path.suffix}")
        return super().create(path)

    def write(self, descriptor: int, content: bytes) -> None:
        self._note("write")
        super().write(descriptor, content)

    def sync(self, descriptor: int) -> None:
        self._note("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync")
        super().sync(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        self._note(f"rename to {new.suffix}")
        super().rename(old, new)

    def open(self, path: Path) -> int:
        descriptor = super().open(path)
        self.opened.append(descriptor)
        return descriptor

    def read(self, descriptor: int, offset: int, length: int) -> bytes:
        self.reads += 1
        if self.read_error is not None:
            raise OSError(self.read_error, os.strerror(self.read_error))
        if self.bad_from is not None and offset + length > self.bad_from:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(descriptor, offset, length)


async def put(blobs: FileBlobs, *chunks: bytes, kind: str = "body") -> str:
    writer = blobs.writer(kind)
    for chunk in chunks:
        await writer.write(chunk)
    await writer.finish()
    return writer.name


async def get(blobs: FileBlobs, name: str) -> bytes:
    reader = await blobs.open(name)
    try:
        return await reader.read(0, reader.size)
    finally:
        reader.close()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_bytes_are_synced_before_the_name_and_the_name_before_finish_returns(tmp_path: Path) -> None:
    disk = RecordingDisk()
    blobs = FileBlobs(tmp_path / "blobs", disk=disk)
    assert disk.calls == ["sync folder"], "the new folder itself must outlive a power loss"
    disk.calls.clear()

    asyncio.run(put(blobs, b"x" * BUFFER_BYTES, b"y"))

    assert disk.calls == ["create .part", "write", "write", "write", "sync", "rename to .body", "sync folder"]


def test_the_loop_does_not_wait_for_the_disk_while_writing(tmp_path: Path) -> None:
    disk = RecordingDisk()
    blobs = FileBlobs(tmp_path, disk=disk)
    disk.threads.clear()

    asyncio.run(put(blobs, b"x" * BUFFER_BYTES, b"y"))

    assert threading.get_ident() not in disk.threads


def test_small_writes_are_gathered(tmp_path: Path) -> None:
    disk = RecordingDisk()
    blobs = FileBlobs(tmp_path, disk=disk)

    name = asyncio.run(put(blobs, *[b"x" * 1000] * 3000))

    assert disk.calls.count("write") <= 6
    assert asyncio.run(get(blobs, name)) == b"x" * 3_000_000


def test_bytes_come_back_in_the_order_they_were_written(tmp_path: Path) -> None:
    chance = random.Random(5)
    chunks = [chance.randbytes(chance.choice([0, 1, 1000, 65_536, 700_000, 2_500_000])) for _ in range(25)]
    blobs = FileBlobs(tmp_path)

    name = asyncio.run(put(blobs, *chunks))

    assert asyncio.run(get(blobs, name)) == b"".join(chunks)


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "data" / "blobs")
    name = asyncio.run(put(blobs, b"secret"))

    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "data" / "blobs").stat().st_mode) == 0o700
    assert stat.S_IMODE(blobs.path(name).stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(DataRefused) as refused:
        FileBlobs(tmp_path / "file" / "blobs")

    assert "\n" not in str(refused.value)


NAMES = [
    "", ".", "..", "../secret.body", "/etc/passwd", "a/b.body", "0" * 32, "0" * 32 + ".body.part", "0" * 32 + ".body/",
    "0" * 32 + "./../x", "0" * 32 + ".body\n", "0" * 32 + ".body\0", "0" * 31 + "é.body", "0" * 32 + ".BODY",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.body").write_bytes(b"secret")
    blobs = FileBlobs(tmp_path / "blobs")

    with pytest.raises(Damaged):
        asyncio.run(blobs.open(name))
    with pytest.raises(Damaged):
        asyncio.run(blobs.read(name, 0, 1))
    asyncio.run(blobs.delete(name))

    assert (tmp_path / "secret.body").exists()
    assert (tmp_path / "blobs").exists()


def test_a_link_in_the_place_of_a_blob_is_not_followed(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "blobs")
    name = asyncio.run(put(blobs, b"whole"))
    blobs.path(name).rename(tmp_path / "elsewhere")
    blobs.path(name).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Damaged):
        asyncio.run(blobs.open(name))


@pytest.mark.parametrize("size", [0, 1, 300])
def test_every_flipped_byte_is_seen(tmp_path: Path, size: int) -> None:
    blobs = FileBlobs(tmp_path)
    name = asyncio.run(put(blobs, random.Random(1).randbytes(size)))
    whole = blobs.path(name).read_bytes()

    async def look() -> None:
        for at in range(len(whole)):
            for bit in (0x01, 0x80):
                blobs.path(name).write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
                with pytest.raises(Damaged):
                    await get(blobs, name)

    asyncio.run(look())


@pytest.mark.parametrize("size", [0, 300, 2 * BLOCK_BYTES])
def test_a_file_of_another_length_is_seen(tmp_path: Path, size: int) -> None:
    blobs = FileBlobs(tmp_path)
    name = asyncio.run(put(blobs, b"x" * size))
    whole = blobs.path(name).read_bytes()
    shorter = [whole[:length] for length in {*range(min(len(whole), 300)), *range(len(whole) - 40, len(whole))} - {-1}]

    async def look() -> None:
        for torn in [*shorter, whole + b"\0", whole + whole, b"\0" * len(whole), whole[:-20] + b"\0" * 20]:
            blobs.path(name).write_bytes(torn)
            with pytest.raises(Damaged):
                await blobs.open(name)
            with pytest.raises(Damaged):
                await FileBlobs(tmp_path).read(name, 0, 0)

    asyncio.run(look())


def test_damage_in_one_block_leaves_the_others_readable(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    content = random.Random(2).randbytes(4 * BLOCK_BYTES + 100)
    name = asyncio.run(put(blobs, content))
    with blobs.path(name).open("r+b") as file:
        file.seek(2 * BLOCK_BYTES + 5)
        file.write(bytes([content[2 * BLOCK_BYTES + 5] ^ 1]))

    async def look() -> None:
        reader = await blobs.open(name)
        assert await reader.read(0, 2 * BLOCK_BYTES) == content[: 2 * BLOCK_BYTES]
        assert await reader.read(3 * BLOCK_BYTES, BLOCK_BYTES + 100) == content[3 * BLOCK_BYTES :]
        for offset, length in ((2 * BLOCK_BYTES, 1), (3 * BLOCK_BYTES - 1, 2), (0, len(content))):
            with pytest.raises(Damaged):
                await reader.read(offset, length)
        reader.close()

    asyncio.run(look())


def every_fault(tmp_path: Path) -> list[int]:
    disk = RecordingDisk()
    asyncio.run(put(FileBlobs(tmp_path / "measured", disk=disk), b"x" * BUFFER_BYTES, b"y"))
    return list(range(1, len(disk.calls)))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_at_any_call_leaves_nothing_readable(tmp_path: Path, number: int) -> None:
    faults = every_fault(tmp_path)
    assert len(faults) == 7

    async def write(writer: FileWriter) -> None:
        await writer.write(b"x" * BUFFER_BYTES)
        await writer.write(b"y")
        await writer.finish()

    async def fail(fault: int) -> None:
        folder = tmp_path / str(fault)
        blobs = FileBlobs(folder, disk=RecordingDisk(fail_at=fault, number=number))
        writer = blobs.writer("body")
        with pytest.raises(StoreUnavailable, match=os.strerror(number)):
            await write(writer)
        with pytest.raises(StoreUnavailable):
            await writer.finish()
        with pytest.raises(Damaged):
            await blobs.open(writer.name)
        assert files(folder) == []
        await writer.abort()
        assert await get(blobs, await put(blobs, b"later")) == b"later"

    for fault in faults:
        asyncio.run(fail(fault))


def test_what_cannot_be_read_now_is_no_damage(tmp_path: Path) -> None:
    disk = RecordingDisk()
    blobs = FileBlobs(tmp_path, disk=disk)

    async def look() -> None:
        name = await put(blobs, b"x" * 1000)
        reader = await blobs.open(name)
        disk.read_error = errno.EIO
        with pytest.raises(StoreUnavailable):
            await reader.read(0, 1)
        with pytest.raises(StoreUnavailable):
            await blobs.read(name, 0, 1)
        with pytest.raises(StoreUnavailable):
            await blobs.open(name)
        disk.read_error = None
        assert await reader.read(0, 1) == await blobs.read(name, 0, 1) == b"x"
        reader.close()

    asyncio.run(look())


@pytest.mark.parametrize("seed", range(4))
def test_reads_that_follow_one_another_are_few_and_any_others_right(tmp_path: Path, seed: int) -> None:
    disk, dice = RecordingDisk(), random.Random(seed)
    blobs, content = FileBlobs(tmp_path, disk=disk), dice.randbytes(3 * AHEAD_BYTES + 17)

    async def look() -> None:
        name = await put(blobs, content)
        await blobs.read(name, 0, 0)
        before, offset = disk.reads, 0
        for _ in range(300):
            length = dice.randrange(400, 600)
            assert await blobs.read(name, offset, length) == content[offset : offset + length]
            offset += length + dice.randrange(40)
        assert disk.reads - before <= 4
        for _ in range(600):
            offset = max(0, min(len(content), offset + dice.choice([0, 7, -7, dice.randrange(-90_000, 90_000)])))
            length = dice.choice([0, 1, 500, dice.randrange(len(content))])
            length = min(length, len(content) - offset)
            assert await blobs.read(name, offset, length) == content[offset : offset + length]
            offset += dice.choice([0, length])

    asyncio.run(look())


def test_what_cannot_be_read_ahead_keeps_nobody_from_what_can(tmp_path: Path) -> None:
    disk = RecordingDisk()
    blobs = FileBlobs(tmp_path, disk=disk)

    async def look() -> None:
        name = await put(blobs, b"x" * 10_000)
        await blobs.read(name, 0, 0)
        disk.bad_from = 5_000
        assert await blobs.read(name, 0, 4_000) == b"x" * 4_000
        assert await blobs.read(name, 4_000, 1_000) == b"x" * 1_000
        with pytest.raises(StoreUnavailable):
            await blobs.read(name, 5_000, 1)

    asyncio.run(look())


def test_a_full_file_table_is_no_damage(tmp_path: Path) -> None:
    class Exhausted(Disk):
        def open(self, path: Path) -> int:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    name = asyncio.run(put(FileBlobs(tmp_path), b"x"))

    with pytest.raises(StoreUnavailable):
        asyncio.run(FileBlobs(tmp_path, disk=Exhausted()).open(name))


def test_what_a_crash_left_is_found_and_deleted_by_the_next_process(tmp_path: Path) -> None:
    async def crash() -> tuple[str, str]:
        blobs = FileBlobs(tmp_path)
        writer = blobs.writer("results")
        await writer.write(b"half")
        return writer.name, await put(blobs, b"whole, but named by no transaction")

    left = asyncio.run(crash())
    (tmp_path / "notes.txt").write_text("not ours")
    now = (tmp_path / "notes.txt").stat().st_mtime
    next_process = FileBlobs(tmp_path, wall=lambda: now + 4000)

    assert set(asyncio.run(next_process.old(5000))) == set()
    assert set(asyncio.run(next_process.old(3600))) == set(left)
    for name in left:
        asyncio.run(next_process.delete(name))
    assert files(tmp_path) == ["notes.txt"]


def test_a_clock_that_jumps_makes_nothing_of_this_process_old(tmp_path: Path) -> None:
    month = 30 * 86_400.0
    blobs = FileBlobs(tmp_path, monotonic=lambda: 1.0, wall=lambda: 4e9 + month)

    async def look() -> None:
        writer = blobs.writer("body")
        await writer.write(b"still coming in")
        await put(blobs, b"finished, not committed yet")
        assert await blobs.old(3600) == []
        await writer.abort()

    asyncio.run(look())


def test_nothing_of_a_deleted_file_is_kept_in_memory(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)

    async def live(times: int) -> int:
        for _ in range(times):
            await blobs.delete(await put(blobs, b"x"))
        tracemalloc.start()
        for _ in range(times):
            await blobs.delete(await put(blobs, b"x"))
        gc.collect()
        held = sum(trace.size for trace in tracemalloc.take_snapshot().traces)
        tracemalloc.stop()
        return held

    assert asyncio.run(live(300)) < 300 * 50  # a name alone is 80 bytes


def test_few_files_are_kept_open_and_none_that_was_deleted(tmp_path: Path) -> None:
    disk = RecordingDisk()
    blobs = FileBlobs(tmp_path, disk=disk)

    def held() -> int:
        return sum(1 for descriptor in set(disk.opened) if Path(f"/dev/fd/{descriptor}").exists())

    async def look() -> None:
        names = [await put(blobs, b"%d" % number) for number in range(KEPT_OPEN + 10)]
        for _ in range(2):
            for number, name in enumerate(names):
                assert await blobs.read(name, 0, len(str(number))) == b"%d" % number
        assert held() <= KEPT_OPEN
        again = len(disk.opened)
        await blobs.read(names[-1], 0, 1)
        assert len(disk.opened) == again, "a file that is read often is opened once"
        for name in names:
            await blobs.delete(name)
        assert held() == 0
        with pytest.raises(Damaged):
            await blobs.read(names[-1], 0, 1)

    asyncio.run(look())


class GatedDisk(Disk):
    """Its writes and renames wait for a gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.reached = threading.Event()

    def write(self, descriptor: int, content: bytes) -> None:
        self.reached.set()
        assert self.gate.wait(10)
        super().write(descriptor, content)


async def cancelled_midway(writer: FileWriter, disk: GatedDisk, *, finishing: bool) -> None:
    """Cancel a write, or a finish, while its thread is at the disk; then let the thread go on."""
    task = asyncio.create_task(writer.finish() if finishing else writer.write(b"x" * BUFFER_BYTES))
    await asyncio.to_thread(disk.reached.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    disk.gate.set()


@pytest.mark.parametrize("finishing", [False, True])
def test_abort_after_a_cancelled_call_leaves_nothing(tmp_path: Path, finishing: bool) -> None:
    disk = GatedDisk()
    blobs = FileBlobs(tmp_path, disk=disk)

    async def cancel() -> None:
        writer = blobs.writer("body")
        await cancelled_midway(writer, disk, finishing=finishing)
        await writer.abort()
        assert files(tmp_path) == []

    asyncio.run(cancel())


def test_a_cancelled_write_is_whole_and_in_order_for_who_goes_on(tmp_path: Path) -> None:
    disk = GatedDisk()
    blobs = FileBlobs(tmp_path, disk=disk)

    async def go_on() -> bytes:
        writer = blobs.writer("body")
        await cancelled_midway(writer, disk, finishing=False)
        await writer.write(b"then")
        await writer.finish()
        return await get(blobs, writer.name)

    assert asyncio.run(go_on()) == b"x" * BUFFER_BYTES + b"then"


def test_an_aborted_writer_takes_nothing_more(tmp_path: Path) -> None:
    async def go_on() -> None:
        writer = FileBlobs(tmp_path).writer("body")
        await writer.write(b"x")
        await writer.abort()
        with pytest.raises(StoreUnavailable, match="aborted"):
            await writer.finish()
        assert files(tmp_path) == []

    asyncio.run(go_on())


def test_a_look_through_a_blob_reads_all_of_it(tmp_path: Path) -> None:
    async def write() -> Path:
        blobs = FileBlobs(tmp_path)
        writer = blobs.writer("results")
        for _ in range(70):
            await writer.write(os.urandom(BLOCK_BYTES))
        await writer.finish()
        return blobs.path(writer.name)

    path = asyncio.run(write())
    assert problem(path) is None
    assert size(path) == 70 * BLOCK_BYTES
    for at in (0, 40 * BLOCK_BYTES, 70 * BLOCK_BYTES - 1):
        whole = path.read_bytes()
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 8]) + whole[at + 1 :])
        assert f"block {at // BLOCK_BYTES} is damaged" in (problem(path) or "")
        path.write_bytes(whole)
    path.unlink()
    assert "missing" in (problem(path) or "")
