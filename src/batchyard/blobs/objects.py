"""Blobs as objects of S3, Google Cloud Storage or Azure: immutable, each under a name of its own, shared by machines.

content | checksums, as in a file ──> one upload, in parts where it is long ──> there whole, or not there

The library's synchronous calls run in threads of ours. Bodies are read a megabyte at a time and kept for a while: a
batch's requests run about in the order in which they lie there.
"""

import asyncio
import re
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from batchyard.blobs.blocks import BLOCK_BYTES, TAIL_BYTES, Broken, check, content_size, table_length
from batchyard.blobs.bucket import Bucket
from batchyard.blobs.object_writer import MARK, ObjectWriter, Written
from batchyard.ports import Damaged

THREADS = 16
"""Calls at a time to the object store; each waits some 50 ms for its first byte."""
CHUNK_BYTES = 1024 * 1024
KEPT_CHUNKS = 48
"""Chunks of bodies kept in memory: 48 MB, as much as some thousand requests."""
KEPT_OPEN = 256
WINDOW_BYTES = 4 * 1024 * 1024
"""What a reader that goes on where it stopped fetches at once."""
FIRST_LOOK = 64 * 1024
"""Bytes at the end of an object that are read to open it: the checksums of a gigabyte."""

_NAME = re.compile(r"[0-9a-f]{32}\.[a-z]{1,16}")
T = TypeVar("T")
K = TypeVar("K")


