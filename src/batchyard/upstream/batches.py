"""A server of the Message Batches API as an upstream: one call for each verb, nothing remembered, answers not trusted.

The key goes to this URL only, the results too are asked for there, whatever ``results_url`` says.
``docs/batches-upstream.md`` tells what is done with it all.
"""

import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import SplitResult

import msgspec

from batchyard.domain.allowance import answered_at
from batchyard.domain.answer import judge, retry_after
from batchyard.domain.carrier import Standing, UpstreamBatch
from batchyard.domain.carrier_line import CarrierLine, judge_line
from batchyard.domain.outcome import Failed, Held, Outcome, Refused
from batchyard.domain.result import RequestError
from batchyard.ports.batch_upstreams import Absent, CarrierCreate, CarrierLines, Listed, TooMuch
from batchyard.upstream.exchange import Answer, CallLimits, Exchanged, unknown
from batchyard.upstream.heads import OLDEST_VERSION, address, api_path, checked_key, checked_url, start
from batchyard.upstream.http1 import Http1Client
from batchyard.upstream.lines import LineStream
from batchyard.upstream.messages import SHORTEST_SECRET

LONGEST_RESULTS = 6 * 3600.0
"""Seconds that reading the results of one batch may take: a million lines of a slow server."""
LIST_PAGE = 100
"""Batches on a page of the list: every server of this API gives that many."""
MOST_PAGES = 50
_ANY_SIZE = 2**50
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_TOO_MANY = re.compile(r"requests: .*\bat most\b", re.IGNORECASE)
_TOKEN = re.compile(r"[\x21-\x7e]+\Z")


class _Counts(msgspec.Struct):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def total(self) -> int:
        return self.processing + self.succeeded + self.errored + self.canceled + self.expired


class _Batch(msgspec.Struct):
    """What is used of a batch; all other members are passed over."""

    id: str
    type: Literal["message_batch"]
    processing_status: Literal["in_progress", "canceling", "ended"]
    request_counts: _Counts = msgspec.field(default_factory=_Counts)
    created_at: str = ""


class _Page(msgspec.Struct):
    data: list[_Batch]
    has_more: bool = False


_batches = msgspec.json.Decoder(_Batch)
_pages = msgspec.json.Decoder(_Page)


@dataclass(frozen=True, slots=True)
class _Paths:
    """Request heads for one server, ready but for what a call adds."""

    parts: SplitResult
    path: str
    key: str

    def head(self, method: str, suffix: str, *more: str) -> bytes:
        lines = "".join(f"{line}\r\n" for line in more)
        return f"{start(method, self.parts, self.path + suffix, self.key)}{lines}".encode()

    def whole(self, method: str, suffix: str) -> bytes:
        """Return a request without a body."""
        length = ["content-length: 0"] if method == "POST" else []
        return self.head(method, suffix, f"anthropic-version: {OLDEST_VERSION}", *length) + b"\r\n"


