"""Creating a batch in the SQLite store: one transaction for the batch, its requests and what the create looked like."""

from collections.abc import Callable
from datetime import timedelta
from itertools import chain, count, islice

import apsw
import msgspec

from batchyard.domain.batch import Batch
from batchyard.domain.errors import InvalidRequest
from batchyard.domain.ids import batch_id
from batchyard.domain.request import Drafts, Origin
from batchyard.domain.run_order import only_model
from batchyard.ports import NewBatch
from batchyard.store import sqlite_quota, sqlite_streams
from batchyard.store.rows import SEQ_BITS, SEQ_MASK, micros, moment
from batchyard.store.sqlite_rows import batches

REPEAT_WINDOW = timedelta(minutes=10)
IDEMPOTENCY_WINDOW = timedelta(hours=24)
ROWS_AT_ONCE = 200
"""Rows of one insert: fewer steps than rows, and text small enough for the statement cache."""
_FORGOTTEN_AT_ONCE = 16

_REQUEST = 'insert into requests (id, custom_id, "offset", length, crc, prefix, model) values '
_ROW = "(?,?,?,?,?,?,?)"
_WIDTH = 7
_FULL_INSERT = _REQUEST + ",".join([_ROW] * ROWS_AT_ONCE)


def create(
    connection: apsw.Connection,
    new: NewBatch,
    drafts: Drafts,
    origin: Origin,
    *,
    defend: bool,
    entropy: Callable[[], int],
) -> Batch:
    """Store the batch, or return the earlier one that this create repeats."""
    earlier = _same_key(connection, new, origin) or (_repeated(connection, new, origin) if defend else None)
    if earlier is not None:
        [stored] = batches(connection, "num = ?", (earlier,))
        return stored.batch()
    if new.quota.is_limit:
        new.quota.check(sqlite_quota.load(connection, new.workspace), len(drafts), drafts.bytes)
    created_at = connection.execute(
        "update given set created_at = max(?, created_at + 1) returning created_at", (micros(new.created_at),)
    ).get
    num = _insert_batch(connection, new, drafts, created_at, batch_id(moment(created_at), entropy()))
    _insert_requests(connection, num, drafts)
    _remember(connection, num, new, origin, created_at)
    [stored] = batches(connection, "num = ?", (num,))
    return stored.batch()


def _same_key(connection: apsw.Connection, new: NewBatch, origin: Origin) -> int | None:
    """Return the batch of this idempotency key; index creates_by_key."""
    if origin.idempotency_key is None:
        return None
    row = connection.execute(
        "select batch, body_sha256 from creates where workspace = ? and caller = ? and idempotency_key = ?"
        " and created_at >= ? order by batch desc limit 1",
        (new.workspace, origin.caller, origin.idempotency_key, micros(new.created_at - IDEMPOTENCY_WINDOW)),
    ).fetchone()
    if row is None:
        return None
    earlier, body_sha256 = row
    if body_sha256 != origin.body_sha256:
        raise InvalidRequest(
            "idempotency-key: this key was used in the last 24 hours with another body; "
            "send the same body, or another key."
        )
    return int(earlier)


def _repeated(connection: apsw.Connection, new: NewBatch, origin: Origin) -> int | None:
    """Return the newest batch that this create repeats, or that overtook it; index creates_by_body."""
    found = connection.execute(
        "select batch from creates where workspace = ? and caller = ? and body_sha256 = ? and created_at >= ?"
        " and (? >= 1 or (retry >= 1 and created_at >= ?)) order by batch desc limit 1",
        (
            new.workspace,
            origin.caller,
            origin.body_sha256,
            micros(new.created_at - REPEAT_WINDOW),
            origin.retry,
            origin.began_at,
        ),
    ).get
    return None if found is None else int(found)


def _insert_batch(connection: apsw.Connection, new: NewBatch, drafts: Drafts, created_at: int, name: str) -> int:
    moved = created_at - micros(new.created_at)
    model = only_model(drafts)
    connection.execute(
        "insert into batches (id, workspace, created_at, expires_at, version, betas, models, body, total, open,"
        " only_model, bytes, name, labels, traceparent) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            name,
            new.workspace,
            created_at,
            micros(new.expires_at) + moved,
            new.version,
            msgspec.json.encode(new.betas).decode(),
            msgspec.json.encode(list(drafts.model_names)).decode(),
            new.body,
            len(drafts),
            len(drafts),
            model,
            drafts.bytes,
            new.labels.name,
            msgspec.json.encode(dict(new.labels.pairs)).decode(),
            new.traceparent,
        ),
    )
    num = connection.last_insert_rowid()
    if model is None:
        sqlite_streams.insert(connection, num, drafts)
    return num


def _insert_requests(connection: apsw.Connection, num: int, drafts: Drafts) -> None:
    assert len(drafts) <= SEQ_MASK, f"{len(drafts)} requests in one batch"
    numbered = ((id_, *row) for id_, row in zip(count(num << SEQ_BITS), drafts.rows(), strict=False))
    values = chain.from_iterable(numbered)
    while chunk := tuple(islice(values, ROWS_AT_ONCE * _WIDTH)):
        rows = len(chunk) // _WIDTH
        if rows == ROWS_AT_ONCE:
            connection.execute(_FULL_INSERT, chunk)
        else:
            connection.execute(_REQUEST + ",".join([_ROW] * rows), chunk, can_cache=False)


def _remember(connection: apsw.Connection, num: int, new: NewBatch, origin: Origin, created_at: int) -> None:
    connection.execute(
        "insert into creates (batch, workspace, caller, body_sha256, retry, idempotency_key, created_at)"
        " values (?, ?, ?, ?, ?, ?, ?)",
        (num, new.workspace, origin.caller, origin.body_sha256, origin.retry, origin.idempotency_key, created_at),
    )
    # Creates are numbered in the order of their times: looking at the oldest few forgets faster than they come.
    connection.execute(
        "delete from creates where batch in (select batch from creates order by batch limit ?) and created_at < ?",
        (_FORGOTTEN_AT_ONCE, created_at - IDEMPOTENCY_WINDOW // timedelta(microseconds=1)),
    )
