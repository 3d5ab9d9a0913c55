"""What a turn's settlements add to the sums that people look at: by batch and model, and by minute."""

from collections.abc import Iterable
from datetime import date
from typing import Protocol

from batchyard.domain.outcome import Finish, Settlement
from batchyard.domain.result import Succeeded
from batchyard.domain.usage import NO_USAGE, Usage

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
    usage: dict[tuple[int, str, str, int], tuple[int, Usage]] = {}
    minutes: dict[tuple[int, str], tuple[int, int, Usage]] = {}
    for settlement, stored in settled:
        is_finish = isinstance(settlement, Finish)
        if not is_finish and stored.closing is None:
            continue
        good = isinstance(settlement, Finish) and isinstance(settlement.result, Succeeded)
        used = settlement.usage if isinstance(settlement, Finish) else NO_USAGE
        since = int(settlement.trace.ended_at.timestamp())
        at = (since // 60, stored.workspace)
        finished, failed, tokens = minutes.get(at, (0, 0, NO_USAGE))
        minutes[at] = (finished + 1, failed + (not good), tokens + used)
        if good:
            key = (since // _DAY, stored.workspace, settlement.lease.model, stored.num)
            requests, tokens = usage.get(key, (0, NO_USAGE))
            usage[key] = (requests + 1, tokens + used)
    return (
        [
            (
                *key,
                requests,
                used.input_tokens,
                used.output_tokens,
                used.cache_read_tokens,
                used.cache_write_tokens,
                used.cache_write_1h_tokens,
            )
            for key, (requests, used) in sorted(usage.items(), key=lambda one: one[0])
        ],
        [
            (*at, finished, failed, tokens.all_input_tokens, tokens.output_tokens)
            for at, (finished, failed, tokens) in sorted(minutes.items(), key=lambda one: one[0])
        ],
    )
