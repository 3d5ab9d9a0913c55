"""The seams: what the core asks of stores, blobs, upstreams, keys and clocks. The docstrings are the contract.

Every implementation of one port passes the same suite in ``tests/contract``. A store implements ``Batches``,
``Work`` and ``Upkeep``. Any verb of a store or of blobs may raise ``StoreUnavailable``.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

from batchyard.domain.batch import Batch, Counts, Sealed
from batchyard.domain.catalog import ModelInfo
from batchyard.domain.outcome import Outcome, Settlement, Trace
from batchyard.domain.request import Drafts, Lease, Origin
from batchyard.domain.result import Result


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What a create call settled before storing; the store adds the id and the counts."""

    workspace: str
    created_at: datetime
    expires_at: datetime
    version: str
    betas: tuple[str, ...]
    body: str


@dataclass(frozen=True, slots=True)
class Page:
    """Batches newest first; ``has_more`` in the direction of travel."""

    batches: Sequence[Batch]
    has_more: bool


class Batches(Protocol):
    """What API calls need. Every verb names the workspace; a foreign batch is ``NotFound`` like an unknown one."""

    async def create(self, new: NewBatch, drafts: Drafts, origin: Origin, *, defend: bool) -> Batch:
        """Store the batch with all its requests, durably and at once visible, or nothing.

        The id sorts after every id given before: where it would not, ``created_at`` moves on to a microsecond past the
        last one, and ``expires_at`` with it.

        Returns an earlier batch of the same workspace instead, stored in the last ten minutes, when ``defend`` is on,
        caller and body hash are equal, and either ``origin.retry`` is at least 1, or a create with a retry of at least
        1 was stored since ``origin.began_at`` (the repeat overtook the first); the newest, where several fit. An
        ``idempotency_key`` that this caller used in the workspace in the last 24 hours gives its batch when the body is
        the same, ``InvalidRequest`` when it is not; it comes first, and needs no ``defend``. A batch deleted since then
        does not count.
        """

    async def get(self, workspace: str, batch_id: str) -> Batch:
        """Return the batch, with counts and status of one moment; or raise ``NotFound``."""

    async def page(self, workspace: str, *, after: str | None, before: str | None, limit: int) -> Page:
        """Return up to ``limit`` batches, newest first.

        ``after`` gives those just older than that id, ``before`` those just newer, adjacent to it; both, the open
        interval between them, walked from ``after``. Ids are positions: they need not exist.
        """

    async def cancel(self, workspace: str, batch_id: str, now: datetime) -> Batch:
        """Begin to cancel: after this no request of the batch is leased. Idempotent while canceling."""

    async def pause(self, workspace: str, batch_id: str, *, paused: bool) -> Batch:
        """Lease nothing of the batch until it is resumed; what is in flight goes on, and so do deadline and cancel."""

    async def delete(self, workspace: str, batch_id: str) -> Batch:
        """Forget an ended batch and return what it was; its blobs are the caller's to delete, its rows the sweep's."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Requests of one batch and model that are neither leased nor final: ``pending`` of them, the first one ready at
    ``next_ready_at``. A request never tried is ready at ``created_at``.
    """

    batch: str
    workspace: str
    created_at: datetime
    expires_at: datetime
    version: str
    betas: tuple[str, ...]
    model: str
    pending: int
    next_ready_at: datetime


@dataclass(frozen=True, slots=True)
class Pick:
    """Lease up to ``limit`` requests of this batch that name this model."""

    batch: str
    model: str
    limit: int


