"""What happened, in the past tense: the core emits these, ``observe`` turns them into logs and metrics.

No event carries params, messages, keys or custom_ids.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from batchyard.domain import call_events
from batchyard.domain.batch import Counts
from batchyard.domain.hook_events import WebhookFailed, WebhookTried
from batchyard.domain.lane_state import LanePaused
from batchyard.domain.spending import SpendCapped
from batchyard.domain.usage import NO_USAGE, Usage


@dataclass(frozen=True, slots=True)
class BatchCreated:
    batch: str
    workspace: str
    requests: int


@dataclass(frozen=True, slots=True)
class CancelAsked:
    batch: str
    workspace: str


@dataclass(frozen=True, slots=True)
class BatchPaused:
    """A batch was paused, or resumed."""

    batch: str
    workspace: str
    paused: bool


@dataclass(frozen=True, slots=True)
class BatchEnded:
    batch: str
    workspace: str
    counts: Counts
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchExpired:
    """Past its deadline: nothing more is leased; it ends when its calls in flight have settled."""

    batch: str


@dataclass(frozen=True, slots=True)
class BatchDeleted:
    batch: str
    workspace: str


@dataclass(frozen=True, slots=True)
class BatchArchived:
    batch: str


class AttemptFinished(msgspec.Struct, frozen=True, gc=False):
    """``outcome`` is the outcome's name; ``usage`` is nothing unless it was answered. ``model`` is the name that the
    client used. ``is_repeat``: an attempt before this one may have been billed."""

    batch: str
    seq: int
    attempt: int
    outcome: str
    seconds: float
    upstream: str
    model: str
    usage: Usage = NO_USAGE
    reason: str = ""
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class SettlementRefused:
    """A settlement named a lease that is no longer held: somebody else owns the request now."""

    batch: str
    seq: int
    attempt: int


@dataclass(frozen=True, slots=True)
class LeasesReclaimed:
    owner: str
    leases: int


@dataclass(frozen=True, slots=True)
class StartFinished:
    """What a start found of the processes before it. ``log_bytes``: the database's log that a death left, 0 after a
    clean stop; ``leases``: calls that were in flight and are made again; ``files``: deleted, for no batch names them;
    so many ``batches`` have so many ``requests`` to run."""

    log_bytes: int
    leases: int
    files: int
    batches: int
    requests: int


@dataclass(frozen=True, slots=True)
class LaneHeld:
    """Nothing is sent to the upstream for a while; ``reason`` is for the operator."""

    lane: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class CarrierMade:
    """Requests of a batch were gathered, to travel as one batch to an upstream that takes batches."""

    carrier: str
    lane: str
    batch: str
    members: int


@dataclass(frozen=True, slots=True)
class CarrierSent:
    """It is a batch of the upstream now: this one."""

    carrier: str
    lane: str
    upstream_id: str


@dataclass(frozen=True, slots=True)
class CarrierAdopted:
    """Its tender died; we follow it from here on."""

    carrier: str
    lane: str
    members: int


@dataclass(frozen=True, slots=True)
class CarrierEnded:
    """``how`` is ``collected``, or ``lost`` where it never came to be at the upstream."""

    carrier: str
    lane: str
    how: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CarrierTrouble:
    """A step of a carrier went wrong; it is tried again, or what is lost is given up."""

    carrier: str
    lane: str
    doing: str
    reason: str


@dataclass(frozen=True, slots=True)
class CarrierStranded:
    """Its upstream is no longer among the settings: its requests wait for that, or for their batch's end."""

    carrier: str
    lane: str
    members: int


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """The store or the blobs cannot work: nothing is leased until they can; what was learnt is kept in memory."""

    doing: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoreRecovered:
    seconds: float


@dataclass(frozen=True, slots=True)
class DiskShort:
    """The disk is nearly full: nothing more is sent and no batch is taken, until so much is freed."""

    missing_mebibytes: int


@dataclass(frozen=True, slots=True)
class DiskFreed:
    """There is room again: what was paused goes on."""


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """The wall clock went so many seconds ahead of ours (or behind: less than 0). Nothing expires by that; ours goes
    on as it was until the machine's next boot."""

    seconds_apart: float


@dataclass(frozen=True, slots=True)
class DeadlinesHeld:
    """The machine was booted, and these many batches are past their deadline by its clock: for so long none of them
    expires and no result goes by age. If the clock is wrong, set it and start again."""

    batches: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DamageFound:
    """Stored bytes are not what was written. They are not used; the rest goes on."""

    blob: str
    reason: str


@dataclass(frozen=True, slots=True)
class BatchStopped:
    """This process touches the batch no more: its part of the store is damaged, or one of its invariants failed. All
    others go on. What was stored of it stays; the next start tries again."""

    batch: str
    reason: str


@dataclass(frozen=True, slots=True)
class DrainBegan:
    in_flight: int


@dataclass(frozen=True, slots=True)
class BugFound:
    """An exception that is nobody's outcome. The traceback goes to the log and nowhere else. ``request_id`` is that of
    the API call, where it was one."""

    where: str
    error: BaseException
    request_id: str = ""


Event = (
    BatchCreated
    | CancelAsked
    | BatchPaused
    | SpendCapped
    | BatchEnded
    | BatchExpired
    | BatchDeleted
    | BatchArchived
    | AttemptFinished
    | call_events.TurnFinished
    | call_events.CallAnswered
    | call_events.CallFinished
    | call_events.CanaryFinished
    | WebhookTried
    | WebhookFailed
    | SettlementRefused
    | LeasesReclaimed
    | StartFinished
    | LaneHeld
    | LanePaused
    | CarrierMade
    | CarrierSent
    | CarrierAdopted
    | CarrierEnded
    | CarrierTrouble
    | CarrierStranded
    | StoreFailed
    | StoreRecovered
    | DiskShort
    | DiskFreed
    | ClockJumped
    | DeadlinesHeld
    | DamageFound
    | BatchStopped
    | DrainBegan
    | BugFound
)

Emit = Callable[[Event], None]
"""Takes an event. Quick, and never raises."""
