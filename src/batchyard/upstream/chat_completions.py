"""An upstream that speaks chat completions: Messages go out translated, and answers come back as Messages.

The key goes to this URL only. What the dialect cannot carry is refused here, at no cost, and named.
"""

import math
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from batchyard.domain.assemble import OVERHEAD, Assembly
from batchyard.domain.catalog import ModelInfo
from batchyard.domain.outcome import Answered, Outcome, Refused
from batchyard.domain.result import RequestError
from batchyard.domain.servers import AUTO, server_named
from batchyard.domain.stream_error import judge_event
from batchyard.ports import Call, Stream
from batchyard.upstream.chat_answer import Asked, judge_completion
from batchyard.upstream.chat_dialect import dialect_of
from batchyard.upstream.chat_errors import judge_error
from batchyard.upstream.chat_request import Translated, translate
from batchyard.upstream.chat_stream import ChatEvents
from batchyard.upstream.exchange import Answer, CallLimits, hostile, unknown, with_allowance
from batchyard.upstream.flow import ChatWatch, EventStream
from batchyard.upstream.gather import gather
from batchyard.upstream.heads import address, api_path, checked_key, checked_url, plain_get, start
from batchyard.upstream.http1 import Http1Client
from batchyard.upstream.listing import Listing
from batchyard.upstream.messages import SHORTEST_SECRET

COMPLETIONS = "/chat/completions"
_NO_COUNTER = Refused(
    RequestError("not_found_error", "The upstream of this server speaks chat completions: it cannot count tokens.")
)


class ChatUpstream:
    """Implements ``Upstream``: POST to ``url``/v1/chat/completions; a ``url`` that ends in /v1 is understood.

    One that ends in /chat/completions is taken as it stands: not every service has its API under /v1. A query goes
    along.

    Raises ``ValueError``, with a message for the operator, for a URL or a key that cannot be used.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        limits: CallLimits | None = None,
        *,
        server: str = AUTO,
        streams: bool = False,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        parts = checked_url(url, versioned=True)
        key = checked_key(api_key)
        whole = parts.path.rstrip("/")
        path = whole.removesuffix(COMPLETIONS) if whole.endswith(COMPLETIONS) else api_path(parts)
        query = f"?{parts.query}" if parts.query else ""
        self._client = Http1Client(address(parts, tls), limits or CallLimits())
        self._head = start("POST", parts, f"{path}{COMPLETIONS}{query}", key, bearer=True).encode()
        listing = plain_get(parts, f"{path}/models{query}", key, bearer=True)
        self._listing = Listing(self._client, listing, self._judged, now)
        self._server = server_named(server, parts.hostname or "")
        self._dialect = dialect_of(self._server, parts.hostname or "")
        self._streams = streams
        self._max_bytes = limits.max_answer_bytes if limits else CallLimits().max_answer_bytes
        self._secret = key.encode() if len(key) >= SHORTEST_SECRET else b""
        self._now = now

    async def attempt(self, call: Call) -> Outcome:
        """Make the call once and say what came of it."""
        sent = translate(call.params, self._dialect, stream=self._streams)
        if isinstance(sent, RequestError):
            return Refused(sent)
        if self._streams:
            return await self._gathered(sent, call)
        answer = await self._client.post(self._request(sent.body), call.is_wanted)
        if not isinstance(answer, Answer):
            return answer
        return self._outcome(answer, sent.asked, batched=call.batched)

    async def stream(self, call: Call) -> Stream | Outcome:
        """Make the call once; what does not begin as a stream of events is judged like any answer."""
        sent = translate(call.params, self._dialect, stream=True)
        if isinstance(sent, RequestError):
            return Refused(sent)
        begun = await self._client.stream(self._request(sent.body), ChatWatch())
        if isinstance(begun, Answer):
            outcome = self._outcome(begun, sent.asked, batched=call.batched)
            whole = isinstance(outcome, Answered)
            return unknown("gave a whole answer where a stream was asked for") if whole else outcome
        if isinstance(begun, Outcome):
            return begun
        return _ChatStream(begun, ChatEvents(sent.asked), self._told)

    async def _gathered(self, sent: Translated, call: Call) -> Outcome:
        """Make the call as a stream and put its answer together. A server may answer whole all the same."""
        request = self._request(sent.body)
        begun = await self._client.stream(request, ChatWatch(), by_progress=True, is_wanted=call.is_wanted)
        if isinstance(begun, Answer):
            return self._outcome(begun, sent.asked, batched=call.batched)
        if isinstance(begun, Outcome):
            return begun
        chunks = ChatEvents(sent.asked, batched=call.batched)
        events = _ChatStream(begun, chunks, self._told, OVERHEAD * self._max_bytes)
        outcome = await gather(events, Assembly(self._max_bytes), lambda _: events.broken(), call.heard)
        if isinstance(outcome, Answered) and begun.answer is not None:
            return with_allowance(outcome, begun.answer, self._now())
        return outcome

    def _told(self, data: bytes, *, begun: bool) -> Outcome:
        """Judge an error among the chunks."""
        return judge_event(self._without_key(data), begun=begun, now=self._now(), server=self._server)

    async def count(self, call: Call) -> int | Outcome:  # noqa: ARG002 (the port's parameter)
        """Servers of chat completions have no counter, and a guess would be taken for a count."""
        return _NO_COUNTER

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

    def _request(self, body: bytes) -> bytes:
        return b"%bcontent-length: %d\r\n\r\n%b" % (self._head, len(body), body)

    def _outcome(self, answer: Answer, asked: Asked, *, batched: bool) -> Outcome:
        if answer.status != 200:
            return self._judged(answer)
        outcome = judge_completion(self._without_key(answer.body), asked, batched=batched)
        return with_allowance(outcome, answer, self._now()) if isinstance(outcome, Answered) else outcome

    def _judged(self, answer: Answer) -> Outcome:
        return judge_error(answer.status, answer.headers, self._without_key(answer.body), self._now(), self._server)

    def _without_key(self, body: bytes) -> bytes:
        """A server that repeats what it was sent must not hand our key on to whoever reads the results."""
        return body.replace(self._secret, b"[key]") if self._secret else body


class _Told(Protocol):
    """Judges an error among the chunks; ``begun`` says whether content came before it."""

    def __call__(self, data: bytes, *, begun: bool) -> Outcome: ...


class _ChatStream:
    """Implements ``Stream``: the upstream's chunks as events of a Message, of ``most`` bytes of chunks."""

    def __init__(self, inner: EventStream, events: ChatEvents, told: _Told, most: float = math.inf) -> None:
        self._inner, self._events, self._told = inner, events, told
        self._left = most

    async def read(self) -> bytes | Outcome:
        while True:
            if self._events.outcome is not None:
                return self.broken()
            part = await self._inner.read()
            if isinstance(part, Outcome):
                return part
            self._left -= len(part)
            if self._left < 0:
                return hostile("sent endless chunks")
            if not part:
                if told := self._events.feed(b"\n"):  # the last line may lack its end
                    return told
                return b"" if self._events.ended else self._events.broken_off()
            if told := self._events.feed(part):
                return told

    def broken(self) -> Outcome:
        """Return what a stream that went wrong comes to."""
        assert self._events.outcome is not None
        if self._events.error:
            return self._told(self._events.error, begun=self._events.begun)
        return self._events.outcome

    def moved_on(self) -> None:
        """What was read told something."""
        self._inner.moved_on()

    async def close(self) -> None:
        await self._inner.close()