@dataclass(frozen=True, slots=True)
class Short:
    """A pick that got less than it asked for: when the next of those requests is ready, None if none is pending."""

    batch: str
    model: str
    next_ready_at: datetime | None


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn did: new leases, settlements refused as stale, batches that can be sealed since, short picks."""

    leases: Sequence[Lease]
    stale: Sequence[Settlement]
    ripe: Sequence[str]
    short: Sequence[Short] = ()


class Work(Protocol):
    """What a dispatcher needs."""

    async def beat(self, owner: str, now: datetime) -> int:
        """Say that the owner lives; return how many owners live (heartbeat younger than the lease), itself too."""

    async def backlog(self, now: datetime) -> Sequence[Ready]:
        """Return each model with pending requests, of batches that are not closing, paused or past ``expires_at``."""

    async def turn(self, owner: str, settlements: Sequence[Settlement], picks: Sequence[Pick], now: datetime) -> Turn:
        """Commit the settlements, then lease what is picked, in one durable transaction.

        A settlement takes effect only if its request is leased to this owner in that very attempt; else it is stale
        and changes nothing. ``Retry`` in a closing batch becomes canceled or expired, as ``closing`` says. Counts
        move with the settlements (``Counts.settled``), and at least one request counts as processing until the seal.

        A pick leases pending requests whose time has come (``ready_at <= now``): retries that are due, in the order of
        the requests, then fresh ones in the order in which they run (``domain/run_order.py``). Nothing is leased of a
        batch that is closing, paused, past ``expires_at`` or unknown; such a pick is no ``Short``. Each lease raises
        the request's attempt by one. To an owner that is not known (it never beat, or was reclaimed) the first lease is
        a heartbeat.

        ``ripe`` names batches of these settlements whose last open request was settled, or last call in flight while
        closing.
        """


@dataclass(frozen=True, slots=True)
class Final:
    """A request as its batch is sealed: its result, the place of its result in the order of arrival (0: none came),
    and the attempts that were made."""

    seq: int
    custom_id: str
    result: Result
    arrival: int
    traces: Sequence[Trace]
    attempts: int
    paid: int
    deaths: int


class Upkeep(Protocol):
    """What ends batches and keeps the store small."""

    async def reclaim(self, owner: str, now: datetime) -> int:
        """Return a dead owner's leases to pending, due now, each with ``paid`` and ``deaths`` one higher; forget it.

        Returns how many. That the owner is dead is the caller's to know: never judged by a lease's age.
        """

    async def dead(self, now: datetime) -> Sequence[str]:
        """Return the owners whose last heartbeat is older than the lease time."""

    async def expire(self, now: datetime) -> Sequence[str]:
        """Close every batch past ``expires_at`` for good; return those closed by this call."""

    async def ripe(self) -> Sequence[Batch]:
        """Return batches to be sealed: no open request, or closing with none leased."""

    def finals(self, batch_id: str) -> AsyncIterator[Sequence[Final]]:
        """Yield all requests of a ripe batch in order, in slices; open ones as canceled or expired."""

    async def seal(self, batch_id: str, sealed: Sealed, counts: Counts, now: datetime) -> Batch | None:
        """End the batch with these files and this recount, in one transaction; None if it is gone or was sealed before.

        From then on its rows are the sweep's. Raises ``AssertionError``, and changes nothing, where the counts do not
        fit: the rows show other numbers, or the batch is not ripe.
        """

    async def sweep(self, limit: int) -> int:
        """Delete up to ``limit`` request rows of sealed or deleted batches; return how many were deleted."""

    async def archive(self, created_before: datetime, now: datetime) -> Sequence[Batch]:
        """Take the results from ended batches created before then; return them as they were, with their blobs."""

    async def blobs(self) -> set[str]:
        """Return the name of every blob that a batch still needs: its body until the seal, then what is sealed."""


class Store(Batches, Work, Upkeep, Protocol):
    """All verbs, and an end."""

    async def close(self) -> None:
        """Finish what was begun and let go of everything. Closing twice is allowed."""


class BlobWriter(Protocol):
    """A blob being written; nobody can read it before ``finish``."""

    name: str

    async def write(self, chunk: bytes) -> None:
        """Append."""

    async def finish(self) -> None:
        """Make it durable, whole, under its name."""

    async def abort(self) -> None:
        """Leave nothing behind. Allowed after ``finish`` or twice: then it does nothing."""


class BlobReader(Protocol):
    """An open blob: it can be read to its end though it is deleted meanwhile, until it is closed."""

    size: int

    async def read(self, offset: int, length: int) -> bytes:
        """Return exactly these bytes; raise ``Damaged`` if they are not what was written."""

    def close(self) -> None:
        """Let go. Closing twice is allowed."""


class Damaged(Exception):
    """Bytes of a blob, or the blob, are missing or not what was written."""


class Blobs(Protocol):
    """Bytes under names of their own choosing; written once, never changed."""

    def writer(self, kind: str) -> BlobWriter:
        """Begin a blob with a new random name that ends in ``.kind``."""

    async def read(self, name: str, offset: int, length: int) -> bytes:
        """Return exactly these bytes of a finished blob, not checked; raise ``Damaged`` where there are fewer."""

    async def open(self, name: str) -> BlobReader:
        """Open a finished blob; raise ``Damaged`` if it is missing."""

    async def delete(self, name: str) -> None:
        """Remove it. A missing blob is no error."""

    async def old(self, seconds: float) -> Sequence[str]:
        """Return the names of all blobs, finished or not, last written longer ago than that."""


class Call(msgspec.Struct, frozen=True, gc=False):
    """One attempt as an upstream sees it: the client's params, byte for byte, and the batch's version and betas."""

    params: bytes
    version: str
    betas: tuple[str, ...] = ()
    batched: bool = True


class Stream(Protocol):
    """An answer that has begun: its server-sent events as they come, for one reader. The reader closes it."""

    async def read(self) -> bytes | Outcome:
        """Return the next bytes; none of them at the whole stream's end, or the outcome that a break amounts to.

        What is not read is not fetched: little is held. Once it has ended, every read says the same.
        """

    async def close(self) -> None:
        """Cut the call if it has not ended. Closing twice is allowed."""


class Calls(Protocol):
    """What API calls ask of a lane, ahead of batches. Raises nothing for what a server or a network does.

    ``attempt`` and ``stream`` wait for a slot, not for long: a lane that is held or full is ``NotStarted``.
    """

    async def attempt(self, call: Call) -> Outcome:
        """Make the call once and say what came of it. Cancelling it cuts the call.

        An ``Answered`` is a whole Message that was judged; its bytes are on one line.
        """

    async def stream(self, call: Call) -> Stream | Outcome:
        """Make the call once, for params that ask for a stream; an outcome if no stream began. It is never answered."""

    async def count(self, call: Call) -> int | Outcome:
        """Return how many input tokens the body of a count is. Takes no slot; never answered."""

    async def models(self) -> Sequence[ModelInfo] | Outcome:
        """Return the models that can be named, newest first; none where the server keeps no list."""


class Upstream(Calls, Protocol):
    """A model server. Its calls are made at once: who may make one is for the caller to know."""

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes an API call: the workspace, and a hash that stands for the key."""

    workspace: str
    caller: str


class Keys(Protocol):
    """Who may call."""

    async def principal(self, key: str) -> Principal | None:
        """Return whose key this is, or None. Takes the same time for any wrong key."""


class Clock(Protocol):
    """Time. ``now`` never jumps while the process lives, whatever the wall clock does."""

    def now(self) -> datetime:
        """Return the time of day, aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds that only grow."""
