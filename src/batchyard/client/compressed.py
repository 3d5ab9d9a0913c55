"""Inputs that are gzip or zstd, read as if they were not."""

import gzip
import io
import zlib
from typing import BinaryIO, cast

SUFFIXES = {".gz": "gzip", ".zst": "zstd"}
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading a damaged gzip raises. A damaged zstd raises ``ValueError`` here."""


def suffix_of(name: str) -> tuple[str, str]:
    """Return a name without the suffix of its compression, and the compression or ""."""
    for suffix, kind in SUFFIXES.items():
        if name.lower().endswith(suffix):
            return name[: -len(suffix)], kind
    return name, ""


def kind_of(first: bytes) -> str:
    """Return the compression that the first bytes of a stream without a name show, or ""."""
    return next((kind for magic, kind in _MAGIC.items() if first.startswith(magic)), "")


def reader(source: BinaryIO, kind: str) -> BinaryIO:
    """Return the source from its beginning, decompressed."""
    source.seek(0)
    match kind:
        case "gzip":
            return cast(BinaryIO, gzip.GzipFile(fileobj=source, mode="rb"))
        case "zstd":
            return cast(BinaryIO, io.BufferedReader(_Zstd(source)))
    return source


class _Zstd(io.RawIOBase):
    """A zstd stream of any number of frames; one that ends too early is damaged, which the library does not say."""

    def __init__(self, source: BinaryIO) -> None:
        import zstandard  # noqa: PLC0415 - imported only where an input is zstd

        self._source = source
        self._library = zstandard
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._is_open = False
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        while not self._ready:
            if not self._fill():
                return 0
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _fill(self) -> bool:
        """Decompress some more; False at the end."""
        rest = self._frame.unused_data if self._frame.eof else b""
        if self._frame.eof:
            self._frame, self._is_open = self._library.ZstdDecompressor().decompressobj(), False
        chunk = rest or self._source.read(2**16)
        if not chunk:
            if self._is_open:
                raise ValueError("damaged zstd: it ends too early")
            return False
        self._is_open = True
        try:
            self._ready = self._frame.decompress(chunk)
        except self._library.ZstdError as problem:
            raise ValueError(f"damaged zstd: {problem}") from None
        return True
