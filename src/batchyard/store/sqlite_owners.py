"""Owners in the SQLite store: who lives, who does not, and what they hold. Carriers have rows too, of no heartbeat."""

from collections import Counter
from collections.abc import Sequence

import apsw
import msgspec

from batchyard.ports import Owner
from batchyard.store.rows import moment
from batchyard.store.sqlite_rows import batches

_decode_nums = msgspec.json.Decoder(list[int]).decode
_decode_names = msgspec.json.Decoder(list[str]).decode
_decode_owners = msgspec.json.Decoder(list[tuple[int, str, int, int]]).decode


def beat(connection: apsw.Connection, owner: str, now: int, lease_micros: int) -> int:
    """Note the owner's heartbeat; return how many owners live."""
    connection.execute(
        "insert into owners (id, beat) values (?, ?) on conflict (id) do update set beat = excluded.beat", (owner, now)
    )
    return int(connection.execute("select count(*) from owners where ? - beat < ?", (now, lease_micros)).get)


def dead(connection: apsw.Connection, beat_before: int) -> Sequence[str]:
    """Return the owners whose last heartbeat is older than that."""
    return _decode_names(
        connection.execute(
            "select json_group_array(id) from (select id from owners where beat between 1 and ? - 1 order by num)",
            (beat_before,),
        ).get
    )


def owners(connection: apsw.Connection, now: int, lease_micros: int) -> Sequence[Owner]:
    """Return all owners. Looks through every live batch with leases, as a reclaim does."""
    connection.execute("begin")
    leases: Counter[int] = Counter()
    for stored in batches(connection, "ended_at is null and leased > 0"):
        held = connection.execute(
            "select json_group_array(owner) from requests where id between ? and ? and state = 1",
            (stored.first, stored.last),
        ).get
        leases.update(_decode_nums(held))
    rows = connection.execute(
        "select json_group_array(json_array(num, id, beat, carriers)) from (select num, id, beat,"
        " (select count(*) from carriers c where c.owner = o.num and c.state in ('made', 'sent')) as carriers"
        " from owners o where beat > 0 order by num)"
    ).get
    return [
        Owner(id_, moment(beaten), lives=now - beaten < lease_micros, leases=leases[num], carriers=carriers)
        for num, id_, beaten, carriers in _decode_owners(rows)
    ]
