"""Writes one blob to a file, in a thread, one step after another."""

import asyncio
import errno
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from batchyard.blobs.blocks import Checksums
from batchyard.blobs.disk import Disk, OpenFile
from batchyard.domain.errors import StoreUnavailable

PART = ".part"
"""What the name of an unfinished blob ends in."""
BUFFER_BYTES = 1024 * 1024


class FileWriter:
    """A ``BlobWriter``. A step goes on in its thread though its caller was cancelled; the next one waits for it."""

    def __init__(self, name: str, path: Path, disk: Disk, note_written: Callable[[str], None]) -> None:
        self.name = name
        self._path = path
        self._part = path.with_name(path.name + PART)
        self._disk = disk
        self._note_written = note_written
        self._checksums = Checksums()
        self._file: OpenFile | None = None
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._step: asyncio.Future[OSError | None] | None = None
        self._error: OSError | None = None
        self._is_finished = False

    async def write(self, chunk: bytes) -> None:
        assert not self._is_finished, f"{self.name} is written after its end"
        await self._settled()
        self._note_written(self.name)
        self._buffer.append(bytes(chunk))
        self._buffered += len(chunk)
        if self._file is None or self._buffered >= BUFFER_BYTES:
            await self._do(self._flush)

    async def finish(self) -> None:
        await self._do(self._publish)
        self._note_written(self.name)
        self._is_finished = True

    async def abort(self) -> None:
        if self._is_finished:
            return
        await self._settled()
        self._buffer.clear()
        self._error = OSError(errno.ECANCELED, "it was aborted")
        await asyncio.to_thread(self._discard)

    async def _do(self, step: Callable[[], None]) -> None:
        await self._settled()
        if self._error is None:
            self._step = asyncio.get_running_loop().run_in_executor(None, self._attempt, step)
            await self._settled()
        if self._error is not None:
            raise StoreUnavailable(f"{self.name} cannot be written: {self._error.strerror}") from self._error

    async def _settled(self) -> None:
        """Wait for the step that is under way, if any, without cutting it off."""
        if self._step is not None:
            self._error = await asyncio.shield(self._step) or self._error
            self._step = None

    def _attempt(self, step: Callable[[], None]) -> OSError | None:
        try:
            step()
        except OSError as error:  # the request is refused; what was written is removed at once, the disk may be full
            self._discard()
            return error
        return None

    def _flush(self) -> None:
        if self._file is None:
            self._file = OpenFile(self._disk.create(self._part))
        content = b"".join(self._buffer)
        self._buffer.clear()
        self._buffered = 0
        self._checksums.add(content)
        self._disk.write(self._file.descriptor, content)

    def _publish(self) -> None:
        self._flush()
        assert self._file is not None
        self._disk.write(self._file.descriptor, self._checksums.trailer())
        self._disk.sync(self._file.descriptor)
        self._file = None
        self._disk.rename(self._part, self._path)
        self._disk.sync_folder(self._path.parent)

    def _discard(self) -> None:
        """Leave nothing. What cannot be removed is no finished blob that anybody was told of, and is swept by age."""
        self._file = None
        for path in (self._part, self._path):
            with suppress(OSError):
                self._disk.remove(path)
