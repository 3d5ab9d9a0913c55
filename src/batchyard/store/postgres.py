"""The store of several machines: one schema of one PostgreSQL database, for any number of processes.

Every verb that writes is one transaction, every verb that reads one statement or one snapshot. What each does is in the
``postgres_`` modules; ``docs/design/postgres.md`` says why it is built like this.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import datetime, timedelta

from batchyard.domain.batch import Batch, Counts, Sealed
from batchyard.domain.outcome import Settlement
from batchyard.domain.quota import Load
from batchyard.domain.request import Drafts, Lease, Origin
from batchyard.ports import Carrier, Final, NewBatch, NewCarrier, Owner, Page, Pick, Ready, Turn
from batchyard.store import (
    postgres_batches,
    postgres_carriers,
    postgres_create,
    postgres_finals,
    postgres_owners,
    postgres_upkeep,
    postgres_work,
)
from batchyard.store.postgres_connections import Connections
from batchyard.store.postgres_lanes import PostgresLaneHistory
from batchyard.store.postgres_news import News
from batchyard.store.postgres_outbox import PostgresOutbox
from batchyard.store.postgres_url import taken_apart
from batchyard.store.postgres_views import PostgresViews
from batchyard.store.rows import micros, moment

CONNECTIONS = 8
"""Connections of one process: a long read (a seal's), a create, and the short ones beside them."""


class PostgresStore:
    """A ``Store``. ``open`` makes one.

    With ``own_time`` heartbeats are stamped and judged by the database's own clock, whatever ``now`` a verb names: so
    who is dead does not depend on any host's clock.
    """

    def __init__(
        self,
        connections: Connections,
        lease_time: timedelta,
        entropy: Callable[[], int],
        *,
        own_time: bool,
        news: News | None,
    ) -> None:
        self._connections, self._news = connections, news
        self.views = PostgresViews(connections)
        self.lane_history = PostgresLaneHistory(connections)
        self._lease_micros = lease_time // timedelta(microseconds=1)
        self._entropy = entropy
        self._own_time = own_time

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        lease_seconds: float = 30.0,
        entropy: Callable[[], int] = lambda: secrets.randbits(80),
        own_time: bool = True,
        connections: int = CONNECTIONS,
        news: News | None = None,
    ) -> "PostgresStore":
        """Connect, and bring the schema to the newest version; or raise ``DataRefused``.

        With ``news`` the answer to a cancel waits until all who hold requests of the batch have heard of it. The URL's
        query may name another schema than ``batchyard`` (``?schema=name``).
        """
        plain_url, schema = taken_apart(url)
        opened = await Connections.open(plain_url, schema, connections)
        return cls(opened, timedelta(seconds=lease_seconds), entropy, own_time=own_time, news=news)

    async def close(self) -> None:
        """Finish what was begun and let go of everything. Closing twice is allowed."""
        await self._connections.close()

    def outbox(self) -> PostgresOutbox:
        """Return what webhooks are sent from: tables beside the store's, over its connections."""
        return PostgresOutbox(self._connections)

    async def time(self) -> datetime:
        """Return the database's time."""
        return moment(await self._connections.read(lambda db: db.fetchval(f"select {postgres_owners.CLOCK}")))

    async def identity(self) -> str:
        """Return what tells this store from every other."""
        return str(await self._connections.read(lambda db: db.fetchval("select identity from about")))

    def _judged_at(self, now: datetime) -> int | None:
        """Return the time by which heartbeats are judged; None for the database's own."""
        return None if self._own_time else micros(now)

    async def create(self, new: NewBatch, drafts: Drafts, origin: Origin, *, defend: bool) -> Batch:
        return await self._connections.write(
            lambda db: postgres_create.create(db, new, drafts, origin, defend=defend, entropy=self._entropy)
        )

    async def load(self, workspace: str) -> Load:
        return await self._connections.snapshot(lambda db: postgres_batches.load(db, workspace))

    async def get(self, workspace: str, batch_id: str) -> Batch:
        return (await self._connections.read(lambda db: postgres_batches.find(db, workspace, batch_id))).batch()

    async def page(self, workspace: str, *, after: str | None, before: str | None, limit: int) -> Page:
        return await self._connections.read(lambda db: postgres_batches.page(db, workspace, after, before, limit))

    async def cancel(self, workspace: str, batch_id: str, now: datetime) -> Batch:
        async def tell() -> Batch:
            return await self._connections.write(lambda db: postgres_batches.cancel(db, workspace, batch_id, now))

        async def holders() -> Collection[str]:
            at, lease = self._judged_at(now), self._lease_micros
            return await self._connections.read(lambda db: postgres_owners.holders(db, batch_id, at, lease))

        return await (tell() if self._news is None else self._news.heard(batch_id, tell, holders))

    async def pause(self, workspace: str, batch_id: str, *, paused: bool) -> Batch:
        return await self._connections.write(lambda db: postgres_batches.pause(db, workspace, batch_id, paused=paused))

    async def delete(self, workspace: str, batch_id: str) -> Batch:
        return await self._connections.write(lambda db: postgres_batches.delete(db, workspace, batch_id))

    async def beat(self, owner: str, now: datetime) -> int:
        at = self._judged_at(now)
        return await self._connections.write(lambda db: postgres_owners.beat(db, owner, at, self._lease_micros))

    async def backlog(self, now: datetime) -> Sequence[Ready]:
        return await self._connections.read(lambda db: postgres_batches.backlog(db, micros(now)))

    async def turn(self, owner: str, settlements: Sequence[Settlement], picks: Sequence[Pick], now: datetime) -> Turn:
        return await self._connections.write(lambda db: postgres_work.turn(db, owner, settlements, picks, now))

    async def held(self, owner: str) -> Sequence[Lease]:
        return await self._connections.snapshot(lambda db: postgres_work.held(db, owner))

    async def pause_lane(self, lane: str, *, paused: bool) -> None:
        await self._connections.write(lambda db: postgres_work.pause_lane(db, lane, paused=paused))

    async def paused_lanes(self) -> Sequence[str]:
        return await self._connections.read(postgres_work.paused_lanes)

    async def reclaim(self, owner: str, now: datetime) -> int:
        # Where its clock is ours to read, whoever has come back since it was found dead keeps what it holds.
        lease_micros = self._lease_micros if self._own_time else None
        return await self._connections.write(
            lambda db: postgres_upkeep.reclaim(
                db, owner, now, judged_at=self._judged_at(now), lease_micros=lease_micros
            )
        )

    async def leave(self, owner: str, now: datetime) -> int:
        return await self._connections.write(lambda db: postgres_upkeep.leave(db, owner, now))

    async def dead(self, now: datetime) -> Sequence[str]:
        at = self._judged_at(now)
        return await self._connections.read(lambda db: postgres_owners.dead(db, at, self._lease_micros))

    async def owners(self, now: datetime) -> Sequence[Owner]:
        at = self._judged_at(now)
        return await self._connections.read(lambda db: postgres_owners.owners(db, at, self._lease_micros))

    async def expire(self, now: datetime) -> Sequence[str]:
        return await self._connections.write(lambda db: postgres_upkeep.expire(db, now))

    async def ripe(self) -> Sequence[Batch]:
        return await self._connections.read(postgres_upkeep.ripe)

    async def ended(self, since: datetime) -> Sequence[Batch]:
        return await self._connections.read(lambda db: postgres_upkeep.ended(db, since))

    async def due(self, before: datetime) -> Sequence[Batch]:
        return await self._connections.read(lambda db: postgres_upkeep.due(db, before))

    async def finals(self, batch_id: str) -> AsyncIterator[Sequence[Final]]:
        stored = await self._connections.read(lambda db: postgres_finals.running(db, batch_id))
        if stored is None:
            return
        batch, first = stored, stored.first
        while True:
            part = await self._connections.snapshot(lambda db, at=first: postgres_finals.part(db, batch, at))  # type: ignore[misc]
            if not part:
                return
            yield part
            first = batch.first + part[-1].seq + 1

    async def seal(self, batch_id: str, sealed: Sealed, counts: Counts, now: datetime) -> Batch | None:
        return await self._connections.write(lambda db: postgres_upkeep.seal(db, batch_id, sealed, counts, now))

    async def sweep(self, limit: int) -> int:
        return await self._connections.write(lambda db: postgres_upkeep.sweep(db, limit))

    async def archive(self, created_before: datetime, now: datetime) -> Sequence[Batch]:
        return await self._connections.write(lambda db: postgres_upkeep.archive(db, created_before, now))

    async def blobs(self) -> set[str]:
        return await self._connections.read(postgres_upkeep.blobs)

    async def make(self, tender: str, new: NewCarrier, pick: Pick) -> tuple[Carrier, Sequence[Lease]] | None:
        return await self._connections.write(lambda db: postgres_carriers.make(db, tender, new, pick))

    async def sent(self, tender: str, carrier: str, upstream_id: str) -> bool:
        return await self._connections.write(lambda db: postgres_carriers.sent(db, tender, carrier, upstream_id))

    async def tended(self, tender: str) -> Sequence[Carrier]:
        return await self._connections.read(lambda db: postgres_carriers.tended(db, tender))

    async def adopt(self, tender: str, now: datetime) -> Sequence[Carrier]:
        at, lease_micros = self._judged_at(now), self._lease_micros
        return await self._connections.write(
            lambda db: postgres_carriers.adopt(db, tender, now, judged_at=at, lease_micros=lease_micros)
        )

    async def members(self, carrier: str) -> Sequence[Lease]:
        return await self._connections.snapshot(lambda db: postgres_carriers.members(db, carrier))

    async def finish(self, tender: str, carrier: str, *, lost: bool, now: datetime) -> bool:
        return await self._connections.write(
            lambda db: postgres_carriers.finish(db, tender, carrier, lost=lost, now=now)
        )
