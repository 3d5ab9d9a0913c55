"""Create: the body streams through intake into a blob, then one transaction makes the batch.

head ──> intake ──> blob, synced ──> store.create ──> 200
           └── refused, or the client left: the blob goes, nothing was made
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starlette.types import Message, Receive

from batchyard import wire
from batchyard.domain import traceparent
from batchyard.domain.batch import Batch
from batchyard.domain.errors import CommitUnknown, InvalidRequest, Overloaded, StoreUnavailable
from batchyard.domain.events import BatchCreated, Emit
from batchyard.domain.labels import Labels
from batchyard.domain.request import Drafts, Origin
from batchyard.intake.body import Intake, Limits
from batchyard.intake.requests import Piece
from batchyard.ports import Batches, Blobs, BlobWriter, Clock, NewBatch
from batchyard.web import auth
from batchyard.web.bodies import Part, announced, check_head
from batchyard.web.calls import Answer, ApiCall
from batchyard.web.label_headers import labels
from batchyard.web.protocol import ClientGone
from batchyard.web.room import ROW_BYTES, Means, Promise, Promises
from batchyard.web.settings import WebSettings

PORTION = 256 * 1024
"""Bytes given to intake at once: some milliseconds of the event loop."""
LARGE_PIECE = 1024 * 1024
LONGEST_IDEMPOTENCY_KEY = 255
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a batch is given beside its requests."""

    version: str
    betas: tuple[str, ...]
    labels: Labels


class Creates:
    """``POST /v1/messages/batches``."""

    def __init__(
        self,
        *,
        batches: Batches,
        blobs: Blobs,
        clock: Clock,
        emit: Emit,
        settings: WebSettings,
        means: Means,
    ) -> None:
        self._batches = batches
        self._blobs = blobs
        self._clock = clock
        self._emit = emit
        self._settings = settings
        self._not_ready = means.not_ready
        self._promises = Promises(means.space)
        self._budget = means.budget
        self._spending = means.spending
        self._limits = Limits(settings.max_requests, settings.max_body_bytes, settings.max_request_bytes)
        self._commits: set[asyncio.Task[Batch]] = set()
        self._turn = asyncio.Lock()

    async def create(self, call: ApiCall) -> Answer:
        """Answer with the batch once it is durable. Whatever fails before leaves nothing behind."""
        began_at = self._clock.now()
        reason = self._not_ready()
        if reason:
            raise Overloaded(f"This server takes no new batches now ({reason}). Try again later.")
        check_head(call, self._settings.max_body_bytes)
        await self._check_quota(call)
        terms = Terms(call.version, auth.betas(call.headers), labels(call.headers))
        with self._room(call, announced(call)) as (promise, part):
            batch = await self._create(call, began_at, promise, part, terms)
        return Answer(wire.batch_json(batch, call.base_url))

    async def _check_quota(self, call: ApiCall) -> None:
        """Refuse early, before a body is read, what the store would refuse after; a repeat may be of what is there."""
        quota = self._settings.allowances.of(call.workspace).quota
        if _retry_count(call) or _idempotency_key(call) is not None:
            return
        if quota.is_limit:
            quota.check(await self._batches.load(call.workspace), 1, 0)
        await self._check_spending(call, Drafts())

    async def _check_spending(self, call: ApiCall, drafts: Drafts) -> None:
        """Refuse what costs more than is left by its input alone. What a repeat costs is held back at its turn."""
        if self._spending is not None and not _retry_count(call) and _idempotency_key(call) is None:
            await self._spending.check(call.workspace, drafts)

    async def again(self, call: ApiCall, terms: Terms, body: AsyncIterator[bytes], size: int) -> Batch:
        """Make a batch of a body that we hold ourselves, on the same terms as any other create."""
        began_at = self._clock.now()
        if reason := self._not_ready():
            raise Overloaded(f"This server takes no new batches now ({reason}). Try again later.")
        await self._check_quota(call)
        call.receive = _Replay(body, call.receive)
        with self._room(call, size) as (promise, part):
            return await self._create(call, began_at, promise, part, terms)

    @contextmanager
    def _room(self, call: ApiCall, size: int) -> Iterator[tuple[Promise, Part]]:
        with self._promises.body(call.workspace, size) as promise, self._budget.part(call.workspace) as part:
            yield promise, part

    async def _create(self, call: ApiCall, began_at: datetime, promise: Promise, part: Part, terms: Terms) -> Batch:
        key = _idempotency_key(call)
        intake = Intake(self._limits)
        writer = self._blobs.writer("body")
        try:
            await self._take_body(call, intake, writer, promise, part)
            promise.grow(ROW_BYTES * len(intake.drafts))
            await self._check_spending(call, intake.drafts)
            await _unless_gone(call, writer)
        except BaseException:
            await self._discard(writer)
            raise
        origin = Origin(
            caller=call.caller,
            body_sha256=intake.body_sha256,
            began_at=(began_at - _EPOCH) // timedelta(microseconds=1),
            retry=_retry_count(call),
            idempotency_key=key,
        )
        return await self._commit(call, intake, writer, origin, terms)

    async def _take_body(self, call: ApiCall, intake: Intake, writer: BlobWriter, promise: Promise, part: Part) -> None:
        window = bytearray()
        more = True
        while more:
            message = await call.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            more = message.get("more_body", False)
            window += message.get("body", b"")
            while len(window) >= PORTION or (window and not more):
                promise.writes(len(window[:PORTION]))
                portion = bytes(window[:PORTION])
                del window[:PORTION]
                pieces = await self._fed(intake, portion)
                part.hold(intake.held_bytes)
                await _write(writer, pieces)
                while intake.is_behind:
                    await _write(writer, await self._fed(intake, b""))
        await _write(writer, await self._fed(intake, b"", is_last=True))
        while intake.is_behind:
            await _write(writer, await self._fed(intake, b""))
        await _write(writer, intake.finish())

    async def _fed(self, intake: Intake, portion: bytes, *, is_last: bool = False) -> Sequence[Piece]:
        """Feed intake in a turn of the loop in which no other body is: a step of each at once would stall all else."""
        async with self._turn:
            pieces = intake.feed(portion, is_last=is_last)
            await asyncio.sleep(0)
        return pieces

    async def _commit(self, call: ApiCall, intake: Intake, writer: BlobWriter, origin: Origin, terms: Terms) -> Batch:
        now = self._clock.now()
        new = NewBatch(
            workspace=call.workspace,
            created_at=now,
            expires_at=now + self._settings.expires_after,
            version=terms.version,
            betas=terms.betas,
            body=writer.name,
            quota=self._settings.allowances.of(call.workspace).quota,
            labels=terms.labels,
            traceparent=traceparent.kept(call.headers.get("traceparent")),
        )
        intake.drafts.lead = self._settings.lead
        creating = asyncio.create_task(
            self._batches.create(new, intake.drafts, origin, defend=self._settings.retry_defence), name="create"
        )
        self._commits.add(creating)
        creating.add_done_callback(self._commits.discard)
        try:
            # A stop must not cancel a commit; if one comes here the body stays, for the batch may come to be.
            batch = await asyncio.shield(creating)
        except CommitUnknown:  # the batch may have come to be: its body stays, and is swept by its age if not
            raise
        except Exception:
            await self._discard(writer)
            raise
        if batch.body == new.body:
            self._emit(BatchCreated(batch.id, batch.workspace, len(intake.drafts)))
        else:
            await self._discard(writer)  # this create repeats an earlier one, and gets its batch
        return batch

    async def _discard(self, writer: BlobWriter) -> None:
        with suppress(StoreUnavailable):  # what cannot be deleted now is swept by its age
            await writer.abort()
            await self._blobs.delete(writer.name)


