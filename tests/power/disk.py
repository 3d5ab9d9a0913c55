"""A disk that remembers in which order it was told things: database, log and payload files in one list.

What a power loss may leave of it is in ``crash``. Recorded are calls as the program makes them: SQLite's through a VFS,
the payloads' through the ``Disk`` of the blobs.
"""

import os
import stat
import threading
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from batchyard.blobs.disk import Disk

VFS_NAME = "recorded"


@dataclass(frozen=True, slots=True)
class Write:
    file: str
    offset: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """All that was written to the file before outlives a power loss."""

    file: str


@dataclass(frozen=True, slots=True)
class Create:
    file: str


@dataclass(frozen=True, slots=True)
class Rename:
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Remove:
    file: str


@dataclass(frozen=True, slots=True)
class SyncNames:
    """All names that were made, changed or removed before outlive a power loss."""


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody outside was told this: from here on it must be so."""

    what: str
    batch: str
    fact: object = None


Entry = Write | Truncate | Sync | Create | Rename | Remove | SyncNames | Told


@dataclass
class Record:
    """``files`` is the folder at the beginning, durable; ``entries`` all that came since."""

    folder: Path
    files: dict[str, bytes] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    is_on: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def begin(self) -> None:
        """Take the folder as it is now for durable, and record from here on."""
        with self.lock:
            for path in self.folder.rglob("*"):
                if path.is_file() and not path.name.endswith("-shm"):
                    self.files[self.name(path)] = path.read_bytes()
            self.is_on = True

    def add(self, entry: Entry) -> None:
        with self.lock:
            if self.is_on:
                self.entries.append(entry)

    def tell(self, what: str, batch: str, fact: object = None) -> None:
        self.add(Told(what, batch, fact))

    def name(self, path: str | Path) -> str:
        return str(Path(path).relative_to(self.folder))


class RecordedDisk(Disk):
    """The disk of the blobs."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._names: dict[int, str] = {}
        self._sizes: dict[int, int] = {}

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        self._names[descriptor], self._sizes[descriptor] = self._record.name(path), 0
        self._record.add(Create(self._names[descriptor]))
        return descriptor

    def write(self, descriptor: int, content: bytes) -> None:
        super().write(descriptor, content)
        self._record.add(Write(self._names[descriptor], self._sizes[descriptor], bytes(content)))
        self._sizes[descriptor] += len(content)

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        if descriptor in self._names and not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self._record.add(Sync(self._names[descriptor]))

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self._record.add(Rename(self._record.name(old), self._record.name(new)))

    def sync_folder(self, folder: Path) -> None:
        super().sync_folder(folder)
        self._record.add(SyncNames())

    def remove(self, path: Path) -> None:
        there = path.exists()
        super().remove(path)
        if there:
            self._record.add(Remove(self._record.name(path)))


class RecordedVfs(apsw.VFS):
    """SQLite's disk."""

    def __init__(self, record: Record) -> None:
        self.record = record
        super().__init__(VFS_NAME, "unix")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "RecordedFile":
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        with self.record.lock:
            is_new = path is not None and not Path(path).exists()
            file = RecordedFile(self.record, name, flags, path)
            if is_new and path is not None and flags[0] & apsw.SQLITE_OPEN_CREATE:
                self.record.add(Create(self.record.name(path)))
            return file

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.record.add(Remove(self.record.name(filename)))
        if syncdir:
            self.record.add(SyncNames())


class RecordedFile(apsw.VFSFile):
    """One file of SQLite's."""

    def __init__(self, record: Record, name: str | apsw.URIFilename | None, flags: list[int], path: str | None) -> None:
        super().__init__("unix", name, flags)
        self._record = record
        self._name = record.name(path) if path else ""
        self._names_unsynced = self._name.endswith(("-wal", "-journal"))

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._record.add(Write(self._name, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._record.add(Truncate(self._name, newsize))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._record.add(Sync(self._name))
        if self._names_unsynced:  # as unixSync does, once for each journal that it made
            self._names_unsynced = False
            self._record.add(SyncNames())
