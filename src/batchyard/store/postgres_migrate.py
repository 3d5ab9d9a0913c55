"""Brings a PostgreSQL database to the newest schema: numbered SQL files, each in one transaction, forward only.

Everything of ours lies in one schema of the database, so other programs may use the database too. A migration must
leave a schema on which the release before still runs: add what is new in one release, drop the old in a later one.
"""

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from batchyard.domain.errors import DataRefused

if TYPE_CHECKING:
    from asyncpg import Connection
    from asyncpg.pool import PoolConnectionProxy

PROGRAM = "batchyard"
LOCK = 0x42594152  # "BYAR": two programs that start at once migrate one after the other
OLDEST_SERVER = 130_000
"""``server_version_num`` of the oldest release that we are made for."""


@cache
def migrations() -> dict[int, str]:
    """Return the SQL of each step by the schema version it leads to."""
    folder = files("batchyard.store").joinpath("migrations").joinpath("postgres")
    steps = sorted((int(one.name[:4]), one.read_text("utf-8")) for one in folder.iterdir() if one.name.endswith(".sql"))
    numbers = [number for number, _ in steps]
    assert numbers == list(range(1, len(steps) + 1)), f"migrations are not numbered one after the other: {numbers}"
    return dict(steps)


async def migrate(db: "PoolConnectionProxy | Connection", schema: str) -> int:
    """Apply what is missing; return how many steps that were. Raises ``DataRefused`` for what is not ours to use.

    Each step is one transaction with its version, under a lock: whoever is killed in one leaves the step before.
    """
    server = await db.fetchval("select current_setting('server_version_num')::int")
    if server < OLDEST_SERVER:
        raise DataRefused(f"the database server has release {server // 10_000}; PostgreSQL 13 or newer is needed")
    done = 0
    while True:
        async with db.transaction():
            await db.execute("select pg_advisory_xact_lock($1)", LOCK)
            version = await _version(db, schema)
            if version >= len(migrations()):
                return done
            await db.execute(migrations()[version + 1])
            await db.execute("update about set version = $1", version + 1)
        done += 1


async def _version(db: "PoolConnectionProxy | Connection", schema: str) -> int:
    """Return the version of the schema, made if it is missing; 0 for an empty one."""
    known = await db.fetchval("select 1 from pg_namespace where nspname = $1", schema)
    if not known:
        await db.execute(f'create schema "{schema}"')
    if not await db.fetchval("select to_regclass($1) is not null", f'"{schema}".about'):
        if await db.fetchval("select 1 from pg_class where relnamespace = to_regnamespace($1) limit 1", f'"{schema}"'):
            raise DataRefused(f"schema {schema} of the database belongs to another program; name another database")
        await db.execute("create table about (program text not null, version integer not null)")
        await db.execute("insert into about values ($1, 0)", PROGRAM)
    row = await db.fetchrow("select program, version from about")
    if row is None or row["program"] != PROGRAM:
        raise DataRefused(f"schema {schema} of the database belongs to another program; name another database")
    version = int(row["version"])
    if version > len(migrations()):
        raise DataRefused(
            f"the database has schema {version}, written by a newer Batchyard (this one knows {len(migrations())}); "
            "start that version, or restore a backup from before the upgrade"
        )
    return version