class _Replay:
    """A body of ours where a client's is read; then what the client does."""

    def __init__(self, body: AsyncIterator[bytes], client: Receive) -> None:
        self._body, self._client = body, client
        self._is_over = False

    async def __call__(self) -> Message:
        if self._is_over:
            return await self._client()
        chunk = await anext(self._body, None)
        self._is_over = chunk is None
        return {"type": "http.request", "body": chunk or b"", "more_body": not self._is_over}


async def _unless_gone(call: ApiCall, writer: BlobWriter) -> None:
    """Make the body durable; raise ``ClientGone`` if nobody waits for the batch any more: it would be made twice."""
    leaving = asyncio.ensure_future(call.receive())
    try:
        await writer.finish()
        await asyncio.sleep(0)
        if leaving.done() and leaving.result()["type"] == "http.disconnect":
            raise ClientGone
    finally:
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)


async def _write(writer: BlobWriter, pieces: Sequence[Piece]) -> None:
    """Write the pieces. A large one goes in portions: it is held, but never copied whole."""
    small: list[Piece] = []
    for piece in pieces:
        if len(piece) < LARGE_PIECE:
            small.append(piece)
            continue
        await writer.write(b"".join(small))
        small.clear()
        for start in range(0, len(piece), LARGE_PIECE):
            await writer.write(bytes(piece[start : start + LARGE_PIECE]))
    if small:
        await writer.write(b"".join(small))


def _retry_count(call: ApiCall) -> int:
    """Return the SDK's count of earlier tries; anything that is no number is none."""
    text = call.headers.get("x-stainless-retry-count", "").strip()
    return min(int(text), 1000) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _idempotency_key(call: ApiCall) -> str | None:
    key = call.headers.get("idempotency-key", "").strip()
    if len(key) > LONGEST_IDEMPOTENCY_KEY:
        raise InvalidRequest(f"idempotency-key: at most {LONGEST_IDEMPOTENCY_KEY} characters are allowed.")
    return key or None
