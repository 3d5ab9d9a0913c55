"""Looking at batches, ever less often, until all have ended."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from batchyard.client.api import Api
from batchyard.client.replies import MessageBatch

SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds between two looks: a tenth of the time that was waited already, within these."""

Sleep = Callable[[float], Awaitable[object]]


async def follow(
    api: Api, batch_ids: Sequence[str], tell: Callable[[Sequence[MessageBatch]], None], sleep: Sleep = asyncio.sleep
) -> Sequence[MessageBatch]:
    """Return the batches once all have ended; ``tell`` hears of each look at them."""
    latest: dict[str, MessageBatch] = {}
    waited = 0.0
    while True:
        for batch_id in batch_ids:
            if batch_id not in latest or not latest[batch_id].has_ended:
                latest[batch_id] = await api.retrieve(batch_id)
        tell(tuple(latest.values()))
        if all(batch.has_ended for batch in latest.values()):
            return tuple(latest.values())
        seconds = min(max(waited / 10, SHORTEST_PAUSE), LONGEST_PAUSE)
        await sleep(seconds)
        waited += seconds
