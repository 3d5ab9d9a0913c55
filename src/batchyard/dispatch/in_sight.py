"""Which part of a long backlog turns look at: each looks at all of it, and a client may make it as long as it likes.

    backlog ──> workspaces, in equal parts ──> models, in turns ──> batches, further on with each reading

Every batch comes into sight within a few readings; what is not in sight just waits a little longer.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import TypeVar

from batchyard.ports import Ready

T = TypeVar("T")

MOST_IN_SIGHT = 1024
"""Batches and models of each that turns look at together: a turn with so many costs some milliseconds."""
LEAST_IN_SIGHT = 16
"""What each workspace has of that, however many there are."""
_AT_ONCE = 2000


async def in_sight(backlog: Sequence[Ready], reading: int) -> tuple[Sequence[Ready], Mapping[str, int]]:
    """Return what turns look at after this reading, and how many requests are beyond that, by model.

    ``reading`` is its number, so that the next one shows others. The loop goes on meanwhile.
    """
    if len(backlog) <= MOST_IN_SIGHT:
        return backlog, {}
    by_workspace: dict[str, dict[str, list[Ready]]] = {}
    beyond: Counter[str] = Counter()
    for start in range(0, len(backlog), _AT_ONCE):
        for ready in backlog[start : start + _AT_ONCE]:
            by_workspace.setdefault(ready.workspace, {}).setdefault(ready.model, []).append(ready)
            beyond[ready.model] += ready.pending
        await asyncio.sleep(0)
    seen: list[Ready] = []
    left = len(by_workspace)
    for models in sorted(by_workspace.values(), key=_count):
        seen += _some(models, max(LEAST_IN_SIGHT, (MOST_IN_SIGHT - len(seen)) // left), reading)
        left -= 1
    for ready in seen:
        beyond[ready.model] -= ready.pending
    return seen, _fewer(+beyond)


def _fewer(beyond: Counter[str]) -> Mapping[str, int]:
    """Return it with so many models at most: clients make up names, and who sums it up by lane looks at each. Where
    there are more, one of the rest stands for all of them."""
    if len(beyond) <= MOST_IN_SIGHT:
        return beyond
    *kept, (model, _) = beyond.most_common(MOST_IN_SIGHT)
    fewer = dict(kept)
    return {**fewer, model: beyond.total() - sum(fewer.values())}


def _count(models: Mapping[str, Sequence[Ready]]) -> int:
    return sum(map(len, models.values()))


def _some(models: Mapping[str, Sequence[Ready]], most: int, reading: int) -> list[Ready]:
    """Return so many of one workspace: one of each model, a second of each, and so on."""
    if _count(models) <= most:
        return list(chain.from_iterable(models.values()))
    lines = _further(list(models.values()), most, reading)[:most]
    each = max(1, most // len(lines))
    turned = [_further(line, each, reading) for line in lines]
    rounds = (line[place] for place in range(max(map(len, turned))) for line in turned if place < len(line))
    return list(islice(rounds, most))


def _further(line: Sequence[T], step: int, reading: int) -> Sequence[T]:
    """Return it begun so many steps further on, the end followed by the beginning; as it is where a step is all."""
    begin = reading * step % len(line) if step < len(line) else 0
    return [*line[begin:], *line[:begin]]
