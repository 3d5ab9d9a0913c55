"""What each workspace has in the SQLite store: two reads of indexes, however many batches have ended."""

from collections.abc import Mapping, Sequence

import apsw
import msgspec

from batchyard.domain.standing import Standing
from batchyard.store.rows import moment

_LIVE = """
select json_group_object(workspace, json_array(running, paused, canceling, open, leased, oldest, soonest, bytes)) from (
    select workspace, sum(cancel_initiated_at is null and not paused) as running,
        sum(cancel_initiated_at is null and paused) as paused, sum(cancel_initiated_at is not null) as canceling,
        sum(open) as open, sum(leased) as leased, min(created_at) as oldest, min(expires_at) as soonest,
        sum(bytes) as bytes
    from batches indexed by batches_live where ended_at is null group by workspace)
"""
_KEPT = """
select json_group_object(workspace, json_array(n, bytes)) from (
    select workspace, count(*) as n, sum(size + bytes) as bytes
    from batches indexed by batches_kept where results is not null group by workspace)
"""
Live = tuple[int, int, int, int, int, int, int, int]
"""Running, paused and canceling batches; open and leased requests; the oldest, the first deadline; bytes of bodies."""
Kept = tuple[int, int]
"""Batches and bytes."""
_decode_live = msgspec.json.Decoder(dict[str, Live]).decode
_decode_kept = msgspec.json.Decoder(dict[str, Kept]).decode


def standing(connection: apsw.Connection) -> Sequence[Standing]:
    """Return it in one snapshot."""
    connection.execute("begin")
    return merged(_decode_live(connection.execute(_LIVE).get), _decode_kept(connection.execute(_KEPT).get))


def merged(live: Mapping[str, Live], kept: Mapping[str, Kept]) -> Sequence[Standing]:
    """Return a row for each workspace that is in either."""
    found = []
    for workspace in sorted({*live, *kept}):
        count, size = kept.get(workspace, (0, 0))
        if workspace not in live:
            found.append(Standing(workspace, kept=count, bytes=size))
            continue
        running, paused, canceling, still_open, leased, oldest, soonest, bodies = live[workspace]
        times = (moment(oldest), moment(soonest))
        found.append(Standing(workspace, running, paused, canceling, still_open, leased, *times, count, size + bodies))
    return found
