"""The few calls by which blobs touch a disk: where power loss and full disks can be put in, in tests."""

import os
import sys
from pathlib import Path


class Disk:
    """The real one. Everything here may block, and raises ``OSError``."""

    def make_folder(self, folder: Path) -> None:
        """Make the folder for the owner alone, so that it outlives a power loss."""
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(mode=0o700, exist_ok=True)
            self.sync_folder(path.parent)

    def create(self, path: Path) -> int:
        """Create a file that must be new, for the owner alone; return its descriptor."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    def sync(self, descriptor: int) -> None:
        """Return once the bytes are where they outlive a power loss."""
        if sys.platform == "darwin":  # fsync stops at the drive's cache there
            import fcntl  # noqa: PLC0415

            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fsync(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        old.rename(new)

    def sync_folder(self, folder: Path) -> None:
        """Return once the names in the folder outlive a power loss."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def open(self, path: Path) -> int:
        """Open a file for reading; return its descriptor."""
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def size(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_size

    def read(self, descriptor: int, offset: int, length: int) -> bytes:
        """Return these bytes, fewer only where the file ends."""
        chunk = os.pread(descriptor, length, offset)
        while 0 < len(chunk) < length:
            more = os.pread(descriptor, length - len(chunk), offset + len(chunk))
            if not more:
                break
            chunk += more
        return chunk

    def ages(self, folder: Path, now: float) -> dict[str, float]:
        """Return each file's name and how many seconds before ``now`` it was last written."""
        found: dict[str, float] = {}
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    found[entry.name] = now - entry.stat(follow_symlinks=False).st_mtime
                except FileNotFoundError:  # deleted since it was listed
                    continue
        return found


class OpenFile:
    """A descriptor that is closed when nobody refers to it any more, so that no read can meet another file in it."""

    __slots__ = ("_closing", "descriptor")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._closing = os.close  # a module's names may be gone when the interpreter ends

    def __del__(self) -> None:
        self._closing(self.descriptor)
