"""The stores that the contract holds for: one line each. The first is the model for the others."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from batchyard.ports import Store
from batchyard.store.memory import MemoryStore
from batchyard.store.sqlite import SqliteStore
from batchyard.testing.stores import FailingStore, SlowStore

LEASE_SECONDS = 30.0

StoreFactory = Callable[[Path, Callable[[], int]], Coroutine[Any, Any, Store]]
"""Opens a store on an empty folder of its own, with a lease of ``LEASE_SECONDS``; the callable is its entropy."""


async def memory(folder: Path, entropy: Callable[[], int]) -> Store:
    return MemoryStore(lease_seconds=LEASE_SECONDS, entropy=entropy)


async def sqlite(folder: Path, entropy: Callable[[], int]) -> Store:
    return SqliteStore.open(folder, lease_seconds=LEASE_SECONDS, entropy=entropy)


async def wrapped(folder: Path, entropy: Callable[[], int]) -> Store:
    """Open the doubles that hand every verb on: they must change nothing of the store within."""
    return FailingStore(SlowStore(await memory(folder, entropy), lambda verb: 0.0), lambda verb, n: None)


STORES: dict[str, StoreFactory] = {
    "memory": memory,
    "sqlite": sqlite,
}

DOUBLES: dict[str, StoreFactory] = {
    "wrapped": wrapped,
}
"""Stores of the tests themselves; they pass the suite, and need no random lives."""

SURVIVE_CLOSE: set[str] = {"sqlite"}
"""Names of stores that, closed and opened on the same folder again, know everything they knew."""
