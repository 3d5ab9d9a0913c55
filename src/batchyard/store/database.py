"""The database file: what it must look like before it is touched, how it is made, and how connections are set up.

A database appears under its name whole or not at all: it is made under another name, then renamed.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import apsw
import apsw.sqlite_extra

from batchyard.domain.errors import DataRefused, StoreDamaged, StoreUnavailable
from batchyard.store import backups
from batchyard.store.migrate import check, migrate

NAME = "batchyard.db"
APPLICATION_ID = 0x42594152  # "BYAR"
CHECKSUM_VFS = "cksmvfs"
CHECKSUM_BYTES = 8
"""Bytes at the end of each page that SQLite's checksum VFS wants for itself, no more and no fewer."""
LARGEST_CHECKED = 1024**3
"""A larger file is not read through at each start, which would take seconds: its pages are checked as they are used."""
BUSY_MILLISECONDS = 5000
"""Nobody but us writes; a foreign tool that holds the database longer than this is an outage."""

WRITER: Mapping[str, int | str] = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: NORMAL loses acknowledged commits in a power loss
    "fullfsync": 1,  # macOS: reach the disk, not its cache; elsewhere it changes nothing
    "checkpoint_fullfsync": 1,
    "secure_delete": 1,
    "wal_autocheckpoint": 0,  # the writer does it when it suits
    "journal_size_limit": 16 * 1024 * 1024,
    "cache_size": -8192,  # KiB: the rows of a batch of 100,000 without spilling
    "temp_store": 2,  # memory: deleted content must not stay in temporary files
    "mmap_size": 0,
    "cell_size_check": 1,
    "trusted_schema": 0,
    "foreign_keys": 0,  # ids are computed, nothing references
    "busy_timeout": BUSY_MILLISECONDS,
}
READER: Mapping[str, int | str] = {
    "query_only": 1,
    "cache_size": -2048,
    "temp_store": 2,
    "mmap_size": 0,
    "cell_size_check": 1,
    "trusted_schema": 0,
    "busy_timeout": BUSY_MILLISECONDS,
}

_HEADER = struct.Struct(">16s4xB39xI4xI")  # magic; reserved bytes; user_version; application_id
_MAGIC = b"SQLite format 3\0"


@contextmanager
def unavailable(doing: str) -> Iterator[None]:
    """Turn what a disk does to SQLite into ``StoreUnavailable`` or ``StoreDamaged``. Misuse of ours passes as it is."""
    try:
        yield
    except (
        apsw.FullError,
        apsw.IOError,
        apsw.BusyError,
        apsw.LockedError,
        apsw.CantOpenError,
        apsw.ReadOnlyError,
        apsw.NoMemError,
        apsw.CorruptError,
        apsw.NotADBError,
        apsw.InterruptError,
        MemoryError,
    ) as fault:
        kind = StoreDamaged if is_damage(fault) else StoreUnavailable
        raise kind(f"{doing}: {explained(fault)}") from fault


