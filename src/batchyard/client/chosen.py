"""Batches chosen by what they are, out of all that a key sees: those that run, those that ended, those of some age."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from batchyard.client.api import Api
from batchyard.client.replies import MessageBatch

PAGE = 100


async def every_batch(api: Api) -> AsyncIterator[MessageBatch]:
    """Yield all batches, newest first, page by page."""
    after = None
    while True:
        page = await api.page(limit=PAGE, after_id=after)
        for batch in page.batches:
            yield batch
        if not page.has_more or not page.batches:
            return
        after = page.batches[-1].id


async def chosen(api: Api, *, ended: bool, before: datetime | None = None) -> list[MessageBatch]:
    """Return the batches that have ended, or those that have not; made before that moment, where one is given."""
    return [
        batch
        async for batch in every_batch(api)
        if batch.has_ended == ended and (before is None or _is_older(batch, before))
    ]


def _is_older(batch: MessageBatch, moment: datetime) -> bool:
    """Whether a batch was made before; one whose time cannot be read was not: it is left alone."""
    try:
        created = datetime.fromisoformat(batch.created_at)
    except ValueError:
        return False
    return (created if created.tzinfo else created.replace(tzinfo=UTC)) < moment
