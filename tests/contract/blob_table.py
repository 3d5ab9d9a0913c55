"""The blob layers that the contract holds for: one line each."""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batchyard.blobs.bucket import Bucket
from batchyard.blobs.files import FileBlobs
from batchyard.blobs.objects import ObjectBlobs
from batchyard.ports import Blobs
from batchyard.testing.blobs import MemoryBlobs
from tests.object_stores import STORES


@dataclass(frozen=True, slots=True)
class Layer:
    """One blob layer under test, and what a test may do to it behind its back.

    ``grow_old`` makes every blob, finished or not, look that many seconds older; ``flip`` changes the byte at an
    offset of a finished blob; ``cut`` loses its bytes from an offset on.
    """

    blobs: Blobs
    grow_old: Callable[[float], None]
    flip: Callable[[str, int], None]
    cut: Callable[[str, int], None]


LayerFactory = Callable[[Path], Layer]
"""Opens a blob layer on an empty folder of its own."""


def memory(folder: Path) -> Layer:
    now = [0.0]

    def grow_old(seconds: float) -> None:
        now[0] += seconds

    blobs = MemoryBlobs(monotonic=lambda: now[0])
    return Layer(blobs, grow_old, blobs.flip, blobs.cut)


def files(folder: Path) -> Layer:
    now = [1_000_000.0]

    def grow_old(seconds: float) -> None:
        now[0] += seconds

    def flip(name: str, offset: int) -> None:
        with blobs.path(name).open("r+b") as file:
            file.seek(offset)
            [byte] = file.read(1)
            file.seek(offset)
            file.write(bytes([byte ^ 0xFF]))

    def cut(name: str, size: int) -> None:
        os.truncate(blobs.path(name), size)

    blobs = FileBlobs(folder / "blobs", monotonic=lambda: now[0])
    return Layer(blobs, grow_old, flip, cut)


def objects(kind: str) -> Layer:
    now = [1_000_000.0]
    bucket = Bucket.open(STORES[kind]().url(secrets.token_hex(8)), "the tests")

    def grow_old(seconds: float) -> None:
        now[0] += seconds

    def whole(name: str) -> bytes:
        size, _ = bucket.tail(name, 1)
        return bucket.read(name, 0, size)

    def flip(name: str, offset: int) -> None:
        content = bytearray(whole(name))
        content[offset] ^= 0xFF
        bucket.put(name, bytes(content))

    def cut(name: str, size: int) -> None:
        bucket.put(name, whole(name)[:size])

    return Layer(ObjectBlobs(bucket, monotonic=lambda: now[0]), grow_old, flip, cut)


LAYERS: dict[str, LayerFactory] = {
    "memory": memory,
    "files": files,
    "objects": lambda folder: objects("s3"),
    "objects of Google": lambda folder: objects("gs"),
}
ACCEPTED: dict[str, LayerFactory] = {"objects of Azure": lambda folder: objects("az")}
"""Those that take long to install."""
