"""Whether a data folder is sound: its databases, and every file that a batch needs.

It reads alone, so it may look at a folder that a server holds. What is deleted meanwhile is no damage.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import msgspec

from batchyard.blobs import check as blob_check
from batchyard.domain.errors import DataRefused
from batchyard.store import backups, check, database

RESEND = "its unread requests become errored lines; create them again in another batch"
RESTORE_ONE = "restore this file alone from the newest backup: files of blobs never change"


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong. ``batch`` is "" where it is not of one batch; ``advice`` says what to do."""

    file: str
    batch: str
    problem: str
    advice: str


class Report(msgspec.Struct):
    """What was looked at, and what was found. ``unnamed``: files that no batch names, which the server will delete."""

    batches: int = 0
    files: int = 0
    bytes: int = 0
    unnamed: int = 0
    findings: list[Finding] = msgspec.field(default_factory=list)


def look(folder: Path) -> Report:
    """Look at everything. Blocks for as long as reading it all takes; raises ``DataRefused`` for what is no data
    folder of ours, or whose database cannot be opened at all."""
    if not (folder / database.NAME).exists():
        raise DataRefused(f"{folder} has no {database.NAME}: name the data folder of a server, or a backup.")
    database.inspect(folder)
    report = Report()
    advice = f"stop the server and {backups.advice(folder)}"
    try:
        with closing(database.open_reader(folder / database.NAME, None)) as connection:
            _check_batches(report, connection, folder, advice)
    except apsw.Error as fault:
        problem = f"it cannot be read: {database.explained(fault)}"
        report.findings.append(Finding(database.NAME, "", problem, advice))
    _check_keys(report, folder)
    return report


def _check_batches(report: Report, connection: apsw.Connection, folder: Path, advice: str) -> None:
    for fault in check.page_faults(connection):
        report.findings.append(Finding(database.NAME, fault.batch, fault.problem, advice))
    needed: set[str] = set()
    for num in check.numbers(connection):
        kept, faults = check.look(connection, num)
        report.findings += [Finding(database.NAME, fault.batch, fault.problem, advice) for fault in faults]
        if kept is not None:
            report.batches += 1
            for name, size in _files(kept):
                needed.add(name)
                _check_file(report, connection, num, folder / "blobs" / name, size)
    report.unnamed = sum(path.name not in needed for path in (folder / "blobs").glob("*"))


def _files(kept: check.Kept) -> Iterator[tuple[str, int | None]]:
    """Yield the files that a batch needs, with their size where it is known."""
    if kept.body is not None:
        yield kept.body, None
    if kept.sealed is not None:
        yield kept.sealed.results, kept.sealed.size
        yield kept.sealed.index, None
        yield kept.sealed.ledger, None


def _check_file(report: Report, connection: apsw.Connection, num: int, path: Path, size: int | None) -> None:
    problem, found = blob_check.problem(path), 0
    if problem is None:
        found = blob_check.size(path)
        if size is not None and found != size:
            problem = f"it has {found} bytes of content, not {size}"
    kept, _ = check.look(connection, num)
    if kept is None or path.name not in [name for name, _ in _files(kept)]:
        return  # deleted, archived or sealed since
    report.files += 1
    report.bytes += found
    if problem is not None:
        body = path.name.endswith(".body")
        report.findings.append(
            Finding(f"blobs/{path.name}", kept.id, problem, f"{RESTORE_ONE}; else {RESEND}" if body else RESTORE_ONE)
        )


def _check_keys(report: Report, folder: Path) -> None:
    path = folder / "keys.db"
    if not path.exists():
        return
    try:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as keys:
            found = keys.pragma("integrity_check", 1)
    except apsw.Error as fault:
        found = database.explained(fault)
    if found != "ok":
        advice = "restore keys.db from the newest backup, or move it away and make new keys"
        report.findings.append(Finding("keys.db", "", str(found), advice))
