"""What processes tell each other through the database. A connection of its own listens.

(nothing)             there is something to do
owner                 an owner came or left
withhold BATCH        it was canceled or paused: begin no call of it
heard BATCH OWNER     that owner begins none
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import asyncpg

from batchyard.domain.errors import StoreUnavailable
from batchyard.ports import Hearer
from batchyard.store.postgres_owners import NEWS, OWNERS, WITHHOLD
from batchyard.store.postgres_session import CONNECT_SECONDS, connect
from batchyard.store.postgres_url import taken_apart

T = TypeVar("T")
PAUSE_SECONDS = 1.0
LOOK_SECONDS = 30.0
"""How often the connection is asked whether it still lives: nothing comes over a dead one."""
HEARD_SECONDS = 2.0
"""How long the answer to a cancel waits for owners. One that died or froze does not answer; it calls nobody either."""
HEARD = "heard"
_WITHHELD = "select id from batches where ended_at is null and (closing is not null or paused)"
"""What may have been told while nobody listened; index batches_live."""


@dataclass(slots=True, eq=False)
class _Asked:
    """Who has said so far that it begins no call of a batch."""

    batch: str
    heard: set[str] = field(default_factory=set)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, owners: Collection[str]) -> None:
        while not self.heard.issuperset(owners):
            self.came.clear()
            await self.came.wait()


class News:
    """The news of one process: it hears them, says that it has, and waits for others to say so."""

    def __init__(self, url: str) -> None:
        self._url, self._schema = taken_apart(url)
        self._listens = False
        self._asked: list[_Asked] = []

    async def listen(self, hearer: Hearer) -> None:
        """Tell the hearer of every piece of news; and of all that may have been missed, after each reconnect. For
        ever."""
        while True:
            with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._listen_once(hearer)
            await asyncio.sleep(PAUSE_SECONDS)

    async def heard(
        self, batch: str, tell: Callable[[], Awaitable[T]], holders: Callable[[], Awaitable[Collection[str]]]
    ) -> T:
        """Do what tells the others to begin no call of the batch; return once all who hold requests of it have said
        that they begin none, or ``HEARD_SECONDS`` later. Who does not listen hears no answer, and waits for none."""
        asked = _Asked(batch)
        self._asked.append(asked)  # before it is told: answers may come at once
        try:
            told = await tell()
            if self._listens:
                with suppress(TimeoutError, StoreUnavailable):
                    async with asyncio.timeout(HEARD_SECONDS):
                        await asked.until(await holders())
            return told
        finally:
            self._asked.remove(asked)

    async def _listen_once(self, hearer: Hearer) -> None:
        answers: asyncio.Queue[str] = asyncio.Queue()

        def hear(_db: object, _pid: object, _channel: object, said: object) -> None:
            self._hear(str(said), hearer, answers)

        db = await connect(self._url, self._schema, answer_seconds=CONNECT_SECONDS)
        try:
            await db.add_listener(NEWS, hear)
            self._listens = True
            for row in await db.fetch(_WITHHELD):
                hearer.withhold(row["id"])
            hearer.work()
            hearer.owners()
            while True:
                await _answer(db, answers, hearer.owner)
        finally:
            self._listens = False
            db.terminate()

    def _hear(self, said: str, hearer: Hearer, answers: "asyncio.Queue[str]") -> None:
        what, _, rest = said.partition(" ")
        if what == HEARD:
            batch, _, owner = rest.partition(" ")
            for asked in self._asked:
                if asked.batch == batch:
                    asked.heard.add(owner)
                    asked.came.set()
        elif what == OWNERS:
            hearer.owners()
        else:
            if what == WITHHOLD:
                hearer.withhold(rest)
                if hearer.owner:
                    answers.put_nowait(rest)
            hearer.work()


async def _answer(db: asyncpg.Connection, answers: "asyncio.Queue[str]", owner: str) -> None:
    """Say which batch we begin no call of; or, where nothing is to be said, see whether the connection lives."""
    try:
        batch = await asyncio.wait_for(answers.get(), LOOK_SECONDS)
    except TimeoutError:
        await db.execute("select 1")
        return
    await db.execute("select pg_notify($1, $2)", NEWS, f"{HEARD} {batch} {owner}")
