"""The attempt ledger of a batch: one line a request, with what was tried and what it may have cost. Never its words."""

from collections.abc import Sequence

import msgspec

from batchyard.domain.outcome import Trace

OPEN = "processing"
"""Stands for the result of a request that has none yet."""
_encode = msgspec.json.Encoder().encode


def ledger_line(
    seq: int, custom_id: str, result: str, traces: Sequence[Trace], *, attempts: int, paid: int, deaths: int
) -> bytes:
    """Return the JSON line.

    ``paid`` counts the attempts before the last that may have been billed: failed ones, those whose end nobody knows,
    and those that were in flight when a server of ours died. So one of them makes a possible duplicate.
    """
    return (
        _encode(
            {
                "seq": seq,
                "custom_id": custom_id,
                "result": result,
                "attempts": attempts,
                "paid": paid,
                "possible_duplicate": paid > 0,
                "deaths": deaths,
                "traces": [(trace.outcome, trace.started_at, trace.ended_at, trace.reason) for trace in traces],
            }
        )
        + b"\n"
    )
