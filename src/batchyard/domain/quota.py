"""What a workspace may do and hold, and what is said when it would pass that.

Waiting helps against calls that come too fast and a queue that is full. It does not help against a batch that is
larger than the whole queue, nor against stored bytes, which go when somebody deletes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchyard.domain.errors import RateLimited

QUEUE_SECONDS = 30.0
"""What a client is told to wait for a queue to drain; SDKs sleep for as long as they are told, within their call."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a workspace has in the store: requests without a result and batches, of those that have not ended; bytes of
    bodies and results that are kept."""

    requests: int = 0
    batches: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that a workspace may have of each; None: any."""

    requests: int | None = None
    batches: int | None = None
    bytes: int | None = None

    @property
    def is_limit(self) -> bool:
        """Whether anything is limited at all."""
        return (self.requests, self.batches, self.bytes) != (None, None, None)

    def check(self, load: Load, requests: int, size: int) -> None:
        """Raise ``RateLimited`` where a batch of so many requests and bytes would pass it."""
        if self.requests is not None and load.requests + requests > self.requests:
            waits = QUEUE_SECONDS if requests <= self.requests else None
            raise RateLimited(
                f"This workspace may have {self.requests} requests in its queue: {load.requests} are there, and "
                f"{requests} more do not fit.{_or_smaller(waits)}",
                waits,
            )
        if self.batches is not None and load.batches + 1 > self.batches:
            waits = QUEUE_SECONDS if self.batches else None
            raise RateLimited(f"This workspace may run {self.batches} batches at a time, and does.", waits)
        if self.bytes is not None and load.bytes + size > self.bytes:
            raise RateLimited(
                f"This workspace may store {self.bytes} bytes: {load.bytes} are there, and {size} more do not fit. "
                "Delete batches that are not needed any more.",
                None,
            )


NO_QUOTA = Quota()


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one workspace gets. ``weight`` is its share of the slots beside those of others."""

    calls_per_minute: int | None = None
    quota: Quota = NO_QUOTA
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Allowances:
    """What every workspace gets, and some others instead."""

    usual: Allowance = Allowance()
    named: Mapping[str, Allowance] = field(default_factory=dict)

    def of(self, workspace: str) -> Allowance:
        return self.named.get(workspace, self.usual)


class Bucket:
    """A token bucket: a minute's calls at once, then as many as a minute brings. ``now`` is in seconds."""

    def __init__(self, per_minute: int, now: float) -> None:
        self.per_minute = per_minute
        self._tokens = float(per_minute)
        self._filled_at = now

    def take(self, now: float) -> float:
        """Take one and return 0, or return the seconds until there is one."""
        self._tokens = min(self.per_minute, self._tokens + (now - self._filled_at) * self.per_minute / 60)
        self._filled_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) * 60 / self.per_minute

    @property
    def left(self) -> int:
        """How many could be taken now."""
        return int(self._tokens)

    @property
    def full_in(self) -> float:
        """Seconds until it is full again."""
        return (self.per_minute - self._tokens) * 60 / self.per_minute


def _or_smaller(waits: float | None) -> str:
    return "" if waits is not None else " Make the batch smaller."
