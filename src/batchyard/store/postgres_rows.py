"""Rows of the PostgreSQL store as domain objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import msgspec

from batchyard.domain.outcome import Trace
from batchyard.domain.request import Lease, ParamsAt
from batchyard.store.rows import SEQ_MASK, BatchRow, moment

if TYPE_CHECKING:
    from asyncpg import Record
    from asyncpg.pool import PoolConnectionProxy

_decode_names = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_labels = msgspec.json.Decoder(dict[str, str]).decode


@dataclass(frozen=True, slots=True)
class StoredBatch(BatchRow):
    """A row of ``batches``, with what ``tallies`` counts until the seal."""

    num: int
    id: str
    workspace: str
    created_at: int
    expires_at: int
    version: str
    betas: str
    models: str
    body: str
    total: int
    paused: bool
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
    name: str
    labels: str

    @property
    def model_names(self) -> tuple[str, ...]:
        return _decode_names(self.models)

    @property
    def beta_names(self) -> tuple[str, ...]:
        return _decode_names(self.betas)

    @property
    def label_texts(self) -> Mapping[str, str]:
        return _decode_labels(self.labels)


_TALLIED = ("succeeded", "errored", "canceled", "expired", "open", "leased")
_COLUMNS: Final = ", ".join(
    (f"coalesce(t.{field.name}, {f'b.{field.name}' if field.name in _TALLIED[:4] else 0}) as {field.name}")
    if field.name in _TALLIED
    else f"b.{field.name}"
    for field in fields(StoredBatch)
)
BATCHES: Final = f"select {_COLUMNS} from batches b left join tallies t on t.batch = b.num"  # noqa: S608
"""What ``StoredBatch`` is made of; a ``where`` follows."""


async def batches(db: "PoolConnectionProxy", where: str, *values: Any, tail: str = "order by num") -> list[StoredBatch]:
    """Return the rows of ``batches`` (b) that fit. ``where`` and ``tail`` are SQL of ours, never a caller's."""
    return [StoredBatch(*row) for row in await db.fetch(f"{BATCHES} where {where} {tail}", *values)]


LEASED_COLUMNS: Final = (
    'r.id, l.attempt, r."offset", r.length, r.crc, r.model, r.paid, r.failures, r.unknowns, r.deaths'
)
"""What ``a_lease`` is made of: of requests (r) and leases (l)."""


def a_lease(stored: StoredBatch, models: Sequence[str], row: "Record") -> Lease:
    id_, attempt, offset, length, crc, model, paid, failures, unknowns, deaths = row
    at = ParamsAt(stored.body, offset, length, crc)
    return Lease(stored.id, id_ & SEQ_MASK, attempt, at, models[model], paid, failures, unknowns, deaths)


def a_trace(outcome: str, started_at: int, ended_at: int, reason: str) -> Trace:
    return Trace(outcome, moment(started_at), moment(ended_at), reason)


def plain(text: str) -> str:
    """Return text that PostgreSQL can store: it takes no NUL, and no half of a surrogate pair."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
