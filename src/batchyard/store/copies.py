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
    writing = database.connect(target, None, apsw.SQLITE_OPEN_READWRITE)
    try:
        with writing.backup("main", reading, "main") as copying:
            copying.step(-1)  # all at once: one snapshot, and no writer waits for it
        names = blobs(writing) if database.is_ours(writing) else set()
        writing.pragma("journal_mode", "delete")  # one file, nothing beside it
    finally:
        writing.close()
        reading.close()
    database.sync(target)
    return names
