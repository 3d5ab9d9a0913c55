"""What a data folder knows of its backups: so that a refusal to start can name the newest."""

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

NOTE = "backup.json"
"""In a data folder: where its newest backup is. In a backup: where it comes from."""


class Backup(msgspec.Struct, frozen=True):
    """A backup: where it is, of which folder, and from when (an ISO time)."""

    folder: str
    source: str
    made_at: str


def newest(folder: Path) -> Backup | None:
    """Return the newest backup that was made of the folder, as far as it knows."""
    try:
        return msgspec.json.decode((folder / NOTE).read_bytes(), type=Backup)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def note(folder: Path, backup: Backup) -> None:
    """Write it down, durably."""
    new = folder / f"{NOTE}.new"
    with new.open("wb") as file:
        file.write(msgspec.json.encode(backup) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / NOTE)


def advice(folder: Path) -> str:
    """Return what to do about a damaged database."""
    backup = newest(folder)
    if backup is None:
        return "restore the newest backup (none of `batchyard backup` is noted here)"
    return f"restore the newest backup, {backup.folder} of {backup.made_at}"


def known(folder: Path) -> str:
    """Return a sentence that names the newest backup, or "" where none is noted."""
    backup = newest(folder)
    return "" if backup is None else f" The newest backup of this folder is {backup.folder} of {backup.made_at}."


def now_text() -> str:
    """Return the time of day as it is shown to people."""
    return datetime.now(UTC).isoformat(timespec="seconds")
