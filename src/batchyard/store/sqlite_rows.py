"""Rows of the SQLite store as domain objects, and many rows in one step.

apsw gives the interpreter lock away at each step of a statement, and beside a busy event loop getting it back can
take as long as the switch interval. So a query that returns many rows returns them as one: a JSON array.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import apsw
import msgspec

from batchyard.domain.batch import Batch, Closing, Counts, Sealed, Status
from batchyard.domain.labels import Labels

PENDING: Final = 0
LEASED: Final = 1
STATES: Final = {"succeeded": 2, "errored": 3, "canceled": 4, "expired": 5}
"""``requests.state`` of a final request."""
KINDS: Final = {state: kind for kind, state in STATES.items()}
SEQ_BITS: Final = 24
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


class StoredBatch(msgspec.Struct, array_like=True, frozen=True):
    """A row of ``batches``, column by column."""

    num: int
    id: str
    workspace: str
    created_at: int
    expires_at: int
    version: str
    betas: tuple[str, ...]
    models: tuple[str, ...]
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
    fresh: int
    arrived: int
    results: str | None
    positions: str | None
    ledger: str | None
    size: int | None
    sha256: str | None
    only_model: int | None
    paused: int
    name: str
    labels: dict[str, str]

    @property
    def first(self) -> int:
        """The id of its first request."""
        return self.num << SEQ_BITS

    @property
    def last(self) -> int:
        """The largest id that a request of it may have."""
        return self.num << SEQ_BITS | SEQ_MASK

    @property
    def pending(self) -> int:
        return self.open - self.leased

    @property
    def ripe(self) -> bool:
        """Nothing is left to wait for: it can be sealed."""
        return self.ended_at is None and (self.open == 0 or (self.closing is not None and self.leased == 0))

    def leasable(self, now: int) -> bool:
        """Whether requests of it may be leased at all at that time."""
        return self.ended_at is None and self.closing is None and not self.paused and now < self.expires_at

    def model_index(self, model: str) -> int | None:
        """Return what stands for a model in its requests; None: none of them names it."""
        return self.models.index(model) if model in self.models else None

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
            betas=self.betas,
            body=self.body,
            closing=None if self.closing is None else Closing(self.closing),
            ended_at=_moment_or_none(self.ended_at),
            cancel_initiated_at=_moment_or_none(self.cancel_initiated_at),
            archived_at=_moment_or_none(self.archived_at),
            sealed=self._sealed(),
            paused=bool(self.paused),
            labels=Labels(self.name, tuple(sorted(self.labels.items()))),
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


_JSON_COLUMNS = {"betas", "models", "labels"}
_COLUMNS = ", ".join(f"json({name})" if name in _JSON_COLUMNS else name for name in StoredBatch.__struct_fields__)
BATCHES_AS_JSON: Final = f"json_group_array(json_array({_COLUMNS}))"
decode_batches = msgspec.json.Decoder(list[StoredBatch]).decode


def batches(
    connection: apsw.Connection, where: str, bindings: Sequence[Any] = (), *, tail: str = "order by num"
) -> list[StoredBatch]:
    """Return the rows of ``batches`` that fit. ``where`` and ``tail`` are SQL of ours, never a caller's."""
    sql = f"select {BATCHES_AS_JSON} from (select * from batches where {where} {tail})"  # noqa: S608
    return decode_batches(connection.execute(sql, bindings).get)


def open_kind(closing: str | None) -> str:
    """Return the kind of result that the open requests of a closing batch get."""
    return "expired" if closing == Closing.EXPIRED else "canceled"


def encode(rows: Iterable[Any]) -> str:
    """Return rows as the JSON text that ``json_each`` takes apart."""
    return msgspec.json.encode(list(rows)).decode()
