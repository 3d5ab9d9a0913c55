"""A body on its way to a server: one that stops taking it is noticed, however large it is and however slow the line.

The HTTP client's own time limit begins when the whole body was sent.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

STALL_SECONDS = 300.0
"""How long a server may take none of the body; a portion of it has at most 256 kB."""

ANSWER_SECONDS = 600.0
"""How long the answer may take from the last portion on: the server writes and syncs all of it first."""


@asynccontextmanager
async def watched(portions: AsyncIterator[bytes] | None) -> AsyncIterator[AsyncIterator[bytes] | None]:
    """Give the portions to send; ``TimeoutError`` out of the block where they, or the answer, do not get on."""
    if portions is None:
        yield None
        return
    async with asyncio.timeout(None) as limit:
        yield _told(portions, limit)


async def _told(portions: AsyncIterator[bytes], limit: asyncio.Timeout) -> AsyncIterator[bytes]:
    async for portion in portions:
        _expect(limit, STALL_SECONDS)
        yield portion
    _expect(limit, ANSWER_SECONDS)


def _expect(limit: asyncio.Timeout, seconds: float) -> None:
    try:
        limit.reschedule(asyncio.get_running_loop().time() + seconds)
    except RuntimeError:  # the answer came before the end of the body
        return
