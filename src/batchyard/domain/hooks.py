"""Webhooks: what is told to whom, and when a delivery is tried again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from batchyard.domain.batch import Batch


class Kind(StrEnum):
    """What a webhook may be told."""

    ENDED = "batch.ended"
    CANCELED = "batch.canceled"
    EXPIRING = "batch.expiring"
    HELD = "lane.held"
    TEST = "test"


CHOICES = (Kind.ENDED, Kind.CANCELED, Kind.EXPIRING, Kind.HELD)
"""What an operator may choose among; a test is sent to whoever asks for one."""
EVERYONE = "*"

WAITS = tuple(timedelta(seconds=seconds) for seconds in (5, 60, 600, 3_600, 10_800, 21_600, 50_000))
"""Between one try and the next: eight tries in a little more than a day, as the Standard Webhooks advise."""
JITTER = 0.2
"""Share of a wait by which it is drawn out, so that what failed together is not tried together."""
LONGEST_ASKED = timedelta(hours=24)
"""A receiver's own retry-after is kept up to this."""
GONE = 410


@dataclass(frozen=True, slots=True)
class Hook:
    """Who is told: the workspaces (``*``: all, and the lanes too) and kinds.

    ``address`` is the scheme and host of its URL: the rest often is a secret.
    """

    name: str
    kinds: frozenset[Kind]
    workspaces: frozenset[str]
    address: str = ""

    def wants(self, notice: "Notice") -> bool:
        """Whether this hook is to be told. What belongs to no workspace goes to those who hear of all."""
        named = EVERYONE in self.workspaces or (notice.workspace is not None and notice.workspace in self.workspaces)
        return notice.kind in self.kinds and named


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to be told. ``id`` is the same for the same happening, however often it is noticed."""

    id: str
    kind: Kind
    workspace: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice for one hook, and how often it was tried."""

    hook: str
    notice: Notice
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one try: the status, or None and why there is none."""

    status: int | None
    reason: str = ""
    retry_after: timedelta | None = None

    @property
    def is_good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class State(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery after a try; ``again_at`` where it waits."""

    state: State
    again_at: datetime | None = None


def verdict(tries: int, reply: Reply, now: datetime, jitter: float) -> Verdict:
    """Judge the try that was the ``tries``-th. ``jitter`` is from 0 to 1."""
    if reply.is_good:
        return Verdict(State.DELIVERED)
    if reply.status == GONE or tries > len(WAITS):
        return Verdict(State.FAILED)
    wait = WAITS[tries - 1] * (1.0 + JITTER * jitter)
    if reply.retry_after is not None:
        wait = max(wait, min(reply.retry_after, LONGEST_ASKED))
    return Verdict(State.WAITING, now + wait)


def ended(batch: Batch) -> Notice:
    """Return the notice of a batch that has ended; one that somebody canceled is told as that."""
    assert batch.ended_at is not None, f"{batch.id} has not ended"
    kind = Kind.CANCELED if batch.cancel_initiated_at else Kind.ENDED
    return Notice(f"{batch.id}.ended", kind, batch.workspace, _body(kind, batch.ended_at, _batch(batch)))


def expiring(batch: Batch, now: datetime) -> Notice:
    """Return the notice of a batch whose deadline is near."""
    return Notice(f"{batch.id}.expiring", Kind.EXPIRING, batch.workspace, _body(Kind.EXPIRING, now, _batch(batch)))


def held(lane: str, reason: str, seconds: float, now: datetime) -> Notice:
    """Return the notice of a lane that was held: one an hour, however often it is held anew."""
    data = {"lane": lane, "reason": reason, "seconds": round(seconds, 1)}
    return Notice(f"lane.{lane}.{now:%Y%m%d%H}", Kind.HELD, None, _body(Kind.HELD, now, data))


def test(nonce: str, now: datetime) -> Notice:
    """Return a notice that says nothing but that it arrived."""
    return Notice(f"test.{nonce}", Kind.TEST, None, _body(Kind.TEST, now, {"message": "A test of this webhook."}))


def _batch(batch: Batch) -> Mapping[str, object]:
    counts = batch.counts
    return {
        "id": batch.id,
        "workspace": batch.workspace,
        "processing_status": batch.status.value,
        "request_counts": {
            "processing": counts.processing,
            "succeeded": counts.succeeded,
            "errored": counts.errored,
            "canceled": counts.canceled,
            "expired": counts.expired,
        },
        "created_at": batch.created_at,
        "expires_at": batch.expires_at,
        "ended_at": batch.ended_at,
    }


def _body(kind: Kind, at: datetime, data: Mapping[str, object]) -> bytes:
    return msgspec.json.encode({"type": kind.value, "timestamp": at, "data": data})


def wanted(hooks: Sequence[Hook], notices: Sequence[Notice]) -> list[Delivery]:
    """Return each notice for each hook that wants it."""
    return [Delivery(hook.name, notice) for notice in notices for hook in hooks if hook.wants(notice)]
