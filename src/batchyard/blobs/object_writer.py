"""Writes one blob to an object store, in a thread, one step after another; in parts, where it is long."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any

from batchyard.blobs.blocks import Checksums
from batchyard.blobs.bucket import Bucket
from batchyard.domain.errors import StoreUnavailable

MARK = ".mark"
"""What the name of a mark ends in: an empty object that says when a long upload ended."""
BUFFER_BYTES = 1024 * 1024
LONG_SECONDS = 600.0
"""An upload that took longer gets a mark: S3 dates an object by when its upload began, and a sweep goes by age."""


class Written:
    """When this process last wrote to each blob, and which of its uploads go on. Told by several threads."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._at: dict[str, float] = {}
        self._unfinished: set[str] = set()
        self._lock = threading.Lock()

    def touch(self, name: str) -> None:
        """Bytes were added to an upload."""
        with self._lock:
            self._at[name] = self._monotonic()
            self._unfinished.add(name)

    def end(self, name: str) -> None:
        """An upload ended, well or not."""
        with self._lock:
            self._at[name] = self._monotonic()
            self._unfinished.discard(name)

    def forget(self, name: str) -> None:
        """The blob is gone."""
        with self._lock:
            self._at.pop(name, None)
            self._unfinished.discard(name)

    def ages(self, stored: Mapping[str, float], seconds: float) -> dict[str, float]:
        """Return the age of all that is stored or uploaded, ours by our own clock; forget when what is older was."""
        with self._lock:
            now = self._monotonic()
            found = {**dict.fromkeys(self._unfinished, 0.0), **stored}
            found |= {name: now - at for name, at in self._at.items() if name in found}
            self._at = {name: at for name, at in self._at.items() if now - at <= seconds or name in self._unfinished}
            return found


class _Aborted(Exception):
    """Leaves a writable file in a way that makes it abort its upload."""


class ObjectWriter:
    """A ``BlobWriter``. A step goes on in its thread though its caller was cancelled; the next one waits for it."""

    def __init__(
        self,
        name: str,
        bucket: Bucket,
        executor: Executor,
        written: Written,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._bucket, self._executor, self._written, self._monotonic = bucket, executor, written, monotonic
        self._checksums = Checksums()
        self._file: Any = None
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._began: float | None = None
        self._step: asyncio.Future[StoreUnavailable | None] | None = None
        self._error: StoreUnavailable | None = None
        self._is_finished = False

    async def write(self, chunk: bytes) -> None:
        assert not self._is_finished, f"{self.name} is written after its end"
        await self._settled()
        self._written.touch(self.name)
        self._began = self._monotonic() if self._began is None else self._began
        self._buffer.append(bytes(chunk))
        self._buffered += len(chunk)
        if self._buffered >= BUFFER_BYTES:
            await self._do(self._flush)

    async def finish(self) -> None:
        await self._do(self._publish)
        self._written.end(self.name)
        self._is_finished = True

    async def abort(self) -> None:
        if self._is_finished:
            return
        await self._settled()
        self._buffer.clear()
        self._error = StoreUnavailable(f"{self.name} was aborted")
        await asyncio.get_running_loop().run_in_executor(self._executor, self._discard)

    async def _do(self, step: Callable[[], None]) -> None:
        await self._settled()
        if self._error is None:
            self._step = asyncio.get_running_loop().run_in_executor(self._executor, self._attempt, step)
            await self._settled()
        if self._error is not None:
            raise StoreUnavailable(str(self._error)) from self._error

    async def _settled(self) -> None:
        """Wait for the step that is under way, if any, without cutting it off."""
        if self._step is not None:
            self._error = await asyncio.shield(self._step) or self._error
            self._step = None

    def _attempt(self, step: Callable[[], None]) -> StoreUnavailable | None:
        try:
            with self._bucket.translating(f"{self.name} cannot be written"):
                step()
        except FileNotFoundError:
            self._discard()
            return StoreUnavailable(f"{self._bucket.shown}: there is no such bucket")
        except StoreUnavailable as error:  # the request is refused; what was uploaded is given up
            self._discard()
            return error
        return None

    def _flush(self) -> None:
        if self._file is None:
            self._file = self._bucket.begin(self.name)
        content = b"".join(self._buffer)
        self._buffer.clear()
        self._buffered = 0
        self._checksums.add(content)
        if content:
            self._file.write(content)

    def _publish(self) -> None:
        self._flush()
        self._file.write(self._checksums.trailer())
        if self._began is not None and self._monotonic() - self._began > LONG_SECONDS:
            self._bucket.put(self.name + MARK, b"")
        self._file.close()
        self._file = None

    def _discard(self) -> None:
        """Leave nothing. An upload that cannot be given up is the bucket's lifecycle rule's; no object comes of it."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(Exception), file:  # whatever it is, nobody was told of this blob
                raise _Aborted
        self._written.end(self.name)
