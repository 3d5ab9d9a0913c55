"""An upstream that speaks the Messages API itself: params go out as they came in, answers are judged, nothing else.

The key goes to this URL only. ``docs/design/upstream.md`` has the table of outcomes.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from batchyard.domain.answer import judge, judge_message
from batchyard.domain.assemble import Assembly
from batchyard.domain.catalog import ModelInfo
from batchyard.domain.outcome import Answered, Outcome, Refused
from batchyard.domain.result import RequestError
from batchyard.domain.servers import AUTO, server_named
from batchyard.domain.splice import splice
from batchyard.domain.stream_error import judge_event
from batchyard.domain.unheeded import unheeded
from batchyard.ports import Call, Stream
from batchyard.upstream.exchange import Answer, CallLimits, unknown, with_allowance
from batchyard.upstream.flow import Unwatched
from batchyard.upstream.gather import gather
from batchyard.upstream.heads import Forwards, Heads, address, api_path, checked_key, checked_url, plain_get
from batchyard.upstream.http1 import Http1Client
from batchyard.upstream.listing import Listing, judge_count

LARGE_BYTES = 1024 * 1024
"""Params in which a member is set beside the event loop."""
SHORTEST_SECRET = 8
"""A shorter key is a placeholder (``none``, ``EMPTY``), and its letters may well stand in an honest text."""
_NO_HEADER = Refused(RequestError("invalid_request_error", "The version or betas of the call fit in no header."))


class MessagesUpstream:
    """Implements ``Upstream``: POST to ``url``/v1/messages; a ``url`` that ends in /v1 or /v1/messages is understood.

    ``server`` is a name in ``domain.servers``: it says what is sent on of a call's headers, unless that is said too.
    With ``streams`` every call is made as a stream, and its answer put together here.
    Raises ``ValueError``, with a message for the operator, for a URL or a key that cannot be used.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        limits: CallLimits | None = None,
        *,
        server: str = AUTO,
        forward_version: bool | None = None,
        forward_betas: bool | None = None,
        streams: bool = False,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        parts = checked_url(url)
        key = checked_key(api_key)
        path = api_path(parts)
        self._client = Http1Client(address(parts, tls), limits or CallLimits())
        self._server = server_named(server, parts.hostname or "")
        forwards = Forwards(
            version=self._server.forwards if forward_version is None else forward_version,
            betas=self._server.forwards if forward_betas is None else forward_betas,
        )
        self._calls = Heads(parts, f"{path}/messages", key, forwards)
        self._counts = Heads(parts, f"{path}/messages/count_tokens", key, forwards)
        self._listing = Listing(self._client, plain_get(parts, f"{path}/models?limit=1000", key), self._judged, now)
        self._streams = streams
        self._max_bytes = limits.max_answer_bytes if limits else CallLimits().max_answer_bytes
        self._secret = key.encode() if len(key) >= SHORTEST_SECRET else b""
        self._now = now

    async def attempt(self, call: Call) -> Outcome:
        """Make the call once and say what came of it."""
        if (wrong := self._unheeded(call)) is not None:
            return wrong
        if self._streams:
            return await self._gathered(call)
        request = self._calls.request(call)
        if not request:
            return _NO_HEADER
        answer = await self._client.post(request, call.is_wanted)
        return self._outcome(answer) if isinstance(answer, Answer) else answer

    async def _gathered(self, call: Call) -> Outcome:
        """Make the call as a stream: of its params this one member is set. A server may answer whole all the same."""
        setting = (call.params, "stream", b"true")
        large = len(call.params) >= LARGE_BYTES
        params = await asyncio.to_thread(splice, *setting) if large else splice(*setting)
        request = self._calls.request(msgspec.structs.replace(call, params=params))
        if not request:
            return _NO_HEADER
        begun = await self._client.stream(request, Unwatched(), by_progress=True, is_wanted=call.is_wanted)
        if isinstance(begun, Answer):
            return self._outcome(begun)
        if isinstance(begun, Outcome):
            return begun
        outcome = await gather(begun, Assembly(self._max_bytes, self._server), self._told, call.heard)
        if isinstance(outcome, Answered) and begun.answer is not None:
            return with_allowance(outcome, begun.answer, self._now())
        return outcome

    def _outcome(self, answer: Answer) -> Outcome:
        if answer.status == 200:
            outcome = judge_message(answer.body, self._server)
            if isinstance(outcome, Answered):
                return with_allowance(outcome, answer, self._now())
        return self._judged(answer)

    def _told(self, assembly: Assembly) -> Outcome:
        """Judge an error event."""
        data = self._without_key(assembly.error)
        return judge_event(data, begun=assembly.begun, now=self._now(), server=self._server)

    async def stream(self, call: Call) -> Stream | Outcome:
        """Make the call once; what does not begin as a stream of events is judged like any answer."""
        if (wrong := self._unheeded(call)) is not None:
            return wrong
        request = self._calls.request(call)
        if not request:
            return _NO_HEADER
        begun = await self._client.stream(request)
        if not isinstance(begun, Answer):
            return begun
        outcome = self._judged(begun)
        return (
            unknown("gave a whole Message where a stream was asked for") if isinstance(outcome, Answered) else outcome
        )

    async def count(self, call: Call) -> int | Outcome:
        """Ask the upstream's own counter."""
        request = self._counts.request(call)
        if not request:
            return _NO_HEADER
        answer = await self._client.post(request)
        return judge_count(answer, self._judged) if isinstance(answer, Answer) else answer

    async def models(self) -> Sequence[ModelInfo] | Outcome:
        """Return the upstream's own list, at most a minute old."""
        return await self._listing.models()

    async def close(self) -> None:
        """Cut what is in flight and let go of connections. Closing twice is allowed."""
        await self._client.close()

    @property
    def connections(self) -> int:
        """How many are open now."""
        return self._client.connections

    def _unheeded(self, call: Call) -> Refused | None:
        """Refuse a call of which the server would leave something out without a word."""
        wrong = unheeded(call.params) if self._server.drops_unread else None
        return None if wrong is None else Refused(wrong)

    def _judged(self, answer: Answer) -> Outcome:
        body = self._without_key(answer.body)
        return judge(answer.status, answer.headers, body, self._now(), self._server)

    def _without_key(self, body: bytes) -> bytes:
        """A server that repeats what it was sent must not hand our key on to whoever reads the results."""
        return body.replace(self._secret, b"[key]") if self._secret else body
