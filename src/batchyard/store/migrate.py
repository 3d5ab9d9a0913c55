"""Brings a database to the newest schema: numbered SQL files, each in one transaction, forward only."""

from functools import cache
from importlib.resources import files

import apsw

from batchyard.domain.errors import DataRefused


@cache
def migrations() -> dict[int, str]:
    """Return the SQL of each step by the schema version it leads to."""
    folder = files("batchyard.store").joinpath("migrations")
    steps = sorted((int(one.name[:4]), one.read_text("utf-8")) for one in folder.iterdir() if one.name.endswith(".sql"))
    numbers = [number for number, _ in steps]
    assert numbers == list(range(1, len(steps) + 1)), f"migrations are not numbered one after the other: {numbers}"
    return dict(steps)


def newest() -> int:
    """Return the schema version that this program writes."""
    return len(migrations())


def check(version: int, path: str) -> None:
    """Raise ``DataRefused`` for a schema that a later program wrote."""
    if version > newest():
        raise DataRefused(
            f"{path} has schema {version}, written by a newer Batchyard (this one knows {newest()}); "
            "start that version, or restore a backup from before the upgrade."
        )


def migrate(connection: apsw.Connection) -> int:
    """Apply what is missing; return how many steps that were. Their effect is in the main file afterwards."""
    version = connection.pragma("user_version")
    assert isinstance(version, int)
    for number in range(version + 1, newest() + 1):
        with connection:
            connection.execute(migrations()[number])
            connection.pragma("user_version", number)
    if version < newest() and connection.pragma("journal_mode") == "wal":
        # The version must be readable from the file's header alone: that is where a refusal looks first.
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    return newest() - version
