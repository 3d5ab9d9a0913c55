"""What a turn's settlements add to the sums that people look at: by batch and model, and by minute."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from batchyard.domain.outcome import Finish, Settlement
from batchyard.domain.result import Succeeded
from batchyard.domain.usage import NO_USAGE, Usage

EPOCH = date(1970, 1, 1)
MINUTES_KEPT = 8 * 24 * 60
_MINUTES_A_DAY = 24 * 60
_MINUTE = timedelta(minutes=1)
_ALWAYS = datetime.max.replace(tzinfo=UTC)

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
    since, begins, ends = 0, _ALWAYS, _ALWAYS
    for settlement, stored in settled:
        if isinstance(settlement, Finish):
            used, named, good = settlement.usage, settlement.named, isinstance(settlement.result, Succeeded)
        elif stored.closing is None:
            continue
        else:
            used, named, good = NO_USAGE, "", False
        ended_at = settlement.trace.ended_at
        if not begins <= ended_at < ends:  # seldom: a turn lies within a minute
            since = int(ended_at.timestamp()) // 60
            begins = datetime.fromtimestamp(since * 60, UTC)
            ends = begins + _MINUTE
        at = (since, stored.workspace)
        minute = minutes.get(at) or minutes.setdefault(at, [0, 0, 0, 0])
        minute[0] += 1
        if not good:
            minute[1] += 1
        minute[2] += used.all_input_tokens
        minute[3] += used.output_tokens
        if good:
            key = (since // _MINUTES_A_DAY, stored.workspace, settlement.lease.model or named, stored.num)
            _add(used, usage.get(key) or usage.setdefault(key, [0, 0, 0, 0, 0, 0]))
    return (
        [(*key, row[0], row[1], row[2], row[3], row[4], row[5]) for key, row in sorted(usage.items())],
        [(*at, row[0], row[1], row[2], row[3]) for at, row in sorted(minutes.items())],
    )


def _add(used: Usage, row: list[int]) -> None:
    row[0] += 1
    row[1] += used.input_tokens
    row[2] += used.output_tokens
    row[3] += used.cache_read_tokens
    row[4] += used.cache_write_tokens
    row[5] += used.cache_write_1h_tokens
