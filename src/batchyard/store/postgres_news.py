"""What other processes tell through the database: that there is something to do. A connection of its own listens."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import asyncpg

from batchyard.store.postgres_connections import CONNECT_SECONDS
from batchyard.store.postgres_owners import NEWS, OWNERS
from batchyard.store.postgres_url import taken_apart

PAUSE_SECONDS = 1.0
LOOK_SECONDS = 30.0
"""How often the connection is asked whether it still lives: nothing comes over a dead one."""


async def listen(url: str, tell: Callable[[], None], met: Callable[[], None]) -> None:
    """Call ``tell`` for every piece of news, and ``met`` where that is an owner nobody knew; both after each
    reconnect, for some may have been missed. For ever."""
    plain_url, _ = taken_apart(url)
    while True:
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await _listen_once(plain_url, tell, met)
        await asyncio.sleep(PAUSE_SECONDS)


async def _listen_once(url: str, tell: Callable[[], None], met: Callable[[], None]) -> None:
    def hear(_db: object, _pid: object, _channel: object, what: object) -> None:
        (met if what == OWNERS else tell)()

    db = await asyncpg.connect(
        url,
        timeout=CONNECT_SECONDS,
        command_timeout=CONNECT_SECONDS,
        server_settings={"application_name": "batchyard"},
    )
    try:
        await db.add_listener(NEWS, hear)
        tell()
        met()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await db.execute("select 1")
    finally:
        db.terminate()
