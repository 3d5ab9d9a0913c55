"""What a runner of carriers asks of a store.

A carrier is a batch at an upstream that takes batches itself. It is committed, with its members, before it is created
there, so that none is ever without somebody who knows of it.

    made ── sent ──> sent ── finish ──> collected, or lost: it never came to be there
      └───────────── finish ─────────────────┘
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import accumulate
from typing import Protocol

from batchyard.domain.request import Lease
from batchyard.ports.picks import Pick


class CarrierState(StrEnum):
    """Where a carrier stands that is not finished."""

    MADE = "made"
    SENT = "sent"


@dataclass(frozen=True, slots=True)
class Carrier:
    """One carrier that is not finished.

    ``id`` is its nonce too, and the owner of its members' leases. ``members`` is how many it had when it was made;
    ``upstream_id`` is known once its create was answered. ``batch``, ``version`` and ``betas`` are our batch's, empty
    once it is deleted; ``closing`` says that it was canceled or expired, or has ended. ``ends_by`` is when the carrier
    is to be cancelled upstream, if it has not ended before; ``expires_at`` is our batch's deadline (``ends_by`` once
    the batch is deleted).
    """

    id: str
    lane: str
    state: CarrierState
    upstream_id: str | None
    batch: str
    version: str
    betas: tuple[str, ...]
    members: int
    created_at: datetime
    ends_by: datetime
    expires_at: datetime
    closing: bool


@dataclass(frozen=True, slots=True)
class NewCarrier:
    """A carrier to be made; ``id`` is random, and never used twice.

    ``max_bytes``: the params of its members come to no more, unless the first alone does. Members are those that a
    pick takes, in its order, as many as fit.
    """

    id: str
    lane: str
    created_at: datetime
    ends_by: datetime
    max_bytes: int | None = None

    def fitting(self, lengths: Iterable[int]) -> int:
        """Return how many requests with params of these lengths, the first of them, fit."""
        if self.max_bytes is None:
            return sum(1 for _ in lengths)
        sums = list(accumulate(lengths))
        return max(min(1, len(sums)), bisect_right(sums, self.max_bytes))


class Carriers(Protocol):
    """What keeps carriers and their members together.

    Members are leased to the carrier itself, not to the dispatcher that tends it. So a carrier is no owner that lives
    or dies (``beat``, ``dead``), and ``reclaim`` of its tender leaves the members to whoever adopts the carrier. They
    are settled by ``Work.turn`` under the carrier's id. Every verb that names a tender does nothing for another one:
    a dispatcher that froze and thawed has lost its carriers.
    """

    async def make(self, tender: str, new: NewCarrier, pick: Pick) -> tuple[Carrier, Sequence[Lease]] | None:
        """Lease what is picked (as ``Work.turn`` does, at ``new.created_at``) to a new carrier, tended by this owner,
        as far as it fits.

        None, and nothing is changed, where nothing can be leased. To an owner that is not known it is a heartbeat.
        """

    async def sent(self, tender: str, carrier: str, upstream_id: str) -> bool:
        """Note the id that the upstream gave. Again, with the same id, changes nothing; False if it is not tended."""

    async def tended(self, tender: str) -> Sequence[Carrier]:
        """Return this owner's carriers that are not finished, oldest first."""

    async def adopt(self, tender: str, now: datetime) -> Sequence[Carrier]:
        """Take every carrier that is not finished, and whose tender is forgotten or dead; return those taken.

        A carrier that was made, but not sent, may be at the upstream all the same: its create's answer was lost.
        """

    async def members(self, carrier: str) -> Sequence[Lease]:
        """Return the leases that the carrier still holds, in the order of the requests."""

    async def finish(self, tender: str, carrier: str, *, lost: bool, now: datetime) -> bool:
        """End the carrier and return the members it still holds to pending, due now; False if it is not tended.

        ``lost``: it never came to be at the upstream, so its members cost nothing. Else they may have been paid for,
        and ``paid`` of each rises by one. In a closing batch they are open requests like any other.
        """
