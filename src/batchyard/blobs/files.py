"""Blobs as files of one flat folder: written under a passing name, synced, then renamed.

write ──> NAME.part ──> its bytes synced ──> renamed to NAME ──> the folder synced ──> finish returns

So a file under its own name is whole, whenever the power goes. One folder, because then one sync makes a name durable
and no subfolder has to be made so first; file systems index their folders.
"""

import asyncio
import errno
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from batchyard.blobs.blocks import BLOCK_BYTES, TAIL_BYTES, Broken, check, content_size, table_length
from batchyard.blobs.disk import Disk, OpenFile
from batchyard.blobs.writer import PART, FileWriter
from batchyard.domain.errors import DataRefused, StoreUnavailable
from batchyard.ports import Damaged

KEPT_OPEN = 64
"""Files kept open for ``read``: bodies of the batches that run now."""
LARGEST_ON_LOOP = 256 * 1024
"""Up to this many bytes a read costs less than a thread would; most were written not long ago and lie in memory."""
LARGEST_CHECKED_ON_LOOP = 64 * 1024
AHEAD_BYTES = 64 * 1024
"""Read at once where reads follow one another, as those of a batch's small requests do."""

_NAME = re.compile(r"[0-9a-f]{32}\.[a-z]{1,16}")


class Content:
    """An open, finished file whose trailer was found right. Closed when nobody refers to it any more."""

    __slots__ = ("_ahead", "_ahead_at", "_disk", "_file", "_next", "_table", "name", "size")

    def __init__(self, name: str, path: Path, disk: Disk) -> None:
        self.name = name
        self._disk = disk
        self._ahead, self._ahead_at, self._next = b"", 0, 0
        try:
            self._file = OpenFile(disk.open(path))
            file_size = disk.size(self._file.descriptor)
            tail_at = max(0, file_size - TAIL_BYTES)
            tail = disk.read(self._file.descriptor, tail_at, TAIL_BYTES)
            length = table_length(file_size, tail)
            self._table = disk.read(self._file.descriptor, tail_at - length, length)
            self.size = content_size(self._table, tail)
        except Broken as broken:
            raise Damaged(f"{name}: {broken}") from None
        except OSError as error:
            raise _translated(name, error) from error

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly these bytes, not checked."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise Damaged(f"{self.name} has no {length} bytes at {offset}")
        try:
            chunk = self._disk.read(self._file.descriptor, offset, length)
        except OSError as error:
            raise _translated(self.name, error) from error
        if len(chunk) != length:
            raise Damaged(f"{self.name} ends before {offset + length}")
        return chunk

    def read_next(self, offset: int, length: int) -> bytes:
        """The same, sooner where it lies a little behind what was read last: then what follows is read with it."""
        begin = offset - self._ahead_at
        if begin < 0 or begin + length > len(self._ahead):
            follows = 0 <= offset - self._next < AHEAD_BYTES and 0 < length < AHEAD_BYTES // 4
            self._next = offset + length
            if not follows:
                return self.read(offset, length)
            try:
                self._ahead = self.read(offset, max(length, min(AHEAD_BYTES, self.size - offset)))
            except (Damaged, StoreUnavailable):  # it may be what follows that cannot be read
                return self.read(offset, length)
            self._ahead_at, begin = offset, 0
        self._next = offset + length
        return self._ahead[begin : begin + length]

    def read_checked(self, offset: int, length: int) -> bytes:
        """Return exactly these bytes if all the blocks they lie in are what was written."""
        if offset < 0 or length <= 0:
            return self.read(offset, length)
        begin = offset - offset % BLOCK_BYTES
        end = offset + length
        end = max(end, min(self.size, end + -end % BLOCK_BYTES))
        blocks = self.read(begin, end - begin)
        try:
            check(blocks, begin // BLOCK_BYTES, self._table)
        except Broken as broken:
            raise Damaged(f"{self.name}: {broken}") from None
        return blocks[offset - begin : offset - begin + length]


class FileReader:
    """A ``BlobReader``."""

    def __init__(self, content: Content) -> None:
        self.size = content.size
        self._content: Content | None = content

    async def read(self, offset: int, length: int) -> bytes:
        assert self._content is not None, "read after close"
        if length <= LARGEST_CHECKED_ON_LOOP:
            return self._content.read_checked(offset, length)
        return await asyncio.to_thread(self._content.read_checked, offset, length)

    def close(self) -> None:
        """Let go. A read that is under way ends as if nothing had happened."""
        self._content = None


class FileBlobs:
    """A ``Blobs``. The folder is made if it is missing; files in it that are no blobs are left alone.

    The age of what this process wrote is told by ``monotonic``, of all else by the wall clock: no jump of that may
    make a file look forgotten that is being written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        disk: Disk | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._disk = disk or Disk()
        self._monotonic = monotonic
        self._wall = wall
        self._written_at: dict[str, float] = {}
        self._open: OrderedDict[str, Content] = OrderedDict()
        try:
            self._disk.make_folder(folder)
        except OSError as error:
            raise DataRefused(f"{folder} cannot be made: {error.strerror}. Choose another data folder.") from error

    def writer(self, kind: str) -> FileWriter:
        name = f"{secrets.token_hex(16)}.{kind}"
        return FileWriter(name, self.path(name), self._disk, self._note_written)

    def path(self, name: str) -> Path:
        """Return where the finished blob lies. A name that is none of ours is refused: it may lead elsewhere."""
        if not _NAME.fullmatch(name):
            raise Damaged(f"{name!r} is no name of a blob")
        return self._folder / name

    def _note_written(self, name: str) -> None:
        self._written_at[name] = self._monotonic()

    async def read(self, name: str, offset: int, length: int) -> bytes:
        content = self._open.get(name) or Content(name, self.path(name), self._disk)
        self._open[name] = content
        self._open.move_to_end(name)
        if len(self._open) > KEPT_OPEN:
            self._open.popitem(last=False)
        if length <= LARGEST_ON_LOOP:
            return content.read_next(offset, length)
        return await asyncio.to_thread(content.read, offset, length)

    async def open(self, name: str) -> FileReader:
        return FileReader(await asyncio.to_thread(Content, name, self.path(name), self._disk))

    async def delete(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            return
        try:
            await asyncio.to_thread(self._remove, self.path(name))
        except OSError as error:
            raise StoreUnavailable(f"{name} cannot be deleted: {error.strerror}") from error
        finally:
            self._open.pop(name, None)
        self._written_at.pop(name, None)

    def _remove(self, path: Path) -> None:
        self._disk.remove(path.with_name(path.name + PART))
        self._disk.remove(path)

    async def old(self, seconds: float) -> Sequence[str]:
        try:
            ages = await asyncio.to_thread(self._disk.ages, self._folder, self._wall())
        except OSError as error:
            raise StoreUnavailable(f"the blobs cannot be listed: {error.strerror}") from error
        youngest: dict[str, float] = {}
        for file, age in ages.items():
            name = file.removesuffix(PART)
            if _NAME.fullmatch(name):
                youngest[name] = min(age, youngest.get(name, age))
        now = self._monotonic()
        for name, written_at in list(self._written_at.items()):
            if name in youngest:
                youngest[name] = now - written_at
            if now - written_at > seconds:
                del self._written_at[name]
        return [name for name, age in youngest.items() if age > seconds]


def _translated(name: str, error: OSError) -> Exception:
    if error.errno in (errno.ENOENT, errno.ELOOP):
        return Damaged(f"{name} is missing")
    return StoreUnavailable(f"{name} cannot be read: {error.strerror}")
