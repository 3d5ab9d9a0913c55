"""What processes on one PostgreSQL tell each other: who holds requests hears of a cancel before it is answered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from batchyard.domain.batch import Batch
from batchyard.ports import Hearer, Pick
from batchyard.store import postgres_news
from batchyard.store.postgres import PostgresStore
from batchyard.store.postgres_news import News
from batchyard.testing.factories import MODEL, NOW, a_batch, drafts, later, origin
from tests.contract.yard import Run
from tests.postgres import shared

LONG = 20.0
"""Seconds after which a test has failed."""


class Process:
    """One that listens: its store, and what it was told."""

    def __init__(self, store: PostgresStore, news: News, owner: str) -> None:
        self.store, self.news = store, news
        self.withheld: list[str] = []
        self.works, self.owners = asyncio.Event(), asyncio.Event()
        self.heard = asyncio.Event()
        self.task = asyncio.create_task(news.listen(Hearer(owner, self.works.set, self.owners.set, self._withhold)))

    def _withhold(self, batch: str) -> None:
        self.withheld.append(batch)
        self.heard.set()

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.store.close()


class Processes:
    """Some processes on one database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._all: list[Process] = []

    async def start(self, owner: str) -> Process:
        """Start one, and wait until it listens: it is told of everything first."""
        news = News(self.url)
        process = Process(await PostgresStore.open(self.url, news=news, connections=2), news, owner)
        self._all.append(process)
        await asyncio.wait_for(process.owners.wait(), LONG)
        process.works.clear()
        process.owners.clear()
        return process

    async def close(self) -> None:
        for process in self._all:
            await process.close()


Play = Callable[[Callable[[Processes], Awaitable[None]]], None]


@pytest.fixture
def play(run: Run) -> Play:
    """Return what plays a scene with processes of their own."""

    def scene(of: Callable[[Processes], Awaitable[None]]) -> None:
        async def act() -> None:
            here = Processes(shared().schema_url())
            try:
                await asyncio.wait_for(of(here), 3 * LONG)
            finally:
                await here.close()

        run(act())

    return scene


async def leased(store: PostgresStore, owner: str) -> Batch:
    """Return a batch of which this owner, who lives, holds some requests."""
    batch = await store.create(a_batch(), drafts(4), origin(), defend=False)
    await store.beat(owner, NOW)
    await store.turn(owner, [], [Pick(batch.id, MODEL, 2)], later(60))
    return batch


async def listener(url: str, said: "asyncio.Queue[str]") -> "asyncpg.Connection[asyncpg.Record]":
    """Listen as a process does that answers when the test says so."""
    db = await asyncpg.connect(url.partition("?")[0])
    await db.add_listener("batchyard", lambda *told: said.put_nowait(str(told[3])))
    return db


async def is_done(task: "asyncio.Task[Any]") -> bool:
    """Whether the task has ended, or does within a moment."""
    await asyncio.wait([task], timeout=0.3)
    return task.done()


def test_a_cancel_is_answered_once_every_holder_has_said_that_it_begins_no_call(play: Play) -> None:
    async def scene(here: Processes) -> None:
        api, said = await here.start(""), asyncio.Queue[str]()
        batch = await leased(api.store, "o1")
        holder = await listener(here.url, said)
        canceling = asyncio.create_task(api.store.cancel("w1", batch.id, later(61)))
        while await asyncio.wait_for(said.get(), LONG) != f"withhold {batch.id}":
            pass

        await holder.execute(f"notify batchyard, 'heard {batch.id} another'")
        await holder.execute("notify batchyard, 'heard msgbatch_other o1'")
        assert not await is_done(canceling)
        await holder.execute(f"notify batchyard, 'heard {batch.id} o1'")
        assert (await asyncio.wait_for(canceling, LONG)).closing is not None
        await holder.close()

    play(scene)


def test_a_holder_withholds_before_it_says_so_and_says_so_by_itself(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_news, "HEARD_SECONDS", 1000.0)

    async def scene(here: Processes) -> None:
        api, holder, other = await here.start(""), await here.start("o1"), await here.start("o2")
        batch = await leased(api.store, "o1")

        await asyncio.wait_for(api.store.cancel("w1", batch.id, later(61)), LONG)

        assert holder.withheld == [batch.id]
        await asyncio.wait_for(other.heard.wait(), LONG)
        await asyncio.wait_for(api.store.cancel("w1", batch.id, later(62)), LONG)  # promised again, kept again

    play(scene)


def test_a_pause_is_heard_too(play: Play) -> None:
    async def scene(here: Processes) -> None:
        api, holder = await here.start(""), await here.start("o1")
        batch = await leased(api.store, "o1")

        await api.store.pause("w1", batch.id, paused=True)

        await asyncio.wait_for(holder.heard.wait(), LONG)
        assert holder.withheld == [batch.id]

    play(scene)


def test_a_holder_that_says_nothing_keeps_a_cancel_for_a_moment_only(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_news, "HEARD_SECONDS", 0.2)

    async def scene(here: Processes) -> None:
        api = await here.start("")
        batch = await leased(api.store, "frozen")

        canceled = await asyncio.wait_for(api.store.cancel("w1", batch.id, later(61)), LONG)

        assert canceled.cancel_initiated_at == later(61)

    play(scene)


def test_nobody_waits_for_owners_that_hold_nothing_of_the_batch(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_news, "HEARD_SECONDS", 1000.0)

    async def scene(here: Processes) -> None:
        api = await here.start("")
        await leased(api.store, "o1")
        batch = await api.store.create(a_batch(), drafts(1), origin(), defend=False)

        await asyncio.wait_for(api.store.cancel("w1", batch.id, later(61)), LONG)

    play(scene)


def test_what_was_canceled_or_paused_while_a_process_was_cut_off_is_withheld_when_it_is_back(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_news, "PAUSE_SECONDS", 0.0)

    async def scene(here: Processes) -> None:
        deaf = await here.start("o1")
        canceled, paused = await leased(deaf.store, "o1"), await leased(deaf.store, "o1")
        await leased(deaf.store, "o1")
        deaf.task.cancel()
        await asyncio.gather(deaf.task, return_exceptions=True)
        await deaf.store.cancel("w1", canceled.id, later(61))
        await deaf.store.pause("w1", paused.id, paused=True)

        back = await here.start("o1")

        assert sorted(back.withheld) == sorted([canceled.id, paused.id])

    play(scene)
