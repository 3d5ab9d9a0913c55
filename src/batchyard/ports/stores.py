"""What API calls, dispatchers and the upkeep ask of a store."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from batchyard.domain.batch import Batch, Counts, Sealed
from batchyard.domain.labels import NO_LABELS, Labels
from batchyard.domain.outcome import Settlement
from batchyard.domain.quota import NO_QUOTA, Load, Quota
from batchyard.domain.request import Drafts, Lease, Origin
from batchyard.ports.carriers import Carriers
from batchyard.ports.finals import Final
from batchyard.ports.lanes import LaneHistory, LanePauses
from batchyard.ports.pages import Page
from batchyard.ports.picks import Pick, Ready, Turn
from batchyard.ports.views import Views


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What a create call settled before storing; the store adds the id and the counts.

    ``quota`` is what the workspace may have, this batch too.
    """

    workspace: str
    created_at: datetime
    expires_at: datetime
    version: str
    betas: tuple[str, ...]
    body: str
    quota: Quota = NO_QUOTA
    labels: Labels = NO_LABELS
    traceparent: str = ""
    """The span that made it, as its header says; "" for none. Spans of its attempts have a link to it."""


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

        A batch that is new is judged by ``new.quota``, in the same transaction: ``RateLimited`` where it does not fit.
        """

    async def load(self, workspace: str) -> Load:
        """Return what the workspace has: nothing, where it is not known."""

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


class Work(LanePauses, Protocol):
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

    async def held(self, owner: str) -> Sequence[Lease]:
        """Return what is leased to the owner, in the order of batches and requests; nothing for an unknown one.

        For an owner that lost the answer of a turn: what it may have leased there nobody else may take.
        """

    async def leave(self, owner: str, now: datetime) -> int:
        """Say that the owner makes no call any more and will not come back: forget it at once, alive as it is.

        What it still holds (its drain was cut short) is given back as by ``Upkeep.reclaim``; returns how many. Its
        carriers are for others to adopt.
        """


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner as operators see it: its last heartbeat, whether it lives by that, how many requests it has in flight,
    and how many carriers it tends."""

    id: str
    beaten_at: datetime
    lives: bool
    leases: int
    carriers: int


class Upkeep(Protocol):
    """What ends batches and keeps the store small."""

    async def reclaim(self, owner: str, now: datetime) -> int:
        """Return a dead owner's leases to pending, due now, each with ``paid`` and ``deaths`` one higher; forget it.

        Returns how many. That the owner is dead is the caller's to know: never judged by a lease's age.
        """

    async def dead(self, now: datetime) -> Sequence[str]:
        """Return the owners whose last heartbeat is older than the lease time."""

    async def owners(self, now: datetime) -> Sequence[Owner]:
        """Return every owner that lives or is not reclaimed yet, in the order in which they came."""

    async def expire(self, now: datetime) -> Sequence[str]:
        """Close every batch past ``expires_at`` for good; return those closed by this call."""

    async def ripe(self) -> Sequence[Batch]:
        """Return batches to be sealed: no open request, or closing with none leased."""

    async def ended(self, since: datetime) -> Sequence[Batch]:
        """Return batches of every workspace that ended then or later and are not deleted, in the order of their ends.

        A thousand at most: whoever asks goes on from the last one's end.
        """

    async def due(self, before: datetime) -> Sequence[Batch]:
        """Return batches of every workspace whose deadline is before then, that have not ended and are not closing."""

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
        """Return the name of every blob that a batch still needs: its body and what is sealed, until its results go."""


class Store(Batches, Work, Upkeep, Carriers, Protocol):
    """All verbs, what people look at, and an end."""

    @property
    def views(self) -> Views:
        """What this store shows of itself."""

    @property
    def lane_history(self) -> LaneHistory:
        """What it keeps of the lanes."""

    async def close(self) -> None:
        """Finish what was begun and let go of everything. Closing twice is allowed."""
