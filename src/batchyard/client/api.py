"""The six calls of the Message Batches API, to Batchyard or any other server of it, with repeats where they are safe.

The key goes to the base URL and nowhere else: redirects are not followed, and results are read below the base URL.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import quote

import aiohttp

from batchyard import __version__
from batchyard.client import replies
from batchyard.client.errors import BadReply, RefusedByServer, ServerError, Unreachable
from batchyard.client.patience import Patience, may_be_repeated, pause
from batchyard.client.reasons import reason
from batchyard.client.replies import MessageBatch, Page
from batchyard.client.uploads import ANSWER_SECONDS, watched

VERSION = "2023-06-01"
"""The anthropic-version that every server of this API takes."""

LARGEST_REPLY = 64 * 2**20
"""Bytes. A page of a thousand batches has less than one million."""

_SILENCE = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
_UPLOAD = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=ANSWER_SECONDS)


class Body(Protocol):
    """The body of a create, written anew for each try and never held whole."""

    size: int
    problem: Exception | None
    """Why writing stopped early, if it did: such a create is not repeated."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield exactly ``size`` bytes, or raise."""


class Fixed:
    """A small body that is held whole."""

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self.problem: Exception | None = None
        self._content = content

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._content


BATCHES = "/v1/messages/batches"
BESIDE = "/batchyard/v1"
EXTENSION = f"{BESIDE}/batches"
"""What Batchyard's servers have beside the wire."""


