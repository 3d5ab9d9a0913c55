"""What a dispatcher picks from the backlog, and what one turn of the store answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from batchyard.domain.outcome import Settlement
from batchyard.domain.request import Lease


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
