"""What a process knows of its data folder."""

from batchyard.blobs.space import EndlessSpace, FolderSpace
from batchyard.ports import Space, Store
from batchyard.settings import Settings
from batchyard.store.sqlite import SqliteStore


def space(settings: Settings, store: Store) -> Space:
    """Return the room on its disk; of other stores that is not ours to watch."""
    if not isinstance(store, SqliteStore):
        return EndlessSpace()
    return FolderSpace(settings.data, settings.disk_reserve_bytes, store.used_bytes)
