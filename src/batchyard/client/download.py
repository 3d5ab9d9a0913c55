"""The results of one batch as lines, each given once, however often the connection is cut.

A server that keeps its results as they are is asked for the rest. One that begins anew is read again from its first
line, and lines whose custom_id was given before are left out: the order of results is free.
"""

from collections.abc import AsyncIterator

import aiohttp

from batchyard.client.api import Api
from batchyard.client.errors import BadReply, ServerError, Unreachable
from batchyard.client.reasons import reason
from batchyard.client.replies import ResultLine, result_line

LONGEST_LINE = 512 * 2**20
"""Bytes. What is longer is no result."""


class Download:
    """One reading of one batch's results. ``position`` counts the bytes of the lines that were given."""

    def __init__(self, api: Api, batch_id: str) -> None:
        self.batch_id = batch_id
        self.position = 0
        self._api = api
        self._etag: str | None = None
        self._seen: set[str] = set()

    def skip(self, line: bytes) -> None:
        """Count a line (with its end) as given: an earlier reading of the same results left it with the caller."""
        self._seen.add(result_line(line).custom_id)
        self.position += len(line)

    async def lines(self) -> AsyncIterator[tuple[bytes, ResultLine]]:
        """Yield each line as it came, without its end, and what it says."""
        retry, waited = 0, 0.0
        while True:
            before = len(self._seen)
            try:
                async for line in self._rest():
                    known = result_line(line)
                    if known.custom_id not in self._seen:
                        self._seen.add(known.custom_id)
                        yield line, known
            except ServerError as problem:
                if len(self._seen) > before:
                    retry, waited = 0, 0.0
                waited = await self._api.wait(problem, retry, waited)
                retry += 1
            else:
                return

    async def _rest(self) -> AsyncIterator[bytes]:
        response = await self._api.open_results(self.batch_id, start=self.position, etag=self._etag)
        async with response:
            if response.status == 416:
                return
            if response.status == 200:
                self.position = 0
            elif not response.headers.get("content-range", "").startswith(f"bytes {self.position}-"):
                raise BadReply("the server sent another range of the results than was asked for")
            self._etag = response.headers.get("etag", self._etag)
            tail = b""
            async for chunk in self._chunks(response):
                *whole, tail = (tail + chunk).split(b"\n")
                for line in whole:
                    self.position += len(line) + 1
                    if line.strip():
                        yield line.removesuffix(b"\r")
                if len(tail) > LONGEST_LINE:
                    raise BadReply("the server sent a result line without an end")
            if tail.strip():
                self.position += len(tail)
                yield tail

    async def _chunks(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            async for chunk in response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as problem:
            raise Unreachable(f"the download was cut: {reason(problem)}") from None
