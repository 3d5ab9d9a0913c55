"""What one turn changes of batches' rows: read once, counted in memory within the transaction, written once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import apsw

from batchyard.store import sqlite_streams
from batchyard.store.rows import STATES
from batchyard.store.sqlite_rows import BATCHES_AS_JSON, StoredBatch, decode_batches, encode
from batchyard.store.sqlite_streams import Streams

_LOOK = (
    "select (select num from owners where id = ?),"  # noqa: S608
    f" (select {BATCHES_AS_JSON} from batches where id in (select value from carray(?)))"
)


@dataclass(slots=True)
class Tally:
    """What a turn changes of a batch's row."""

    stored: StoredBatch
    open: int
    leased: int
    fresh: int
    arrived: int
    processing: int
    kinds: dict[str, int]
    settled: bool = False
    streams: Streams = field(default_factory=dict)

    @classmethod
    def of(cls, stored: StoredBatch) -> "Tally":
        return cls(
            stored,
            open=stored.open,
            leased=stored.leased,
            fresh=stored.fresh,
            arrived=stored.arrived,
            processing=stored.counts.processing,
            kinds={kind: getattr(stored, kind) for kind in STATES},
        )

    @property
    def waiting(self) -> int:
        """Pending requests that were leased before."""
        return self.open - self.leased - (self.stored.total - self.fresh)

    @property
    def ripe(self) -> bool:
        return self.open == 0 or (self.stored.closing is not None and self.leased == 0)

    def finish(self, kind: str) -> None:
        """Count one more final request, as ``Counts.settled`` does."""
        self.open -= 1
        self.arrived += 1
        if self.processing > 1:
            self.processing -= 1
            self.kinds[kind] += 1

    def row(self) -> tuple[int, ...]:
        return (self.stored.num, self.open, self.leased, self.fresh, self.arrived, *self.kinds.values())


def look(connection: apsw.Connection, owner: str, names: tuple[str, ...]) -> tuple[int | None, dict[str, Tally]]:
    """Return the owner's number and the batches by id; unknown ones are missing."""
    [(owner_num, rows)] = connection.execute(_LOOK, (owner, apsw.carray(names)))
    assert isinstance(rows, str)
    assert owner_num is None or isinstance(owner_num, int)
    return owner_num, {stored.id: Tally.of(stored) for stored in decode_batches(rows)}


def add_streams(connection: apsw.Connection, tallies: Mapping[str, Tally]) -> None:
    """Read the streams of those batches that have some."""
    streamed = [tally for tally in tallies.values() if tally.stored.only_model is None]
    if streamed:
        streams = sqlite_streams.of(connection, [tally.stored.num for tally in streamed])
        for tally in streamed:
            tally.streams = streams[tally.stored.num]


def write(connection: apsw.Connection, tallies: Collection[Tally]) -> None:
    """Bring the batches' rows up to date."""
    connection.execute(
        "update batches set open = v.value ->> 1, leased = v.value ->> 2, fresh = v.value ->> 3,"
        " arrived = v.value ->> 4, succeeded = v.value ->> 5, errored = v.value ->> 6, canceled = v.value ->> 7,"
        " expired = v.value ->> 8 from json_each(?) v where batches.num = v.value ->> 0",
        (encode(tally.row() for tally in tallies),),
    )
    sqlite_streams.write(connection, [(tally.stored.num, tally.streams) for tally in tallies if tally.streams])