def is_damage(fault: BaseException) -> bool:
    """Whether bytes are not what was written: trying again does not help."""
    by_checksum = getattr(fault, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA
    return by_checksum or isinstance(fault, apsw.CorruptError | apsw.NotADBError)


def explained(fault: BaseException) -> str:
    """Return what went wrong, with the case that SQLite's own words hide."""
    if getattr(fault, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA:
        return "a page of the database is not what was written (checksum)"
    return str(fault) or type(fault).__name__


def load_checksums() -> bool:
    """Register SQLite's checksum VFS in this process; False where this build of apsw comes without it."""
    if CHECKSUM_VFS in apsw.vfs_names():
        return True
    anywhere = apsw.Connection(":memory:")
    try:
        apsw.sqlite_extra.load(anywhere, "cksumvfs")
    except (LookupError, OSError, apsw.sqlite_extra.NotAvailable, apsw.ExtensionLoadingError):
        return False
    finally:
        anywhere.close()
    return CHECKSUM_VFS in apsw.vfs_names()


def inspect(folder: Path) -> bool:
    """Return whether the folder has a database of ours. Raises ``DataRefused``; changes and creates nothing."""
    path = folder / NAME
    with refusing(folder):
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise DataRefused(f"{folder} is not writable; make it so for this user, or name another data folder.")
        if not path.exists():
            if path.with_name(NAME + "-wal").exists():
                raise DataRefused(
                    f"{path} is missing but its -wal file is there; restore both, or move that file away."
                )
            return False
        if not os.access(path, os.R_OK | os.W_OK):
            raise DataRefused(f"{path} is not readable and writable for this user; change its mode or owner.")
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
    if len(header) < _HEADER.size or not header.startswith(_MAGIC):
        raise DataRefused(
            f"{path} is not an SQLite database; move it away, or restore a backup.{backups.known(folder)}"
        )
    _, reserved, version, application = _HEADER.unpack(header)
    if application != APPLICATION_ID:
        raise DataRefused(f"{path} belongs to another program; name another data folder.{backups.known(folder)}")
    check(version, str(path))
    if reserved == CHECKSUM_BYTES and not load_checksums():
        raise DataRefused(f"{path} has page checksums, but this apsw has no cksumvfs; install apsw's own wheels.")
    return True


@contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """Turn what a file system or SQLite refuses while opening into ``DataRefused``."""
    try:
        yield
    except OSError as fault:
        raise DataRefused(
            f"{folder} cannot be used as a data folder: {fault.strerror or fault}; name another."
        ) from fault
    except (apsw.CorruptError, apsw.NotADBError) as fault:
        raise DataRefused(f"{folder / NAME} is damaged ({explained(fault)}); {backups.advice(folder)}.") from fault
    except (apsw.BusyError, apsw.LockedError) as fault:
        raise DataRefused(f"{folder / NAME} is in use by another program; close that first.") from fault
    except apsw.Error as fault:
        damaged = getattr(fault, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA
        advice = backups.advice(folder) if damaged else "check the disk and the file's mode"
        raise DataRefused(f"{folder / NAME} cannot be opened: {explained(fault)}; {advice}.") from fault


def log_bytes(folder: Path) -> int:
    """Return how long the log beside the database is; a clean stop leaves none."""
    log = folder / f"{NAME}-wal"
    return log.stat().st_size if log.exists() else 0


def make(folder: Path, vfs: str | None) -> None:
    """Make an empty database of the newest schema, durably. The caller holds the owner lock and saw that none is."""
    new = folder / f"{NAME}.new"
    for leftover in folder.glob(f"{NAME}.new*"):  # of a process that died here
        leftover.unlink()
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = connect(new, vfs, apsw.SQLITE_OPEN_READWRITE)
    try:
        if connection.open_vfs == CHECKSUM_VFS:
            connection.reserve_bytes(reserve=CHECKSUM_BYTES)
        connection.pragma("application_id", APPLICATION_ID)
        configure(connection, WRITER)
        migrate(connection)
    finally:
        connection.close()
    sync(new)
    new.rename(folder / NAME)
    sync(folder)


def open_writer(path: Path, vfs: str | None) -> apsw.Connection:
    """Open the one connection that writes, checked, set up, and brought to the newest schema."""
    connection = connect(path, vfs, apsw.SQLITE_OPEN_READWRITE)
    try:
        # A database that is refused must stay as it was: closing it would else move its WAL into it.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        version = connection.pragma("user_version")
        assert isinstance(version, int)
        check(version, str(path))  # again: the header may be older than the WAL
        _check_pages(connection, path)
        configure(connection, WRITER)
        if connection.open_vfs == CHECKSUM_VFS and connection.reserve_bytes() == CHECKSUM_BYTES:
            configure(connection, {"checksum_verification": "1"})
        migrate(connection)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path, vfs: str | None) -> apsw.Connection:
    """Open a connection that cannot write."""
    connection = connect(path, vfs, apsw.SQLITE_OPEN_READONLY)
    configure(connection, READER)
    return connection


def connect(path: Path, vfs: str | None, flags: int) -> apsw.Connection:
    """Open the file; without a ``vfs`` through the checksum VFS, where there is one."""
    if vfs is None and load_checksums():
        vfs = CHECKSUM_VFS
    return apsw.Connection(str(path), flags=flags, vfs=vfs)


def configure(connection: apsw.Connection, pragmas: Mapping[str, int | str]) -> None:
    """Set each pragma by a statement of its own and read it back; raise ``DataRefused`` for one that did not take."""
    for name, wanted in pragmas.items():
        connection.pragma(name, wanted)
        got = connection.pragma(name)
        if got != wanted:
            raise DataRefused(
                f"{connection.filename}: SQLite keeps {name} at {got!r}, {wanted!r} is needed; check the file system."
            )


def _check_pages(connection: apsw.Connection, path: Path) -> None:
    """Read every page once: structure, and checksums where it has them. About 2 ms for each MB."""
    if path.stat().st_size > LARGEST_CHECKED:
        return
    found = connection.pragma("quick_check", 1)
    if found != "ok":
        raise DataRefused(f"{path} is damaged ({str(found).splitlines()[-1]}); {backups.advice(path.parent)}.")


def is_ours(connection: apsw.Connection) -> bool:
    """Whether it holds batches; the database of keys does not."""
    return bool(connection.pragma("application_id") == APPLICATION_ID)


def sync(path: Path) -> None:
    """Return once the file, or the names in the folder, outlive a power loss."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
