"""A dispatcher's turn in the SQLite store: about eight statements, however many requests it settles and leases.

A step of a statement can cost as long as getting the interpreter lock back from a busy event loop, so nothing here is
one statement for one request: arrays of ids are bound whole (``carray``), rows go in by one insert and come out as one
JSON array.
"""

from collections.abc import Sequence
from datetime import datetime

import apsw

from batchyard.domain.outcome import Settlement
from batchyard.domain.request import Lease
from batchyard.ports import Pick, Turn
from batchyard.store import sqlite_views
from batchyard.store.rows import micros
from batchyard.store.sqlite_lease import Chosen, held_of, lease
from batchyard.store.sqlite_rows import batches
from batchyard.store.sqlite_settle import judge, settle
from batchyard.store.sqlite_tally import add_streams, look, write


def held(connection: apsw.Connection, owner: str) -> Sequence[Lease]:
    """Return the owner's leases. Looks through every live batch with leases, as a reclaim does."""
    connection.execute("begin")
    num = connection.execute("select num from owners where id = ?", (owner,)).get
    if num is None:
        return []
    leasing = batches(connection, "ended_at is null and leased > 0", tail="order by id")
    return [lease for stored in leasing for lease in held_of(connection, stored, num)]


def turn(
    connection: apsw.Connection, owner: str, settlements: Sequence[Settlement], picks: Sequence[Pick], now: datetime
) -> Turn:
    """Commit the settlements, then lease what is picked."""
    names = {settlement.lease.batch for settlement in settlements} | {pick.batch for pick in picks}
    if not names:
        return Turn([], [], [])
    owner_num, tallies = look(connection, owner, tuple(names))
    if picks:
        add_streams(connection, tallies)
    settling, stale = judge(connection, owner_num, settlements, tallies)
    settle(connection, settling)
    sqlite_views.count(connection, settling)
    ripe = [tally.stored.id for tally in tallies.values() if tally.settled and tally.ripe]
    chosen = Chosen(connection, tallies, now)
    chosen.take(picks)
    if chosen.requests and owner_num is None:
        owner_num = connection.execute(
            "insert into owners (id, beat) values (?, ?) returning num", (owner, micros(now))
        ).get
    leases = lease(connection, owner_num, chosen.requests, tallies)
    if settling or leases:
        write(connection, tallies.values())
    return Turn(leases, stale, ripe, chosen.short)


def pause_lane(connection: apsw.Connection, lane: str, *, paused: bool) -> None:
    """Note that a lane is paused, or is not."""
    if paused:
        connection.execute("insert or ignore into paused_lanes (lane) values (?)", (lane,))
    else:
        connection.execute("delete from paused_lanes where lane = ?", (lane,))


def paused_lanes(connection: apsw.Connection) -> Sequence[str]:
    """Return the names of the lanes that are paused, in order."""
    return [lane for (lane,) in connection.execute("select lane from paused_lanes order by lane")]
