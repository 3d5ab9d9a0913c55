"""Which create was made before: by its idempotency key, or because an SDK has sent it again."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from batchyard.domain.errors import InvalidRequest
from batchyard.domain.request import Origin
from batchyard.ports import NewBatch
from batchyard.store.memory_batch import StoredBatch

REPEAT_WINDOW = timedelta(minutes=10)
IDEMPOTENCY_WINDOW = timedelta(hours=24)

_Batches = dict[str, StoredBatch]
"""In the order of creation, which is the order of ids."""


def earlier_create(batches: _Batches, new: NewBatch, origin: Origin, *, defend: bool) -> StoredBatch | None:
    """Return the batch that this create repeats; raises ``InvalidRequest`` for a key with another body."""
    return _same_key(batches, new, origin) or (_repeated(batches, new, origin) if defend else None)


def _same_key(batches: _Batches, new: NewBatch, origin: Origin) -> StoredBatch | None:
    if origin.idempotency_key is None:
        return None
    for stored in _recent(batches, new, origin, IDEMPOTENCY_WINDOW):
        if stored.origin.idempotency_key == origin.idempotency_key:
            if stored.origin.body_sha256 == origin.body_sha256:
                return stored
            raise InvalidRequest(
                "idempotency-key: this key was used in the last 24 hours with another body; "
                "send the same body, or another key."
            )
    return None


def _repeated(batches: _Batches, new: NewBatch, origin: Origin) -> StoredBatch | None:
    for stored in _recent(batches, new, origin, REPEAT_WINDOW):
        if stored.origin.body_sha256 != origin.body_sha256:
            continue
        overtaken = stored.origin.retry >= 1 and stored.batch.created_at >= _moment(origin.began_at)
        if origin.retry >= 1 or overtaken:
            return stored
    return None


def _recent(batches: _Batches, new: NewBatch, origin: Origin, window: timedelta) -> Iterable[StoredBatch]:
    """Yield what the same caller stored within the window, newest first."""
    for stored in reversed(batches.values()):
        if stored.batch.created_at < new.created_at - window:
            return
        if stored.batch.workspace == new.workspace and stored.origin.caller == origin.caller:
            yield stored


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)
