"""Looking at batches, ever less often, until all have ended."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from batchyard.client.api import Api
from batchyard.client.replies import MessageBatch

SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds between two looks: a tenth of the time that was waited already, within these."""

Sleep = Callable[[float], Awaitable[object]]


def pause_after(waited: float) -> float:
    """Return the seconds until the next look, after so many seconds of looking."""
    return min(max(waited / 10, SHORTEST_PAUSE), LONGEST_PAUSE)


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
        await sleep(pause_after(waited))
        waited += pause_after(waited)
