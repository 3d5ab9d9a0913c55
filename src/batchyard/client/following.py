"""The results of one batch as they finish, from a Batchyard server; a cut connection goes on where it was."""

from collections.abc import AsyncIterator

import aiohttp

from batchyard.client.api import Api
from batchyard.client.errors import ServerError, Unreachable
from batchyard.client.reasons import reason


async def follow_results(api: Api, batch_id: str, *, after: int = 0) -> AsyncIterator[bytes]:
    """Yield each result line, without its newline, in the order in which they come, from that many on.

    Ends when the batch has ended and every line was read.
    """
    retry, waited = 0, 0.0
    while True:
        try:
            async for line in _lines(api, batch_id, after):
                after += 1
                retry, waited = 0, 0.0  # what moves again has all its tries again
                yield line
        except ServerError as problem:
            waited = await api.wait(problem, retry, waited)
            retry += 1
        else:
            return


async def _lines(api: Api, batch_id: str, after: int) -> AsyncIterator[bytes]:
    """Yield what one connection brings; an empty line only says that it lives."""
    async with await api.open_following(batch_id, after=after) as response:
        rest = bytearray()
        try:
            async for chunk in response.content.iter_any():
                rest += chunk
                *whole, last = rest.split(b"\n") if b"\n" in chunk else (rest,)
                for line in whole:
                    if line:
                        yield bytes(line)
                rest = last
        except (aiohttp.ClientError, OSError) as problem:
            raise Unreachable(f"the connection was cut: {reason(problem)}") from None
