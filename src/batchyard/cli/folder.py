"""`batchyard check` and `batchyard backup`: whether a data folder is sound, and a copy of it, under load or not."""

from pathlib import Path
from typing import Annotated

import typer

from batchyard.cli.keys import words_for_refusals
from batchyard.cli.options import AsJson
from batchyard.cli.screen import put, say
from batchyard.cli.settings import with_settings
from batchyard.settings import Settings

MEBIBYTE = 1024 * 1024
NOT_SOUND = 1


@with_settings(("data", "config"))
def check(settings: Settings, json: AsJson = False) -> int:
    """Read the whole data folder and say what is damaged and what to do. A server may run on it meanwhile.

    \b
    Example:
      $ batchyard check --data ./batchyard-data
    """
    import msgspec

    from batchyard import app

    with words_for_refusals():
        report = app.check(settings.data)
    if json:
        put(msgspec.json.encode(report))
    else:
        for found in report.findings:
            batch = f" of {found.batch}" if found.batch else ""
            put(f"{found.file}{batch}: {found.problem}; {found.advice}".encode())
    say(
        f"{len(report.findings)} problems in {report.batches} batches, {report.files} files, "
        f"{report.bytes / MEBIBYTE:.1f} MiB; {report.unnamed} files that no batch names"
    )
    return NOT_SOUND if report.findings else 0


@with_settings(("data", "config"))
def backup(
    settings: Settings,
    to: Annotated[Path, typer.Argument(metavar="DIR", help="New or empty folder, or an earlier backup to renew.")],
    json: AsJson = False,
) -> int:
    """Copy the data folder to DIR, which is a data folder then itself. A server may run on it meanwhile.

    \b
    Example:
      $ batchyard backup /mnt/backup/batchyard --data ./batchyard-data
    """
    import msgspec

    from batchyard import app

    with words_for_refusals():
        copied = app.back_up(settings.data, to)
    if json:
        put(msgspec.json.encode(copied))
    else:
        for what, names in (("damaged, copied as it is", copied.damaged), ("missing", copied.missing)):
            for name in names:
                put(f"blobs/{name}: {what}".encode())
    say(
        f"backed up to {copied.folder}: {copied.files} files copied ({copied.bytes / MEBIBYTE:.1f} MiB), "
        f"{copied.kept} were there, {copied.removed} removed"
    )
    return NOT_SOUND if copied.damaged or copied.missing else 0
