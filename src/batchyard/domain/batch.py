"""A batch and its life: ``in_progress -> canceling -> ended``, forward only.

    create ──> in_progress ──(all requests final, or past expires_at)──> ended
                    │                                                      ^
                    └── cancel ──> canceling ──(calls in flight settled)───┘
    ended ── retention passes ──> ended, archived

``closing`` says why no further request may be leased. The first reason stays.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from batchyard.domain.errors import InvalidRequest
from batchyard.domain.labels import NO_LABELS, Labels


class Status(StrEnum):
    """The wire's ``processing_status``."""

    IN_PROGRESS = "in_progress"
    CANCELING = "canceling"
    ENDED = "ended"


class Closing(StrEnum):
    """Why a batch that has not ended leases nothing more: the fate of its open requests."""

    CANCELED = "canceled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests by state; the five always sum to the batch's total."""

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def total(self) -> int:
        return self.processing + self.succeeded + self.errored + self.canceled + self.expired

    def settled(self, kind: str) -> "Counts":
        """Return the counts with one request moved to ``kind``; the last one counts as processing until the seal."""
        if self.processing <= 1:
            return self
        return replace(self, **{"processing": self.processing - 1, kind: getattr(self, kind) + 1})


@dataclass(frozen=True, slots=True)
class Sealed:
    """The results of an ended batch: blob names, size in bytes, and the SHA-256 of the lines as hex."""

    results: str
    index: str
    ledger: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Batch:
    """One Message Batch. ``body`` names the blob that holds its params."""

    id: str
    workspace: str
    status: Status
    counts: Counts
    created_at: datetime
    expires_at: datetime
    version: str
    betas: tuple[str, ...]
    body: str
    closing: Closing | None = None
    ended_at: datetime | None = None
    cancel_initiated_at: datetime | None = None
    archived_at: datetime | None = None
    sealed: Sealed | None = None
    paused: bool = False
    labels: Labels = NO_LABELS

    @property
    def has_results(self) -> bool:
        """Ended and not archived: the results can be read."""
        return self.status is Status.ENDED and self.archived_at is None

    def begin_cancel(self, now: datetime) -> "Batch":
        """Return the batch as canceling. Canceling twice changes nothing; an ended batch refuses."""
        if self.status is Status.ENDED:
            raise InvalidRequest(
                f"Message Batch {self.id} cannot be canceled because it has already finished processing."
            )
        if self.status is Status.CANCELING:
            return self
        return replace(
            self,
            status=Status.CANCELING,
            cancel_initiated_at=now,
            closing=self.closing or Closing.CANCELED,
        )

    def pause(self, *, paused: bool) -> "Batch":
        """Return the batch paused, or resumed. Doing so twice changes nothing; an ended batch refuses."""
        if self.status is Status.ENDED:
            raise InvalidRequest(f"Message Batch {self.id} has ended: there is nothing to pause or to resume.")
        return self if self.paused == paused else replace(self, paused=paused)

    def begin_expiry(self, now: datetime) -> "Batch":
        """Return the batch closed by its deadline; before it, or closed already, nothing changes."""
        if self.status is Status.ENDED or self.closing is not None or now < self.expires_at:
            return self
        return replace(self, closing=Closing.EXPIRED)

    def check_deletable(self) -> None:
        """Raise unless the batch has ended."""
        if self.status is not Status.ENDED:
            raise InvalidRequest("In progress batches cannot be deleted. Consider canceling the batch instead.")

    def end(self, counts: Counts, sealed: Sealed, now: datetime) -> "Batch":
        """Return the batch as ended for good: the counts are a recount, not the running ones."""
        assert self.status is not Status.ENDED, f"{self.id} is sealed twice"
        assert counts.processing == 0, f"sealing {self.id} with {counts.processing} open requests"
        assert counts.total == self.counts.total, f"{self.id} loses requests at its seal"
        return replace(self, status=Status.ENDED, counts=counts, sealed=sealed, ended_at=now)

    def archive(self, now: datetime) -> "Batch":
        """Return the batch without its results. Archiving twice changes nothing."""
        return self if self.archived_at else replace(self, archived_at=now, sealed=None)


def archive_due(created_at: datetime, retain_results_for: timedelta) -> datetime:
    """Return when results go: counted from creation, not from the end (the wire's 29 days)."""
    return created_at + retain_results_for
