"""Copies of a database, made while others may write it."""

import os
from pathlib import Path

import apsw

from batchyard.store import database
from batchyard.store.sqlite_upkeep import blobs


def copy_database(source: Path, target: Path) -> set[str]:
    """Copy a database as it is at one moment, durably, while others may write it; return the blobs that it needs."""
    for leftover in target.parent.glob(f"{target.name}*"):
        leftover.unlink()
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    reading = database.open_reader(source, None)
    _begin(target, reading.reserve_bytes())
    writing = database.connect(target, None, apsw.SQLITE_OPEN_READWRITE)
    try:
        writing.pragma("application_id")  # reads the header: only now does the VFS know that pages get checksums
        with writing.backup("main", reading, "main") as copying:
            copying.step(-1)  # all at once: one snapshot, and no writer waits for it
        names = blobs(writing) if database.is_ours(writing) else set()
        writing.pragma("journal_mode", "delete")  # one file, nothing beside it
    finally:
        writing.close()
        reading.close()
    database.sync(target)
    return names


def _begin(target: Path, reserved: int) -> None:
    """Give the copy a header that says what the end of each page is for.

    Pages that lie in the source's log have checksums that are not theirs. Into an empty file they would go as they
    are, and a server would refuse the copy as damaged.
    """
    writing = database.connect(target, None, apsw.SQLITE_OPEN_READWRITE)
    try:
        writing.reserve_bytes(reserve=reserved)
        writing.pragma("application_id", database.APPLICATION_ID)
    finally:
        writing.close()
