"""The stores that the contract holds for: one line each. The first is the model for the others."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from batchyard.ports import Store
from batchyard.store.memory import MemoryStore
from batchyard.store.postgres import PostgresStore
from batchyard.store.sqlite import SqliteStore
from batchyard.testing.stores import FailingStore, SlowStore
from tests.postgres import shared

LEASE_SECONDS = 30.0

StoreFactory = Callable[[Path, Callable[[], int]], Coroutine[Any, Any, Store]]
"""Opens a store on an empty folder of its own, with a lease of ``LEASE_SECONDS``; the callable is its entropy."""


async def memory(folder: Path, entropy: Callable[[], int]) -> Store:
    return MemoryStore(lease_seconds=LEASE_SECONDS, entropy=entropy)


async def sqlite(folder: Path, entropy: Callable[[], int]) -> Store:
    return SqliteStore.open(folder, lease_seconds=LEASE_SECONDS, entropy=entropy)


async def postgres(folder: Path, entropy: Callable[[], int]) -> Store:
    """Open the one schema that all tests of this process use; whoever comes with another folder finds it empty."""
    url = shared().schema_url("contract")
    store = await PostgresStore.open(url, lease_seconds=LEASE_SECONDS, entropy=entropy, own_time=False, connections=2)
    mark = folder / "is-mine"
    if not mark.exists():
        await emptied(store)
        mark.touch()
    return store


async def emptied(store: PostgresStore) -> None:
    """Delete every row of the store but those that its first migration made."""

    async def empty(db: Any) -> None:
        rows = await db.fetch(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'contract'::regnamespace"
        )
        tables = {row["relname"] for row in rows} - {"about", "given", "marks"}
        await db.execute(";".join(f"delete from {table}" for table in sorted(tables)))
        await db.execute("update given set created_at = 0")

    await store._connections.write(empty)


async def wrapped(folder: Path, entropy: Callable[[], int]) -> Store:
    """Open the doubles that hand every verb on: they must change nothing of the store within."""
    return FailingStore(SlowStore(await memory(folder, entropy), lambda verb: 0.0), lambda verb, n: None)


STORES: dict[str, StoreFactory] = {
    "memory": memory,
    "sqlite": sqlite,
    "postgres": postgres,
}

DOUBLES: dict[str, StoreFactory] = {
    "wrapped": wrapped,
}
"""Stores of the tests themselves; they pass the suite, and need no random lives."""

SURVIVE_CLOSE: set[str] = {"sqlite", "postgres"}
"""Names of stores that, closed and opened on the same folder again, know everything they knew."""