class BatchesUpstream:
    """Implements ``BatchUpstream`` over HTTP. Raises ``ValueError``, with a message for the operator, for a URL or a
    key that cannot be used."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        limits: CallLimits | None = None,
        *,
        forward_version: bool = True,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        parts, key, limits = checked_url(url), checked_key(api_key), limits or CallLimits()
        self._paths = _Paths(parts, f"{api_path(parts)}/messages/batches", key)
        self._forward_version = forward_version
        self._client = Http1Client(address(parts, tls), limits)
        # results are as large as they are, and are read line by line: silence ends them, not their size
        patient = replace(limits, total_seconds=LONGEST_RESULTS, max_answer_bytes=_ANY_SIZE)
        silence = limits.silence_seconds or limits.total_seconds
        self._downloads = Http1Client(address(parts, tls), replace(patient, silence_seconds=silence))
        self._most_line_bytes = limits.max_answer_bytes
        self._secret = key.encode() if len(key) >= SHORTEST_SECRET else b""
        self._now = now

    async def create(self, create: CarrierCreate) -> UpstreamBatch | TooMuch | Outcome:
        """Send the requests once, in parts."""
        version = create.version if self._forward_version else OLDEST_VERSION
        if not all(_TOKEN.match(value) for value in (version, *create.betas)):
            return Refused(RequestError("invalid_request_error", "The version or betas of the batch fit in no header."))
        betas = [f"anthropic-beta: {','.join(create.betas)}"] if create.betas else []
        head = self._paths.head(
            *("POST", "", f"anthropic-version: {version}", *betas),
            *(f"idempotency-key: {create.key}", f"content-length: {create.length}"),
        )
        answer = await self._client.upload(head + b"\r\n", create.body())
        if not isinstance(answer, Answer) or answer.status == 200:
            return self._batch(answer)
        outcome = self._judged(answer)
        if isinstance(outcome, Refused):
            if answer.status == 413 or _TOO_MANY.search(outcome.error.message):
                return TooMuch(outcome.error)
            if answer.status == 404:
                return Held(outcome.error)  # about no request: there is no Batches API here
            if answer.status >= 500:
                return Failed(outcome.error)  # it may ask not to be asked again: that does not say what it has done
        return outcome

    async def retrieve(self, batch: str) -> UpstreamBatch | Absent | Outcome:
        """Ask how it stands."""
        return self._found(await self._client.post(self._paths.whole("GET", f"/{_checked(batch)}")))

    async def cancel(self, batch: str) -> UpstreamBatch | Absent | Outcome:
        """Ask for a cancel."""
        return self._found(await self._client.post(self._paths.whole("POST", f"/{_checked(batch)}/cancel")))

    async def delete(self, batch: str) -> Absent | Outcome:
        """Delete it; that it was deleted before is as good."""
        answer = await self._client.post(self._paths.whole("DELETE", f"/{_checked(batch)}"))
        if isinstance(answer, Answer) and answer.status == 200:
            return Absent()
        found = self._found(answer)
        return unknown("did not say that the batch is deleted") if isinstance(found, UpstreamBatch) else found

    async def listed(self, since: datetime) -> Listed | Outcome:
        """Read pages, newest first, until one goes back far enough."""
        batches: list[UpstreamBatch] = []
        ahead, after = timedelta(), ""
        for _ in range(MOST_PAGES):
            answer = await self._client.post(self._paths.whole("GET", f"?limit={LIST_PAGE}{after}"))
            if not isinstance(answer, Answer):
                return answer
            if answer.status != 200:
                return self._judged(answer)
            ahead = answered_at(answer.headers, self._now()) - self._now()
            page = _read_page(answer.body)
            if page is None:
                return unknown("did not answer with a list of batches")
            batches += page[0]
            oldest = batches[-1].created_at if page[0] else None
            if not page[1] or oldest is None or oldest < since + ahead - timedelta(seconds=60):
                break
            after = f"&after_id={batches[-1].id}"
        return Listed(batches, ahead)

    async def results(self, batch: str) -> CarrierLines | Absent | Outcome:
        """Begin to read them."""
        request = self._paths.whole("GET", f"/{_checked(batch)}/results")
        begun = await self._downloads.download(request, self._most_line_bytes)
        if isinstance(begun, LineStream):
            return _Lines(begun, self._secret)
        found = self._found(begun)
        return unknown("did not answer with results") if isinstance(found, UpstreamBatch) else found

    async def close(self) -> None:
        """Cut what is in flight and let go of connections. Closing twice is allowed."""
        await self._client.close()
        await self._downloads.close()

    def _found(self, answer: Exchanged) -> UpstreamBatch | Absent | Outcome:
        if not isinstance(answer, Answer) or answer.status == 200:
            return self._batch(answer)
        outcome = self._judged(answer)
        return Absent() if answer.status == 404 and isinstance(outcome, Refused) else outcome

    def _batch(self, answer: Exchanged) -> UpstreamBatch | Outcome:
        if not isinstance(answer, Answer):
            return answer
        try:
            answer.body.decode()  # msgspec checks the UTF-8 of the members it decodes, not of those it skips
            batch = _told(_batches.decode(answer.body))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            batch = None
        if batch is None:
            return unknown("did not answer with a message batch")
        return replace(batch, poll_after=retry_after(answer.headers, self._now()))

    def _judged(self, answer: Answer) -> Outcome:
        """A server that repeats what it was sent must not hand our key on to whoever reads the results."""
        body = answer.body.replace(self._secret, b"[key]") if self._secret else answer.body
        return judge(answer.status, answer.headers, body, self._now())


class _Lines:
    """Implements ``CarrierLines``. What is no line at all is passed over: its request is missed in the end."""

    def __init__(self, stream: LineStream, secret: bytes) -> None:
        self._stream, self._secret = stream, secret

    async def read(self) -> Sequence[CarrierLine] | Outcome:
        while True:
            read = await self._stream.read()
            if isinstance(read, Outcome):
                return read
            lines = [line for raw in read if (line := judge_line(raw, self._secret)) is not None]
            if lines or not read:
                return lines

    async def close(self) -> None:
        await self._stream.close()


def _told(batch: _Batch) -> UpstreamBatch | None:
    """Return what a batch tells; None for an id that could lead to another path."""
    if not _ID.match(batch.id):
        return None
    return UpstreamBatch(
        batch.id, Standing(batch.processing_status), batch.request_counts.total, _moment(batch.created_at)
    )


def _moment(text: str) -> datetime | None:
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _read_page(body: bytes) -> tuple[Sequence[UpstreamBatch], bool] | None:
    """Return the batches of a page and whether there are more; None where it is no page."""
    try:
        page = _pages.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return [told for batch in page.data if (told := _told(batch)) is not None], page.has_more


def _checked(batch: str) -> str:
    assert _ID.match(batch), "an id of a batch that fits in no path"
    return batch
