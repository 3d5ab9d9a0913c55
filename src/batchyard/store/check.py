"""Whether the database is what it should be: its pages, and what its rows say of each other.

Read batch by batch, each in a snapshot of its own, so that a server that writes meanwhile is not held up.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import apsw

from batchyard.domain.batch import Sealed
from batchyard.store.database import explained
from batchyard.store.rows import STATES
from batchyard.store.sqlite_rows import PENDING, StoredBatch, batches

MOST_PAGES_TOLD = 10

_DAMAGE = (apsw.CorruptError, apsw.NotADBError, apsw.IOError)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong; ``batch`` is "" where it is not of one batch alone."""

    batch: str
    problem: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A batch and the blobs it needs: its body until the seal, then its sealed files."""

    id: str
    workspace: str
    body: str | None
    sealed: Sealed | None


def page_faults(connection: apsw.Connection) -> list[Fault]:
    """Read every page: structure, checksums, and whether the indexes fit their tables."""
    try:
        rows = [str(row[0]) for row in connection.execute(f"pragma integrity_check({MOST_PAGES_TOLD})")]
    except _DAMAGE as fault:
        return [Fault("", explained(fault))]
    return [
        Fault("", line) for row in rows if row != "ok" for line in row.splitlines() if "*** in database" not in line
    ]


def numbers(connection: apsw.Connection) -> list[int]:
    """Return what names each batch in the store, oldest first."""
    return [int(row[0]) for row in connection.execute("select num from batches order by num")]


def look(connection: apsw.Connection, num: int) -> tuple[Kept | None, list[Fault]]:
    """Return a batch and what is wrong with its rows; no batch if it is gone or cannot be read."""
    try:
        connection.execute("begin")
        rows = batches(connection, "num = ?", (num,))
        if not rows:
            return None, []
        [stored] = rows
        batch = stored.batch()
        kept = Kept(batch.id, batch.workspace, None if batch.ended_at else batch.body, batch.sealed)
        return kept, [Fault(batch.id, problem) for problem in _problems(connection, stored)]
    except _DAMAGE as fault:
        return None, [Fault(f"number {num}", f"its rows cannot be read: {explained(fault)}")]
    finally:
        if connection.in_transaction:
            connection.execute("rollback")


def _problems(connection: apsw.Connection, stored: StoredBatch) -> Iterator[str]:
    """Yield where a batch that runs does not fit its requests; the rows of one that ended are the sweep's."""
    if stored.ended_at is not None:
        return
    states = {
        int(str(state)): int(str(number))
        for state, number in connection.execute(
            "select state, count(*) from requests where id between ? and ? group by state", (stored.first, stored.last)
        )
    }
    [(results, latest, _)] = connection.execute(
        "select count(*), coalesce(max(arrival), 0), coalesce(sum(length(packed)), 0) from results"
        " where request between ? and ?",
        (stored.first, stored.last),
    )
    final = sum(states.get(state, 0) for state in STATES.values())
    pending, leased = states.get(PENDING, 0), sum(states.values()) - final - states.get(PENDING, 0)
    told = {
        "requests": (sum(states.values()), stored.total),
        "pending requests": (pending, stored.pending),
        "requests in flight": (leased, stored.leased),
        "results": (results, final),
        "arrivals": (latest, stored.arrived),
    }
    for what, (found, wanted) in told.items():
        if found != wanted:
            yield f"{found} {what} where {wanted} should be"
    if stored.counts.processing < 1:
        yield "no request counts as processing though it has not ended"
