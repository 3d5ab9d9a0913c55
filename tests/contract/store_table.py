"""The stores that the contract holds for: one line each. The first is the model for the others."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from batchyard.ports import Store
from batchyard.store.memory import MemoryStore
from batchyard.store.sqlite import SqliteStore

LEASE_SECONDS = 30.0

StoreFactory = Callable[[Path, Callable[[], int]], Coroutine[Any, Any, Store]]
"""Opens a store on an empty folder of its own, with a lease of ``LEASE_SECONDS``; the callable is its entropy."""


async def memory(folder: Path, entropy: Callable[[], int]) -> Store:
    return MemoryStore(lease_seconds=LEASE_SECONDS, entropy=entropy)


async def sqlite(folder: Path, entropy: Callable[[], int]) -> Store:
    return SqliteStore.open(folder, lease_seconds=LEASE_SECONDS, entropy=entropy)


STORES: dict[str, StoreFactory] = {
    "memory": memory,
    "sqlite": sqlite,
}

SURVIVE_CLOSE: set[str] = {"sqlite"}
"""Names of stores that, closed and opened on the same folder again, know everything they knew."""
