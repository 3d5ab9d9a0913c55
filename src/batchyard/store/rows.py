"""What both SQL stores write alike: times, ids of requests, kinds of results, a batch's row as the domain knows it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from batchyard.domain.batch import Batch, Closing, Counts, Sealed, Status
from batchyard.domain.labels import Labels

STATES: Final = {"succeeded": 2, "errored": 3, "canceled": 4, "expired": 5}
"""The state of a final request."""
KINDS: Final = {state: kind for kind, state in STATES.items()}
SEQ_BITS: Final = 24
"""A request's id is its batch's number, and its place in these bits."""
SEQ_MASK: Final = (1 << SEQ_BITS) - 1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND_MICROS = 1_000_000


def micros(moment: datetime) -> int:
    """Return the microseconds since 1970."""
    past = moment - _EPOCH
    return (past.days * 86_400 + past.seconds) * _SECOND_MICROS + past.microseconds


def moment(micros: int) -> datetime:
    """Return the aware UTC time."""
    return _EPOCH + timedelta(microseconds=micros)


def open_kind(closing: str | None) -> str:
    """Return the kind of result that the open requests of a closing batch get."""
    return "expired" if closing == Closing.EXPIRED else "canceled"


class BatchRow:
    """What follows from a row of ``batches``. Each store has its own columns, and these among them."""

    __slots__ = ()

    num: int
    id: str
    workspace: str
    created_at: int
    expires_at: int
    version: str
    body: str
    total: int
    closing: str | None
    cancel_initiated_at: int | None
    ended_at: int | None
    archived_at: int | None
    succeeded: int
    errored: int
    canceled: int
    expired: int
    open: int
    leased: int
    results: str | None
    positions: str | None
    ledger: str | None
    size: int | None
    sha256: str | None
    paused: int
    name: str

    @property
    def beta_names(self) -> tuple[str, ...]:
        raise NotImplementedError

    @property
    def label_texts(self) -> Mapping[str, str]:
        raise NotImplementedError

    @property
    def first(self) -> int:
        """The id of its first request."""
        return self.num << SEQ_BITS

    @property
    def last(self) -> int:
        """The largest id that a request of it may have."""
        return self.num << SEQ_BITS | SEQ_MASK

    @property
    def ripe(self) -> bool:
        """Nothing is left to wait for: it can be sealed."""
        return self.ended_at is None and (self.open == 0 or (self.closing is not None and self.leased == 0))

    def leasable(self, now: int) -> bool:
        """Whether requests of it may be leased at all at that time."""
        return self.ended_at is None and self.closing is None and not self.paused and now < self.expires_at

    @property
    def counts(self) -> Counts:
        settled = self.succeeded + self.errored + self.canceled + self.expired
        return Counts(self.total - settled, self.succeeded, self.errored, self.canceled, self.expired)

    def batch(self) -> Batch:
        """Return it as the domain knows it."""
        status = Status.IN_PROGRESS if self.cancel_initiated_at is None else Status.CANCELING
        return Batch(
            id=self.id,
            workspace=self.workspace,
            status=status if self.ended_at is None else Status.ENDED,
            counts=self.counts,
            created_at=moment(self.created_at),
            expires_at=moment(self.expires_at),
            version=self.version,
            betas=self.beta_names,
            body=self.body,
            closing=None if self.closing is None else Closing(self.closing),
            ended_at=_moment_or_none(self.ended_at),
            cancel_initiated_at=_moment_or_none(self.cancel_initiated_at),
            archived_at=_moment_or_none(self.archived_at),
            sealed=self._sealed(),
            paused=bool(self.paused),
            labels=Labels(self.name, tuple(sorted(self.label_texts.items()))),
        )

    def _sealed(self) -> Sealed | None:
        if self.results is None:
            return None
        assert self.positions is not None
        assert self.ledger is not None
        assert self.size is not None
        assert self.sha256 is not None
        return Sealed(self.results, self.positions, self.ledger, self.size, self.sha256)


def _moment_or_none(micros: int | None) -> datetime | None:
    return None if micros is None else moment(micros)
