"""What the core asks of where bytes are kept."""

from collections.abc import Sequence
from typing import Protocol


class BlobWriter(Protocol):
    """A blob being written; nobody can read it before ``finish``."""

    name: str

    async def write(self, chunk: bytes) -> None:
        """Append."""

    async def finish(self) -> None:
        """Make it durable, whole, under its name."""

    async def abort(self) -> None:
        """Leave nothing behind. Allowed after ``finish`` or twice: then it does nothing."""


class BlobReader(Protocol):
    """An open blob: it can be read to its end though it is deleted meanwhile, until it is closed."""

    size: int

    async def read(self, offset: int, length: int) -> bytes:
        """Return exactly these bytes; raise ``Damaged`` if they are not what was written."""

    def close(self) -> None:
        """Let go. Closing twice is allowed."""


class Damaged(Exception):
    """Bytes of a blob, or the blob, are missing or not what was written."""


class Blobs(Protocol):
    """Bytes under names of their own choosing; written once, never changed."""

    def writer(self, kind: str) -> BlobWriter:
        """Begin a blob with a new random name that ends in ``.kind``."""

    async def read(self, name: str, offset: int, length: int) -> bytes:
        """Return exactly these bytes of a finished blob, not checked; raise ``Damaged`` where there are fewer."""

    async def open(self, name: str) -> BlobReader:
        """Open a finished blob; raise ``Damaged`` if it is missing."""

    async def delete(self, name: str) -> None:
        """Remove it. A missing blob is no error."""

    async def old(self, seconds: float) -> Sequence[str]:
        """Return the names of all blobs, finished or not, last written longer ago than that."""