class Api:
    """An asynchronous client; use it as a context manager. ``on_repeat`` hears of each failure that is tried again."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        patience: Patience | None = None,
        on_repeat: Callable[[ServerError, float], None] = lambda _problem, _seconds: None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.patience = patience or Patience()
        self.waits_if_full = True
        """Whether a server that takes no more is waited for, as one that is away; else it is told at once."""
        self._on_repeat = on_repeat
        self._sleep = sleep
        self._headers = {
            "x-api-key": api_key,
            "anthropic-version": VERSION,
            "user-agent": f"batchyard/{__version__}",
            "accept-encoding": "identity",
        }
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, auto_decompress=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def key_seconds(self) -> float:
        """Return for how long the server knows an idempotency key: 0 for any but Batchyard."""
        try:
            return replies.key_seconds(await self._call("GET", "/server", root="/batchyard/v1"))
        except RefusedByServer as refused:
            if refused.is_certain:  # there is nothing at this path: another server
                return 0.0
            raise
        except BadReply:
            return 0.0

    async def count_tokens(self, params: bytes) -> int:
        """Return how many tokens the params are, as the server counts them."""
        body = Fixed(params)
        return replies.input_tokens(await self._call("POST", "", body=body, root="/v1/messages/count_tokens"))

    async def create(
        self, body: Body, *, idempotency_key: str, again: bool = True, headers: Mapping[str, str] | None = None
    ) -> MessageBatch:
        """Create a batch. A server that knows idempotency keys makes one batch of any number of tries.

        With ``again`` false, a try that may have made a batch is the last.
        """
        headers = {**(headers or {}), "idempotency-key": idempotency_key}
        return replies.batch(await self._call("POST", "", headers=headers, body=body, again=again))

    async def rerun(self, batch_id: str, fates: Iterable[str], *, idempotency_key: str) -> MessageBatch:
        """Have a Batchyard make a batch of the requests of another that ended so. It has kept them."""
        headers, query = {"idempotency-key": idempotency_key}, {"results": ",".join(fates)}
        return replies.batch(
            await self._call("POST", _path(batch_id, "/rerun"), headers=headers, query=query, root=EXTENSION)
        )

    async def retrieve(self, batch_id: str) -> MessageBatch:
        """Return the batch as it is now."""
        return replies.batch(await self._call("GET", _path(batch_id)))

    async def page(self, *, limit: int = 20, after_id: str | None = None, before_id: str | None = None) -> Page:
        """Return batches, newest first, older than ``after_id`` or newer than ``before_id``."""
        query = {"limit": str(limit), "after_id": after_id, "before_id": before_id}
        return replies.page(await self._call("GET", "", query={name: value for name, value in query.items() if value}))

    async def cancel(self, batch_id: str) -> MessageBatch:
        """Ask that nothing more of the batch be sent. Asking twice is allowed."""
        return replies.batch(await self._call("POST", _path(batch_id, "/cancel")))

    async def pause(self, batch_id: str, *, paused: bool) -> bytes:
        """Pause or resume the batch, on a Batchyard; return the server's JSON on one line."""
        verb = "/pause" if paused else "/resume"
        return replies.compact(await self._call("POST", _path(batch_id, verb), root=EXTENSION))

    async def beside(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Body | None = None
    ) -> bytes:
        """Make a call of Batchyard's own, below ``/batchyard/v1``; return what came as it came."""
        return await self._call(method, path, query=dict(query or {}), body=body, root=BESIDE)

    async def delete(self, batch_id: str) -> bytes:
        """Delete an ended batch with its results; return the server's JSON on one line."""
        return replies.compact(await self._call("DELETE", _path(batch_id)))

    async def open_results(self, batch_id: str, *, start: int, etag: str | None) -> aiohttp.ClientResponse:
        """Open the results from a byte on; the caller reads and closes. One try: the reader knows where it stands.

        Status 206 means that the server begins there, 200 that it begins anew, 416 that nothing is left.
        """
        headers = {"accept": "application/x-jsonl"}
        if start:
            headers |= {"range": f"bytes={start}-"} | ({"if-range": etag} if etag else {})
        response = await self._send("GET", _path(batch_id, "/results"), headers)
        if response.status in (200, 206) or (start and response.status == 416):
            return response
        async with response:
            raise await self._refusal(response)

    async def open_following(self, batch_id: str, *, after: int) -> aiohttp.ClientResponse:
        """Open the results of a batch as they finish, from that line on; the caller reads and closes. One try."""
        headers, query = {"accept": "application/x-jsonl"}, {"follow": "true", "after": str(after)}
        response = await self._send("GET", _path(batch_id, "/results"), headers, query=query, root=EXTENSION)
        if response.status == 200:
            return response
        async with response:
            raise await self._refusal(response)

    async def attempts(self, batch_id: str) -> AsyncIterator[bytes]:
        """Yield the attempt ledger line by line, as it came: an extension of Batchyard's. One try."""
        headers = {"accept": "application/x-jsonl"}
        response = await self._send("GET", f"{_path(batch_id)}/attempts", headers, root=EXTENSION)
        async with response:
            if response.status != 200:
                raise await self._refusal(response)
            try:
                async for line in response.content:
                    yield line.rstrip(b"\r\n")
            except (aiohttp.ClientError, OSError) as problem:
                raise Unreachable(f"the download was cut: {reason(problem)}") from None

    async def wait(self, problem: ServerError, retry: int, waited: float) -> float:
        """Wait before repeat number ``retry``; return the seconds waited in all. Raises the problem if that was it."""
        headers = problem.headers if isinstance(problem, RefusedByServer) else {}
        lasting = isinstance(problem, RefusedByServer) and not may_be_repeated(problem.status, headers)
        seconds = pause(retry, headers, random.random(), datetime.now(UTC))  # noqa: S311 - spreads load, hides nothing
        is_told = isinstance(problem, RefusedByServer) and problem.is_full and not self.waits_if_full
        is_over = is_told or self.patience.is_over(retry, waited)
        if lasting or isinstance(problem, BadReply) or seconds is None or is_over:
            raise problem
        self._on_repeat(problem, seconds)
        await self._sleep(seconds)
        return waited + seconds

    async def _call(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        body: Body | None = None,
        root: str = BATCHES,
        again: bool = True,
    ) -> bytes:
        retry, doubtful, waited = 0, 0, 0.0
        while True:
            tried = {**(headers or {}), "x-stainless-retry-count": str(retry)}
            try:
                async with await self._send(method, path, tried, query=query, body=body, root=root) as response:
                    if response.status == 200:
                        return await self._read(response)
                    raise await self._refusal(response)
            except ServerError as problem:
                if body is not None and body.problem is not None:
                    raise body.problem from None
                if isinstance(problem, RefusedByServer):
                    problem.repeats = doubtful
                if not (again or problem.had_no_effect):
                    raise
                doubtful += not problem.had_no_effect
                waited = await self.wait(problem, retry, waited)
            retry += 1

    async def _send(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        *,
        query: dict[str, str] | None = None,
        body: Body | None = None,
        root: str = BATCHES,
    ) -> aiohttp.ClientResponse:
        assert self._session is not None, "an Api is used inside `async with`"
        if body is not None:
            headers = headers | {"content-type": "application/json", "content-length": str(body.size)}
        try:
            async with watched(None if body is None else body.chunks()) as portions:
                return await self._session.request(
                    method,
                    f"{self.base_url}{root}{path}",
                    params=query,
                    headers=headers,
                    data=portions,
                    timeout=_SILENCE if body is None else _UPLOAD,
                    allow_redirects=False,
                )
        except (aiohttp.ClientError, OSError) as problem:  # TimeoutError is an OSError
            raise self._unreachable(problem) from None

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        raw = bytearray()
        try:
            async for chunk in response.content.iter_chunked(2**16):
                raw += chunk
                if len(raw) > LARGEST_REPLY:
                    raise BadReply("the server's answer is larger than any of this API")
        except (aiohttp.ClientError, OSError) as problem:
            raise self._unreachable(problem) from None
        return bytes(raw)

    async def _refusal(self, response: aiohttp.ClientResponse) -> ServerError:
        if 300 <= response.status < 400:
            return BadReply(f"the server redirects ({response.status}), which is not followed: give its real base URL")
        return replies.refusal(response.status, await self._read(response), response.headers)

    def _unreachable(self, problem: Exception) -> Unreachable:
        never_sent = isinstance(problem, aiohttp.ClientConnectorError)
        return Unreachable(f"cannot reach {self.base_url}: {reason(problem)}", had_no_effect=never_sent)


def _path(batch_id: str, verb: str = "") -> str:
    return f"/{quote(batch_id, safe='')}{verb}"
