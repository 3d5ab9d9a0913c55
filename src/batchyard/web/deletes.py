"""Deleting a batch: the store forgets it in one transaction, then its files go.

A transaction whose answer was lost may have taken effect: then nobody will ask for the files again, and whoever deletes
the batch once more is told that it is not there. So it is asked after until that is known, and the files go then.
"""

import asyncio
from contextlib import suppress

from batchyard.domain.batch import Batch
from batchyard.domain.errors import CommitUnknown, NotFound, StoreUnavailable
from batchyard.ports import Batches, Blobs

ASK_SECONDS = 1.0


class Deletes:
    """Deletes batches and their files."""

    def __init__(self, batches: Batches, blobs: Blobs) -> None:
        self._batches, self._blobs = batches, blobs
        self._doubts: set[asyncio.Task[None]] = set()

    async def delete(self, workspace: str, batch_id: str) -> Batch:
        """Delete an ended batch. Raises what the store raises."""
        known = await self._batches.get(workspace, batch_id)
        try:
            batch = await self._batches.delete(workspace, batch_id)
        except CommitUnknown:
            doubt = asyncio.create_task(self._until_known(known), name="delete-in-doubt")
            self._doubts.add(doubt)
            doubt.add_done_callback(self._doubts.discard)
            raise
        await self._forget(batch)
        return batch

    async def _until_known(self, batch: Batch) -> None:
        while True:
            try:
                await self._batches.get(batch.workspace, batch.id)
            except NotFound:
                await self._forget(batch)
                return
            except StoreUnavailable:
                await asyncio.sleep(ASK_SECONDS)
            else:
                return

    async def _forget(self, batch: Batch) -> None:
        sealed = batch.sealed
        for name in [batch.body, *([sealed.results, sealed.index, sealed.ledger] if sealed else [])]:
            with suppress(StoreUnavailable):  # the batch is gone all the same; the file is swept by its age
                await self._blobs.delete(name)