class Content:
    """A finished object whose trailer was found right."""

    __slots__ = ("_bucket", "_table", "name", "size")

    def __init__(self, name: str, bucket: Bucket) -> None:
        self.name = name
        self._bucket = bucket
        object_size, end = bucket.tail(name, FIRST_LOOK)
        try:
            tail = end[-TAIL_BYTES:]
            length = table_length(object_size, tail)
            if length + TAIL_BYTES > len(end):
                end = bucket.read(name, object_size - length - TAIL_BYTES, length + TAIL_BYTES)
            self._table = end[len(end) - length - TAIL_BYTES : len(end) - TAIL_BYTES]
            self.size = content_size(self._table, tail)
        except Broken as broken:
            raise Damaged(f"{name}: {broken}") from None

    def expect(self, offset: int, length: int) -> None:
        """Raise ``Damaged`` unless the content has such bytes."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise Damaged(f"{self.name} has no {length} bytes at {offset}")

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly these bytes, not checked."""
        self.expect(offset, length)
        chunk = self._bucket.read(self.name, offset, length) if length else b""
        if len(chunk) != length:
            raise Damaged(f"{self.name} ends before {offset + length}")
        return chunk

    def read_checked(self, offset: int, length: int, ahead: int) -> tuple[int, bytes]:
        """Return a window of whole, checked blocks that has these bytes and up to ``ahead`` after them: where it
        begins, and what is in it."""
        self.expect(offset, length)
        begin = offset - offset % BLOCK_BYTES
        end = offset + max(length, ahead)
        window = self.read(begin, min(self.size, end + -end % BLOCK_BYTES) - begin)
        try:
            check(window, begin // BLOCK_BYTES, self._table)
        except Broken as broken:
            raise Damaged(f"{self.name}: {broken}") from None
        return begin, window


class ObjectReader:
    """A ``BlobReader``. It holds one window of the blob."""

    def __init__(self, content: Content, executor: ThreadPoolExecutor, closed: Callable[[str], None]) -> None:
        self.size = content.size
        self._content, self._executor, self._closed = content, executor, closed
        self._begin, self._window = 0, b""
        self._next = -1
        self._is_open = True

    async def read(self, offset: int, length: int) -> bytes:
        assert self._is_open, "read after close"
        if not (self._begin <= offset and offset + length <= self._begin + len(self._window)) or not length:
            ahead = WINDOW_BYTES if offset == self._next else 0
            loop = asyncio.get_running_loop()
            self._begin, self._window = await loop.run_in_executor(
                self._executor, self._content.read_checked, offset, length, ahead
            )
        self._next = offset + length
        return self._window[offset - self._begin : offset - self._begin + length]

    def close(self) -> None:
        """Let go. A read that is under way ends as if nothing had happened."""
        if self._is_open:
            self._is_open = False
            self._closed(self._content.name)


class ObjectBlobs:
    """A ``Blobs``. What another process deletes ends our readers of it as ``Damaged``; what we delete they read on."""

    def __init__(
        self, bucket: Bucket, *, monotonic: Callable[[], float] = time.monotonic, threads: int = THREADS
    ) -> None:
        self._bucket, self._monotonic = bucket, monotonic
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="objects")
        self._written = Written(monotonic)
        self._contents: OrderedDict[str, asyncio.Future[Content]] = OrderedDict()
        self._chunks: OrderedDict[tuple[str, int], asyncio.Future[bytes]] = OrderedDict()
        self._readers: Counter[str] = Counter()
        self._doomed: set[str] = set()

    def close(self) -> None:
        """Let go of the threads; calls under way end by themselves."""
        self._executor.shutdown(wait=False)

    def writer(self, kind: str) -> ObjectWriter:
        name = f"{secrets.token_hex(16)}.{kind}"
        return ObjectWriter(name, self._bucket, self._executor, self._written, monotonic=self._monotonic)

    async def read(self, name: str, offset: int, length: int) -> bytes:
        content = await self._content(name)
        content.expect(offset, length)
        first, last = offset // CHUNK_BYTES, (offset + length - 1) // CHUNK_BYTES
        if last - first > 1 or not length:
            return await self._in_thread(lambda: content.read(offset, length))
        chunks = [await self._chunk(content, number) for number in range(first, last + 1)]
        begin = offset - first * CHUNK_BYTES
        return b"".join(chunks)[begin : begin + length]

    async def _content(self, name: str) -> Content:
        if not _NAME.fullmatch(name) or name in self._doomed:
            raise Damaged(f"{name[:80]!r} is no name of a blob that is there")
        return await self._kept(self._contents, name, lambda: Content(name, self._bucket), KEPT_OPEN)

    async def _chunk(self, content: Content, number: int) -> bytes:
        begin = number * CHUNK_BYTES
        length = min(CHUNK_BYTES, content.size - begin)
        key = (content.name, number)
        return await self._kept(self._chunks, key, lambda: content.read(begin, length), KEPT_CHUNKS)

    async def _kept(self, kept: OrderedDict[K, asyncio.Future[T]], key: K, get: Callable[[], T], limit: int) -> T:
        """Return what is kept under the key, or get it; whoever asks meanwhile waits for the same call."""
        known = kept.get(key)
        if known is None or (known.done() and known.exception() is not None):
            known = kept[key] = asyncio.ensure_future(self._in_thread(get))
            known.add_done_callback(_seen)
        kept.move_to_end(key)
        if len(kept) > limit:
            kept.popitem(last=False)
        return await asyncio.shield(known)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def open(self, name: str) -> ObjectReader:
        if not _NAME.fullmatch(name) or name in self._doomed:
            raise Damaged(f"{name[:80]!r} is no name of a blob that is there")
        content = await self._in_thread(lambda: Content(name, self._bucket))
        self._readers[name] += 1
        return ObjectReader(content, self._executor, self._closed)

    def _closed(self, name: str) -> None:
        self._readers[name] -= 1
        if not self._readers[name]:
            del self._readers[name]
            if name in self._doomed:  # a process that dies before leaves it to the sweep
                self._executor.submit(self._remove, name)

    async def delete(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            return
        self._contents.pop(name, None)
        for key in [key for key in self._chunks if key[0] == name]:
            del self._chunks[key]
        if self._readers[name]:
            self._doomed.add(name)
        else:
            await self._in_thread(lambda: self._remove(name))

    def _remove(self, name: str) -> None:
        self._bucket.delete(name, name + MARK)
        self._written.forget(name)
        self._doomed.discard(name)

    async def old(self, seconds: float) -> Sequence[str]:
        ages = await self._in_thread(self._bucket.ages)
        youngest: dict[str, float] = {}
        for path, age in ages.items():
            name = path.removesuffix(MARK)
            if _NAME.fullmatch(name):
                youngest[name] = min(age, youngest.get(name, age))
        ours = self._written.ages(youngest, seconds)
        return [name for name, age in ours.items() if age > seconds and name not in self._doomed]


def _seen(call: "asyncio.Future[T]") -> None:
    """Whoever waits gets the exception; where nobody does, it is no bug."""
    if not call.cancelled():
        call.exception()
