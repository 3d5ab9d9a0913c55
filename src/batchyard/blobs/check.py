"""Reads a whole blob and says whether every byte is what was written."""

import os
from pathlib import Path

from batchyard.blobs.blocks import BLOCK_BYTES
from batchyard.blobs.disk import Disk
from batchyard.blobs.files import Content
from batchyard.domain.errors import StoreUnavailable
from batchyard.ports import Damaged

BLOCKS_AT_ONCE = 64


def problem(path: Path) -> str | None:
    """Return what is wrong with the finished blob at that path, None if nothing is. Blocks."""
    try:
        content = Content(path.name, path, Disk())
        step = BLOCKS_AT_ONCE * BLOCK_BYTES
        for offset in range(0, content.size, step):
            content.read_checked(offset, min(step, content.size - offset))
    except (Damaged, StoreUnavailable) as wrong:
        return str(wrong)
    return None


def size(path: Path) -> int:
    """Return how many bytes of content a blob has that was found sound."""
    return Content(path.name, path, Disk()).size


def copy(source: Path, target: Path) -> None:
    """Copy a blob durably: under a passing name, synced, then renamed. The caller syncs the folder."""
    disk = Disk()
    part = target.with_name(target.name + ".part")
    disk.remove(part)
    reading, writing = disk.open(source), disk.create(part)
    try:
        offset = 0
        while chunk := disk.read(reading, offset, BLOCKS_AT_ONCE * BLOCK_BYTES):
            disk.write(writing, chunk)
            offset += len(chunk)
        disk.sync(writing)
    finally:
        os.close(reading)
        os.close(writing)
    disk.rename(part, target)
