"""An upstream that speaks the Messages API itself: params go out as they came in, answers are judged, nothing else.

The key goes to this URL only. ``docs/design/upstream.md`` has the table of outcomes.
"""

import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from batchyard.domain.answer import judge, judge_message
from batchyard.domain.catalog import ModelInfo
from batchyard.domain.outcome import Answered, Outcome, Refused
from batchyard.domain.result import RequestError
from batchyard.domain.servers import AUTO, server_named
from batchyard.ports import Call, Stream
from batchyard.upstream.exchange import Answer, CallLimits, unknown, with_allowance
from batchyard.upstream.heads import Forwards, Heads, address, api_path, checked_key, checked_url, plain_get
from batchyard.upstream.http1 import Http1Client
from batchyard.upstream.listing import Listing, judge_count

SHORTEST_SECRET = 8
"""A shorter key is a placeholder (``none``, ``EMPTY``), and its letters may well stand in an honest text."""
_NO_HEADER = Refused(RequestError("invalid_request_error", "The version or betas of the call fit in no header."))


class MessagesUpstream:
    """Implements ``Upstream``: POST to ``url``/v1/messages; a ``url`` that ends in /v1 or /v1/messages is understood.

    ``server`` is a name in ``domain.servers``: it says what is sent on of a call's headers, unless that is said too.
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
        self._secret = key.encode() if len(key) >= SHORTEST_SECRET else b""
        self._now = now

    async def attempt(self, call: Call) -> Outcome:
        """Make the call once and say what came of it."""
        request = self._calls.request(call)
        if not request:
            return _NO_HEADER
        answer = await self._client.post(request)
        if not isinstance(answer, Answer):
            return answer
        if answer.status == 200:
            outcome = judge_message(answer.body, self._server)
            if isinstance(outcome, Answered):
                return with_allowance(outcome, answer, self._now())
        return self._judged(answer)

    async def stream(self, call: Call) -> Stream | Outcome:
        """Make the call once; what does not begin as a stream of events is judged like any answer."""
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

    def _judged(self, answer: Answer) -> Outcome:
        """A server that repeats what it was sent must not hand our key on to whoever reads the results."""
        body = answer.body.replace(self._secret, b"[key]") if self._secret else answer.body
        return judge(answer.status, answer.headers, body, self._now(), self._server)
