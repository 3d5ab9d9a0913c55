"""What to do next with a carrier, given what is known of it and the time. Pure: the runner asks, acts, and learns.

    made ── create ──> sent ── retrieve … ──> ended ── collect ──> (delete) ──> finish
      │        └─ its answer was lost ── look ──┘            └── lines that never ran are tried again
      └── nothing was sent, and its batch is closing ──> lose

A create whose answer did not come may have been taken. It is never simply made again: the server is asked by the same
key, where it knows such keys, or its list is searched by time and count. What is found there is ours only once its
custom_ids say so, at collection; until then it is neither cancelled nor deleted, for it may be somebody else's.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum

GRACE = timedelta(seconds=30)
"""How long after our batch's deadline its carriers may still be collected, as calls in flight may end."""
LONGEST_MARGIN = timedelta(minutes=15)
"""A cancel takes the service half a minute to half an hour, as people tell; what it did until then is kept."""
FORGOTTEN_AFTER = timedelta(days=1)
"""An upstream batch expires by itself within a day: nothing is left to be cancelled."""
ABSENCES = 3
"""Answers in a row that there is no such batch before it is believed: a list may lag behind."""
COLLECTIONS = 3
"""Times that results are read which are whole, and still lack lines, before the lines are given up."""
SLOWEST_CLOCK = timedelta(seconds=5)
"""How far the upstream's date may be off beside its own batches' times: it has whole seconds."""
SLOTS_TO_KEEP_ONE = 4
"""An upstream with so many slots for carriers keeps one of them for workspaces that have none under way."""
LOOKED_FOR = 120.0
"""Seconds that a lost create is looked for at most before it is taken to have never arrived."""


class Standing(StrEnum):
    """How it stands with an upstream batch, by its own words."""

    IN_PROGRESS = "in_progress"
    CANCELING = "canceling"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class UpstreamBatch:
    """A batch as its upstream tells of it; ``poll_after``: seconds that it asks us to wait before the next question."""

    id: str
    standing: Standing
    requests: int
    created_at: datetime | None = None
    poll_after: float | None = None


class Step(Enum):
    """What to do with a carrier next."""

    CREATE = "create"
    LOOK = "look"
    RETRIEVE = "retrieve"
    CANCEL = "cancel"
    COLLECT = "collect"
    RELEASE = "release"  # its batch's time is over: what is left goes back, and becomes expired or canceled
    GIVE_UP = "give up"  # the upstream has lost what is left: an unknown end
    DELETE = "delete"
    FINISH = "finish"
    LOSE = "lose"  # it never came to be there


@dataclass(frozen=True, slots=True)
class Course:
    """What is known of a carrier. ``open``: members that are not settled; ``settle_for``: how long a lost create is
    looked for.

    ``lost_at`` is set while a create may have been taken whose answer never came; ``looked_at`` is the last look that
    found nothing since, ``candidates`` are what the last look found. ``standing`` is of the batch that is followed,
    ``absences`` and ``lacking`` count since it last answered well.
    """

    upstream_id: str | None
    closing: bool
    ends_by: datetime
    expires_at: datetime
    open: int
    keyed: bool = False
    deletes: bool = False
    settle_for: timedelta = timedelta(seconds=LOOKED_FOR)
    lost_at: datetime | None = None
    looked_at: datetime | None = None
    candidates: Sequence[str] = ()
    standing: Standing | None = None
    absences: int = 0
    lacking: int = 0
    cancel_asked: bool = False
    deleted: bool = False

    @property
    def followed(self) -> str | None:
        """The upstream batch that is asked about."""
        return self.upstream_id or next(iter(self.candidates), None)

    def is_over(self, now: datetime) -> bool:
        """Whether its batch wants no more of it: canceled, ended, or so near its deadline that it is cancelled."""
        return self.closing or now >= self.ends_by


def ends_by(created_at: datetime, expires_at: datetime) -> datetime:
    """Return when the carriers of a batch are cancelled, and no more are made: an eighth of its time before its end."""
    return expires_at - min(LONGEST_MARGIN, (expires_at - created_at) / 8)


def next_step(course: Course, now: datetime) -> Step:
    """Return what to do now."""
    if course.open and course.closing and now >= course.expires_at + GRACE:
        return Step.RELEASE
    if now >= course.expires_at + FORGOTTEN_AFTER:
        return Step.FINISH
    if course.upstream_id is None:
        return _not_sent(course, now)
    return _sent(course, now)


