"""Reads, off the loop, on connections that cannot write: they wait for no writer, and no writer waits for them."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import apsw

from batchyard.domain.errors import StoreUnavailable
from batchyard.store.database import unavailable

T = TypeVar("T")


class Readers:
    """Some connections, and as many threads. One call sees one snapshot."""

    def __init__(self, connections: Sequence[apsw.Connection]) -> None:
        self._connections = connections
        self._free: SimpleQueue[apsw.Connection] = SimpleQueue()
        for connection in connections:
            self._free.put(connection)
        self._threads = ThreadPoolExecutor(len(connections), thread_name_prefix="batchyard-reader")
        self._closed = False

    async def run(self, read: Callable[[apsw.Connection], T]) -> T:
        """Return what ``read`` finds. A read of several statements begins its transaction itself."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, read)

    def close(self) -> None:
        """Let the reads under way end. Blocks. May be called twice."""
        self._closed = True
        self._threads.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

    def _read(self, read: Callable[[apsw.Connection], T]) -> T:
        connection = self._free.get()
        try:
            with unavailable("read"):
                return read(connection)
        finally:
            if connection.in_transaction:
                connection.execute("rollback")
            self._free.put(connection)
