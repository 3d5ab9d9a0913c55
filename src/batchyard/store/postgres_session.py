"""What each session with PostgreSQL is set to, and whether what we talk to keeps sessions at all.

The settings are statements, not parameters of the start: a pooler refuses those that it does not know, or drops them
where it is told to. Then ``search_path`` would lead into a schema that is not ours.
"""

import secrets
from typing import TYPE_CHECKING

import asyncpg

from batchyard.domain.errors import DataRefused

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

CONNECT_SECONDS = 10.0
START = {"application_name": "batchyard"}
"""The parameter that poolers know."""
SESSION = {
    "jit": "off",
    "timezone": "UTC",
    # A process that is frozen in the middle of a transaction must not hold the others up for long.
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "30s",
    "default_transaction_isolation": "read committed",
}
_AT_LEAST_ON = (
    "select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'"
)
SHARED = (
    "the database's URL leads to a pooler that shares sessions (pgbouncer: pool_mode = transaction or statement);"
    " name the server itself, or a pool with pool_mode = session"
)


async def connect(url: str, schema: str, *, answer_seconds: float) -> asyncpg.Connection:
    """Return a connection with a session of ours, beside those of a pool."""
    db = await asyncpg.connect(url, timeout=CONNECT_SECONDS, command_timeout=answer_seconds, server_settings=START)
    try:
        await prepare(db, schema)
    except BaseException:
        db.terminate()
        raise
    return db


async def prepare(db: asyncpg.Connection, schema: str) -> None:
    """Set a new session. One message without a prepared statement: it takes effect over any pooler."""
    settings = {**SESSION, "search_path": schema}
    await db.execute("; ".join([*(f"set {name} = '{value}'" for name, value in settings.items()), _AT_LEAST_ON]))


async def refuse_shared(db: "asyncpg.Connection | PoolConnectionProxy", url: str) -> None:
    """Raise ``DataRefused`` where several clients share one session: settings, prepared statements and what is
    listened to would be anybody's."""
    try:
        if await db.fetchval("select pg_backend_pid()") == db.get_server_pid():
            return  # it is the server itself
        other = await asyncpg.connect(url, timeout=CONNECT_SECONDS, server_settings=START)
        try:
            shared = await share_a_session(db, other)
        finally:
            other.terminate()
    except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError) as lost:
        raise DataRefused(SHARED) from lost  # a statement was prepared in one session, and looked for in another
    except asyncpg.ConnectionDoesNotExistError as fault:
        raise DataRefused(SHARED) from fault  # statement mode ends who begins a transaction
    if shared:
        raise DataRefused(SHARED)


async def share_a_session(one: "asyncpg.Connection | PoolConnectionProxy", other: asyncpg.Connection) -> bool:
    """Whether one connection sees what was set over the other, or no longer what was set over itself."""
    token = secrets.token_hex(8)
    await one.execute(f"set batchyard.session = '{token}'")
    await other.execute("begin")  # a pooler gives it the session that was used last, if that is free
    theirs = await other.fetchval("select current_setting('batchyard.session', true)")
    ours = await one.fetchval("select current_setting('batchyard.session', true)")
    await other.execute("rollback")
    return bool(theirs == token or ours != token)
