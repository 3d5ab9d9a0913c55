"""Blobs in memory, which can be damaged on purpose."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batchyard.ports import Damaged


@dataclass(slots=True)
class _Bytes:
    """What was written, and what is held since: they differ once it was damaged."""

    written: bytes = b""
    held: bytes = b""
    finished: bool = False
    touched_at: float = 0.0


class MemoryBlobs:
    """A ``Blobs``. ``monotonic`` tells the age of a blob; ``token`` makes names, so that a test can replay them."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        token: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._monotonic = monotonic
        self._token = token
        self._blobs: dict[str, _Bytes] = {}

    def writer(self, kind: str) -> "MemoryWriter":
        name = f"{self._token()}.{kind}"
        assert name not in self._blobs, f"{name} is given twice"
        blob = self._blobs[name] = _Bytes(touched_at=self._monotonic())
        return MemoryWriter(name, blob, self._blobs, self._monotonic)

    async def read(self, name: str, offset: int, length: int) -> bytes:
        return _exactly(name, self._finished(name).held, offset, length)

    async def open(self, name: str) -> "MemoryReader":
        return MemoryReader(name, self._finished(name))

    def _finished(self, name: str) -> _Bytes:
        blob = self._blobs.get(name)
        if blob is None or not blob.finished:
            raise Damaged(f"{name} is missing")
        return blob

    async def delete(self, name: str) -> None:
        self._blobs.pop(name, None)

    async def old(self, seconds: float) -> Sequence[str]:
        now = self._monotonic()
        return [name for name, blob in self._blobs.items() if now - blob.touched_at > seconds]

    def flip(self, name: str, offset: int) -> None:
        """Change one byte behind everybody's back."""
        blob = self._blobs[name]
        changed = bytearray(blob.held)
        changed[offset] ^= 0xFF
        blob.held = bytes(changed)

    def cut(self, name: str, size: int) -> None:
        """Lose every byte from ``size`` on."""
        self._blobs[name].held = self._blobs[name].held[:size]

    @property
    def names(self) -> set[str]:
        """Every blob, finished or not."""
        return set(self._blobs)


class MemoryWriter:
    """A ``BlobWriter``."""

    def __init__(self, name: str, blob: _Bytes, blobs: dict[str, _Bytes], monotonic: Callable[[], float]) -> None:
        self.name = name
        self._blob = blob
        self._blobs = blobs
        self._monotonic = monotonic
        self._chunks: list[bytes] = []

    async def write(self, chunk: bytes) -> None:
        assert not self._blob.finished, f"{self.name} is written after its end"
        self._chunks.append(bytes(chunk))
        self._blob.touched_at = self._monotonic()

    async def finish(self) -> None:
        self._blob.written = self._blob.held = b"".join(self._chunks)
        self._blob.touched_at = self._monotonic()
        self._blob.finished = True

    async def abort(self) -> None:
        if not self._blob.finished:
            self._blobs.pop(self.name, None)


class MemoryReader:
    """A ``BlobReader``."""

    def __init__(self, name: str, blob: _Bytes) -> None:
        self.size = len(blob.written)
        self._name = name
        self._blob = blob

    async def read(self, offset: int, length: int) -> bytes:
        chunk = _exactly(self._name, self._blob.held, offset, length)
        if chunk != self._blob.written[offset : offset + length]:
            raise Damaged(f"{self._name} is not what was written at {offset}")
        return chunk

    def close(self) -> None:
        """Nothing is held."""


def _exactly(name: str, held: bytes, offset: int, length: int) -> bytes:
    chunk = held[offset : offset + length]
    if len(chunk) != length:
        raise Damaged(f"{name} has no {length} bytes at {offset}")
    return chunk
