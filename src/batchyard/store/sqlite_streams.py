"""Fresh requests in the SQLite store, batch by batch and model by model, in the order in which they run."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import apsw
import msgspec

from batchyard.domain.request import Drafts
from batchyard.domain.run_order import run_orders
from batchyard.store.sqlite_rows import encode

PART = 512
"""Seqs in one row of stream_parts: 3 KB, read whole for each lease that needs a few of them."""

_decode_streams = msgspec.json.Decoder(list[tuple[int, int, int, int]]).decode
_decode_seqs = msgspec.json.Decoder(list[int]).decode


@dataclass(slots=True)
class FreshOf:
    """A stream: how many requests it has, and how many of them were leased at least once."""

    total: int
    fresh: int


Streams = dict[int, FreshOf]
"""Of one batch, by model index."""


def insert(connection: apsw.Connection, num: int, drafts: Drafts) -> None:
    """Store the run order of a batch that has more than one model, or shared beginnings."""
    orders = run_orders(drafts)
    connection.execute(
        "insert into streams (batch, model, total) select ?, value ->> 0, value ->> 1 from json_each(?)",
        (num, encode((model, len(order)) for model, order in orders.items())),
    )
    connection.executemany(
        "insert into stream_parts (batch, model, part, seqs) values (?, ?, ?, ?)",
        (
            (num, model, start // PART, encode(order[start : start + PART]))
            for model, order in orders.items()
            for start in range(0, len(order), PART)
        ),
    )


def of(connection: apsw.Connection, nums: Sequence[int]) -> Mapping[int, Streams]:
    """Return the streams of these batches, by batch."""
    found: dict[int, Streams] = {num: {} for num in nums}
    if nums:
        rows = connection.execute(
            "select json_group_array(json_array(batch, model, total, fresh)) from streams"
            " where batch in (select value from carray(?))",
            (apsw.carray(array("q", nums)),),
        ).get
        for batch, model, total, fresh in _decode_streams(rows):
            found[batch][model] = FreshOf(total, fresh)
    return found


def take(connection: apsw.Connection, num: int, model: int, stream: FreshOf, limit: int) -> list[int]:
    """Return the seqs of the next fresh requests, and count them as leased."""
    wanted = min(limit, stream.total - stream.fresh)
    seqs: list[int] = []
    while len(seqs) < wanted:
        part, skipped = divmod(stream.fresh, PART)
        row = connection.execute(
            "select seqs from stream_parts where batch = ? and model = ? and part = ?", (num, model, part)
        ).get
        some = _decode_seqs(row)[skipped : skipped + wanted - len(seqs)]
        seqs += some
        stream.fresh += len(some)
    return seqs


def write(connection: apsw.Connection, changed: Iterable[tuple[int, Streams]]) -> None:
    """Bring the streams' rows up to date."""
    rows = [(num, model, stream.fresh) for num, streams in changed for model, stream in streams.items()]
    if rows:
        connection.execute(
            "update streams set fresh = v.value ->> 2 from json_each(?) v"
            " where streams.batch = v.value ->> 0 and streams.model = v.value ->> 1",
            (encode(rows),),
        )


def delete(connection: apsw.Connection, num: int) -> None:
    """Forget the run order of a batch that has ended."""
    connection.execute("delete from streams where batch = ?", (num,))
    connection.execute("delete from stream_parts where batch = ?", (num,))
