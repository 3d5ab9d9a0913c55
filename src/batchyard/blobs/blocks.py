"""Checksums of a blob's content, kept behind it in the same file.

content | CRC-32 of each 64 KiB of it | its size | CRC-32 of the two before | magic

So a reader knows of every part of the file whether it is what was written, without reading the rest.
"""

import struct
import zlib

BLOCK_BYTES = 64 * 1024
TAIL_BYTES = 20

_MAGIC = b"BYARDv1\n"
_SIZE = struct.Struct("<Q")
_CRC = struct.Struct("<I")


class Checksums:
    """Those of content that is still growing."""

    def __init__(self) -> None:
        self._size = 0
        self._full: list[int] = []
        self._current = 0

    def add(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            room = BLOCK_BYTES - self._size % BLOCK_BYTES
            part, rest = rest[:room], rest[room:]
            self._current = zlib.crc32(part, self._current)
            self._size += len(part)
            if self._size % BLOCK_BYTES == 0:
                self._full.append(self._current)
                self._current = 0

    def trailer(self) -> bytes:
        """Return what is written behind the content."""
        crcs = [*self._full, self._current] if self._size % BLOCK_BYTES else self._full
        table = b"".join(map(_CRC.pack, crcs)) + _SIZE.pack(self._size)
        return table + _CRC.pack(zlib.crc32(table)) + _MAGIC


class Broken(Exception):
    """The bytes are not what was written; the message says where."""


def table_length(file_size: int, tail: bytes) -> int:
    """Return how many bytes before the tail are checksums. Raises ``Broken``."""
    if len(tail) != TAIL_BYTES or not tail.endswith(_MAGIC):
        raise Broken("it has no whole trailer")
    [size] = _SIZE.unpack_from(tail)
    length = _CRC.size * _blocks(size)
    if file_size != size + length + TAIL_BYTES:
        raise Broken(f"the file has {file_size} bytes and speaks of {size} of content")
    return length


def content_size(table: bytes, tail: bytes) -> int:
    """Return the size of the content, or raise ``Broken`` where the trailer is damaged."""
    size_bytes, check = tail[: _SIZE.size], tail[_SIZE.size : _SIZE.size + _CRC.size]
    if _CRC.pack(zlib.crc32(table + size_bytes)) != check:
        raise Broken("its trailer is damaged")
    [size] = _SIZE.unpack(size_bytes)
    return int(size)


def check(blocks: bytes, first: int, table: bytes) -> None:
    """Raise ``Broken`` unless these bytes are the content's blocks from number ``first`` on."""
    view = memoryview(blocks)
    for number, start in enumerate(range(0, len(blocks), BLOCK_BYTES), first):
        if zlib.crc32(view[start : start + BLOCK_BYTES]) != _CRC.unpack_from(table, number * _CRC.size)[0]:
            raise Broken(f"block {number} is damaged")


def _blocks(size: int) -> int:
    return -(-size // BLOCK_BYTES)
