"""Tokens: what answers say they used, summed up by day, workspace, model and batch."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import msgspec


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens by the upstream's count. ``input_tokens`` are those that met no cache, as in a Message's usage.

    ``cache_write_1h_tokens`` are the part of ``cache_write_tokens`` that is kept for an hour, at a higher price.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.cache_write_1h_tokens + other.cache_write_1h_tokens,
        )

    @property
    def all_input_tokens(self) -> int:
        """Every input token, whether a cache knew it or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Used:
    """What the answered requests of one day (UTC), workspace, model and batch came to.

    ``model`` is the name that clients used. ``batch`` is empty where rows of several batches, or of batches deleted
    since, were added up.
    """

    day: date
    workspace: str
    model: str
    batch: str
    requests: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class Minute:
    """What became final in one minute since 1970, over all workspaces that were asked for.

    ``failed`` are those of ``finished`` that did not succeed; tokens are those of answers, cached ones too.
    """

    minute: int
    finished: int
    failed: int
    input_tokens: int
    output_tokens: int


def in_steps(minutes: Iterable[Minute], first: int, last: int, step: int) -> list[Minute]:
    """Return the sums of each ``step`` minutes from ``first`` to ``last``, those in which nothing was final too."""
    sums = dict.fromkeys(range(first, last + 1, step), (0, 0, 0, 0))
    for one in minutes:
        if first <= one.minute <= last:
            start = first + (one.minute - first) // step * step
            finished, failed, tokens_in, tokens_out = sums[start]
            sums[start] = (
                finished + one.finished,
                failed + one.failed,
                tokens_in + one.input_tokens,
                tokens_out + one.output_tokens,
            )
    return [Minute(start, *numbers) for start, numbers in sums.items()]


def by_model(rows: Iterable[Used]) -> dict[str, tuple[int, Usage]]:
    """Return (requests, usage) by model."""
    sums: dict[str, tuple[int, Usage]] = {}
    for row in rows:
        requests, usage = sums.get(row.model, (0, NO_USAGE))
        sums[row.model] = (requests + row.requests, usage + row.usage)
    return sums