def _not_sent(course: Course, now: datetime) -> Step:
    wanted = course.open > 0 and not course.is_over(now)
    if course.lost_at is None:
        return Step.CREATE if wanted else Step.LOSE
    if course.keyed and (wanted or (course.candidates and now < course.expires_at)):
        return Step.CREATE  # the same key: it is told which batch it was, or makes it now
    if not course.open:
        return Step.LOSE  # nobody is left whose line could prove which batch it was
    if course.candidates:
        return Step.COLLECT if course.standing is Standing.ENDED else Step.RETRIEVE
    if course.looked_at is None or course.looked_at < course.lost_at + course.settle_for:
        return Step.LOOK
    return Step.CREATE if wanted else Step.LOSE


def _sent(course: Course, now: datetime) -> Step:
    if course.open and (course.absences >= ABSENCES or course.lacking >= COLLECTIONS):
        return Step.GIVE_UP
    if course.absences >= ABSENCES:
        return Step.FINISH
    if course.standing is Standing.ENDED:
        if course.open:
            return Step.COLLECT
        return Step.DELETE if course.deletes and not course.deleted else Step.FINISH
    if not course.cancel_asked and (course.is_over(now) or not course.open):
        return Step.CANCEL
    return Step.RETRIEVE


def candidates(
    listed: Sequence[UpstreamBatch], members: int, since: datetime, until: datetime, known: frozenset[str]
) -> Sequence[str]:
    """Return which of the upstream's batches may be a create of so many requests made between these times there.

    Oldest first: the create was sent as soon as the carrier was made. ``known`` are batches of other carriers, and
    those that proved to be somebody else's.
    """
    fits = [
        (batch.created_at, batch.id)
        for batch in listed
        if batch.id not in known
        and batch.requests == members
        and batch.created_at is not None
        and since - SLOWEST_CLOCK <= batch.created_at <= until + SLOWEST_CLOCK
    ]
    return [id_ for _, id_ in sorted(fits)]


def poll_seconds(age: float, slowest: float, asked: float | None) -> float:
    """Return how long to wait before the next question: a quarter of what was waited so far, at most ``slowest``.

    So a small batch is seen to end soon, and a long one costs few calls. What the server asks for is a minimum.
    """
    return max(min(slowest, max(slowest / 60.0, age / 4.0)), min(asked or 0.0, 600.0))


def full_size(most: int, taken: Container[int], jitter: float) -> int:
    """Return how many requests a full carrier is to hold: at most a hundredth fewer than it may, and, if it can be, a
    number that no other has which is under way.

    For a create whose answer was lost is found by its number: full carriers that are made in the same moment, by us or
    by another owner, would else be taken for each other until they end. ``jitter`` in [0, 1).
    """
    span = most // 100 + 1
    first = int(jitter * span)
    sizes = [most - (first + more) % span for more in range(span)]
    return next((size for size in sizes if size not in taken), sizes[0])


@dataclass(frozen=True, slots=True)
class Group:
    """Pending requests of one batch and model, gathered since ``since``."""

    batch: str
    workspace: str
    model: str
    pending: int
    since: datetime
    ends_by: datetime


def next_group(
    groups: Sequence[Group],
    now: datetime,
    *,
    most: int,
    seconds: float,
    under_way: Mapping[str, int],
    free: int,
    slots: int,
    weight: Callable[[str], float] = lambda _workspace: 1.0,
) -> Group | None:
    """Return which group's next carrier takes one of ``free`` slots of ``slots``; None where none is to travel now.

    A group travels when it fills a carrier, or has waited long enough for company. Next is the workspace with the
    fewest carriers ``under_way`` for its weight, then the nearest deadline. A carrier may hold its slot for a day, so
    the last of several slots is kept for a workspace that has none: a large batch must not keep a small one waiting.
    """
    ripe = [
        group
        for group in groups
        if group.pending > 0
        and now < group.ends_by
        and (group.pending >= most or (now - group.since).total_seconds() >= seconds)
        and (free > 1 or slots < SLOTS_TO_KEEP_ONE or not under_way.get(group.workspace, 0))
    ]
    if free < 1 or not ripe:
        return None
    return min(ripe, key=lambda one: (under_way.get(one.workspace, 0) / weight(one.workspace), one.ends_by, one.batch))
