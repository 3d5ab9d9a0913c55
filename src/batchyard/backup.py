"""Copies a data folder while a server may use it. A backup is a data folder itself: a server can be started on it.

snapshot of the database ──> the files that it names ──> the snapshot gets its name
          ^── one of them went meanwhile ──┘

Files of blobs never change, so a backup into an earlier one copies only what is new.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec

from batchyard.blobs import check as blob_check
from batchyard.domain.errors import DataRefused
from batchyard.store import backups, copies, database

MOST_ROUNDS = 20
"""Snapshots until no file went while it was copied: each copies only what came since the one before."""
_NEW = f"{database.NAME}.copy"


class Copied(msgspec.Struct):
    """What a backup did. ``damaged``: files whose bytes are not what was written, copied as they are; ``missing``:
    files that batches need and that are gone."""

    folder: str
    files: int = 0
    bytes: int = 0
    kept: int = 0
    removed: int = 0
    damaged: list[str] = msgspec.field(default_factory=list)
    missing: list[str] = msgspec.field(default_factory=list)


def make(source: Path, target: Path) -> Copied:
    """Make or renew a backup. Blocks; raises ``DataRefused`` where it cannot be, and leaves an earlier one usable."""
    source, target = source.resolve(), target.resolve()
    if target == source or source in target.parents or target in source.parents:
        raise DataRefused(f"{target} and the data folder {source} must not lie in each other; name another folder.")
    if not database.inspect(source):
        raise DataRefused(f"{source} has no {database.NAME}: there is nothing to back up.")
    with database.refusing(target):
        names = {path.name for path in target.iterdir()} if target.exists() else set()
    if names and backups.newest(target) is None and not _was_cut(target, names):
        raise DataRefused(f"{target} is neither empty nor a backup; name a new folder, or an earlier backup.")
    if (target / f"{database.NAME}-wal").exists():
        raise DataRefused(f"a server runs, or died, on {target}: it is a backup no more; name another folder.")
    with database.refusing(target):
        (target / "blobs").mkdir(mode=0o700, parents=True, exist_ok=True)
        target.chmod(0o700)
        copied = Copied(str(target))
        _copy_all(source, target, copied)
        done = backups.Backup(str(target), str(source), backups.now_text())
        backups.note(target, done)
        database.sync(target)
    backups.note(source, done)
    return copied


def _was_cut(target: Path, names: set[str]) -> bool:
    """Whether these are what a first backup leaves that was killed, or met a full disk: the same one goes on there."""
    ours = {name for name in names if name.startswith(_NEW)} | (names & {"blobs", "keys.db", "keys.db.copy"})
    return names == ours and (_NEW in names or not any((target / "blobs").iterdir()))


@contextmanager
def _room(target: Path) -> Iterator[None]:
    """Say that it is the copy which cannot be written: the database it is made of has no fault."""
    try:
        yield
    except apsw.FullError as fault:
        raise DataRefused(f"{target} has no space left for the backup; free some, or name another folder.") from fault
    except OSError as fault:
        raise DataRefused(f"{target} cannot be written: {fault.strerror or fault}; name another folder.") from fault


def _copy_all(source: Path, target: Path, copied: Copied) -> None:
    missing: list[str] = []
    for _ in range(MOST_ROUNDS):
        missing_before = missing
        with database.refusing(source), _room(target):
            needed = copies.copy_database(source / database.NAME, target / _NEW)
        missing = [name for name in sorted(needed) if not _copy_file(source, target, name, copied)]
        if not set(missing) - set(missing_before):  # none, or what was missing stays so: damage, not a delete
            break
    copied.missing = missing
    _copy_keys(source, target)
    database.sync(target / "blobs")
    (target / _NEW).rename(target / database.NAME)
    for path in (target / "blobs").iterdir():
        if path.name not in needed:
            path.unlink()
            copied.removed += 1


def _copy_file(source: Path, target: Path, name: str, copied: Copied) -> bool:
    """Copy what is not there yet; False if it is gone. What is damaged here stays sound there, if it was."""
    here, there = source / "blobs" / name, target / "blobs" / name
    if there.exists() and blob_check.problem(there) is None:
        copied.kept += 1
        return True
    try:
        blob_check.copy(here, there)
    except FileNotFoundError:
        return False
    copied.files += 1
    copied.bytes += there.stat().st_size
    if blob_check.problem(there) is not None and name not in copied.damaged:
        copied.damaged.append(name)
    return True


def _copy_keys(source: Path, target: Path) -> None:
    if (source / "keys.db").exists():
        with _room(target):
            copies.copy_database(source / "keys.db", target / "keys.db.copy")
        shutil.move(target / "keys.db.copy", target / "keys.db")
