"""What the core asks of a model server that takes batches itself: Anthropic's service, another Batchyard, a gateway."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from batchyard.domain.carrier import UpstreamBatch
from batchyard.domain.carrier_line import CarrierLine
from batchyard.domain.outcome import Outcome
from batchyard.domain.result import RequestError


@dataclass(frozen=True, slots=True)
class CarrierCreate:
    """One create as an upstream gets it. ``body`` gives the ``length`` bytes of it in parts, as often as it is called.

    ``key`` names the create: a server that knows such keys answers a repeated one with the batch it made at first.
    """

    key: str
    version: str
    betas: tuple[str, ...]
    length: int
    body: Callable[[], AsyncGenerator[bytes, None]]


@dataclass(frozen=True, slots=True)
class TooMuch:
    """The upstream takes no create of so many requests or bytes; it has made nothing."""

    error: RequestError


@dataclass(frozen=True, slots=True)
class Absent:
    """The upstream says that it has no such batch."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Batches of the upstream, newest first, and how far its clock was ahead of ours as it answered."""

    batches: Sequence[UpstreamBatch]
    ahead: timedelta


class CarrierLines(Protocol):
    """The results of an ended batch as they come, for one reader. The reader closes it."""

    async def read(self) -> Sequence[CarrierLine] | Outcome:
        """Return the next lines that could be read; none of them at the whole end, or the outcome of a break."""

    async def close(self) -> None:
        """Cut the call if it has not ended. Closing twice is allowed."""


class BatchUpstream(Protocol):
    """A server of the Message Batches API. Raises nothing for what a server or a network does.

    Each verb is one call, made at once; who may make it, and when again, is for the caller to know. An outcome means
    that the call did not do what was asked, as far as anybody knows: ``NotStarted`` that it certainly did not.
    """

    async def create(self, create: CarrierCreate) -> UpstreamBatch | TooMuch | Outcome:
        """Make a batch. Whatever ``create.body`` raises is raised here; the call was cut then, and made nothing."""

    async def retrieve(self, batch: str) -> UpstreamBatch | Absent | Outcome:
        """Return how it stands with a batch."""

    async def listed(self, since: datetime) -> Listed | Outcome:
        """Return the batches created since then by the upstream's own clock, and perhaps some older ones."""

    async def cancel(self, batch: str) -> UpstreamBatch | Absent | Outcome:
        """Begin to cancel. ``Refused`` where the batch has ended already."""

    async def results(self, batch: str) -> CarrierLines | Absent | Outcome:
        """Begin to read the results of an ended batch; ``Absent`` where there are none."""

    async def delete(self, batch: str) -> Absent | Outcome:
        """Delete an ended batch: ``Absent`` says that it is gone."""

    async def close(self) -> None:
        """Let go of connections."""
