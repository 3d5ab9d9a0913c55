"""Rows of the SQLite store as domain objects, and many rows in one step.

apsw gives the interpreter lock away at each step of a statement, and beside a busy event loop getting it back can
take as long as the switch interval. So a query that returns many rows returns them as one: a JSON array.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import apsw
import msgspec

from batchyard.store.rows import BatchRow

PENDING: Final = 0
LEASED: Final = 1


class StoredBatch(BatchRow, msgspec.Struct, array_like=True, frozen=True):
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
    def pending(self) -> int:
        return self.open - self.leased

    def model_index(self, model: str) -> int | None:
        """Return what stands for a model in its requests; None: none of them names it."""
        return self.models.index(model) if model in self.models else None

    @property
    def beta_names(self) -> tuple[str, ...]:
        return self.betas

    @property
    def label_texts(self) -> Mapping[str, str]:
        return self.labels


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


def encode(rows: Iterable[Any]) -> str:
    """Return rows as the JSON text that ``json_each`` takes apart."""
    return msgspec.json.encode(list(rows)).decode()
