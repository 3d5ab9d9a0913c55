"""Retrieve, list, cancel and delete."""

from batchyard import wire
from batchyard.domain.errors import InvalidRequest, NotFound
from batchyard.domain.events import BatchDeleted, BatchPaused, CancelAsked, Emit
from batchyard.domain.ids import is_batch_id
from batchyard.ports import Batches, Blobs, Clock
from batchyard.web.calls import Answer, ApiCall, page_limit
from batchyard.web.deletes import Deletes


class BatchCalls:
    """What is said about, and done to, batches that exist."""

    def __init__(self, batches: Batches, blobs: Blobs, clock: Clock, emit: Emit) -> None:
        self._batches = batches
        self._deletes = Deletes(batches, blobs)
        self._clock = clock
        self._emit = emit

    async def retrieve(self, call: ApiCall, batch_id: str) -> Answer:
        batch = await self._batches.get(call.workspace, known_form(batch_id))
        return Answer(wire.batch_json(batch, call.base_url))

    async def page(self, call: ApiCall) -> Answer:
        page = await self._batches.page(
            call.workspace, after=cursor(call, "after_id"), before=cursor(call, "before_id"), limit=page_limit(call)
        )
        return Answer(wire.page_json(page.batches, call.base_url, has_more=page.has_more))

    async def cancel(self, call: ApiCall, batch_id: str) -> Answer:
        now = self._clock.now()
        batch = await self._batches.cancel(call.workspace, known_form(batch_id), now)
        if batch.cancel_initiated_at == now:
            self._emit(CancelAsked(batch.id, batch.workspace))
        return Answer(wire.batch_json(batch, call.base_url))

    async def pause(self, call: ApiCall, batch_id: str, *, paused: bool) -> Answer:
        """Beside the wire: nothing of the batch is sent until it is resumed. The batch object does not show it."""
        batch = await self._batches.pause(call.workspace, known_form(batch_id), paused=paused)
        self._emit(BatchPaused(batch.id, batch.workspace, paused))
        return Answer(wire.paused_json(batch))

    async def delete(self, call: ApiCall, batch_id: str) -> Answer:
        batch = await self._deletes.delete(call.workspace, known_form(batch_id))
        self._emit(BatchDeleted(batch.id, batch.workspace))
        return Answer(wire.deleted_json(batch.id))


def known_form(batch_id: str) -> str:
    """Return the id if it may be one; else say the same as of an unknown one."""
    if not is_batch_id(batch_id):
        raise NotFound(f"Message Batch {batch_id[:100]} not found.")
    return batch_id


def cursor(call: ApiCall, name: str) -> str | None:
    """Return a cursor, which is a position and need not exist."""
    cursor = call.query(name)
    if cursor is not None and not is_batch_id(cursor):
        raise InvalidRequest(f"{name}: Input should be the id of a Message Batch")
    return cursor
