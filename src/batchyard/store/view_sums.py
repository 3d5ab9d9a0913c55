"""What a turn's settlements add to the sums that people look at: by batch and model, and by minute."""

from collections.abc import Iterable
from datetime import date
from typing import Protocol

import msgspec

from batchyard.domain.outcome import Finish, Settlement
from batchyard.domain.result import Succeeded
from batchyard.domain.usage import NO_USAGE

EPOCH = date(1970, 1, 1)
MINUTES_KEPT = 8 * 24 * 60
_DAY = 86_400

UsageRow = tuple[int, str, str, int, int, int, int, int, int, int]
"""Day since 1970, workspace, model, number of the batch, requests, and the tokens as ``Usage`` has them."""
MinuteRow = tuple[int, str, int, int, int, int]
"""Minute since 1970, workspace, finished, failed, tokens in and out."""


class _Stored(Protocol):
    @property
    def num(self) -> int: ...
    @property
    def workspace(self) -> str: ...
    @property
    def closing(self) -> str | None: ...


def sums(settled: Iterable[tuple[Settlement, _Stored]]) -> tuple[list[UsageRow], list[MinuteRow]]:
    """Return a row for each batch and model and one for each workspace, sorted; none where nothing became final."""
    usage: dict[tuple[int, str, str, int], list[int]] = {}
    minutes: dict[tuple[int, str], list[int]] = {}
    for settlement, stored in settled:
        if isinstance(settlement, Finish):
            used, good = settlement.usage, isinstance(settlement.result, Succeeded)
        elif stored.closing is None:
            continue
        else:
            used, good = NO_USAGE, False
        since = int(settlement.trace.ended_at.timestamp())
        at = (since // 60, stored.workspace)
        minute = minutes.get(at)
        if minute is None:
            minute = minutes[at] = [0, 0, 0, 0]
        minute[0] += 1
        if not good:
            minute[1] += 1
        minute[2] += used.all_input_tokens
        minute[3] += used.output_tokens
        if good:
            key = (since // _DAY, stored.workspace, settlement.lease.model, stored.num)
            row = usage.get(key)
            if row is None:
                row = usage[key] = [0, 0, 0, 0, 0, 0]
            row[0] += 1
            for number, tokens in enumerate(msgspec.structs.astuple(used), 1):
                row[number] += tokens
    return (
        [(*key, row[0], row[1], row[2], row[3], row[4], row[5]) for key, row in sorted(usage.items())],
        [(*at, row[0], row[1], row[2], row[3]) for at, row in sorted(minutes.items())],
    )
