"""In which order the requests of a batch run: those of one model apart, those that begin alike together.

A server that keeps the beginnings of prompts (a prompt cache) pays for a beginning once if the requests that share
it run close together, but not at once: the rest of a group is to begin when its first has been answered. So the first
runs ahead by a number of others (``Drafts.lead``): A1 B1 C1 A2 A3 A4 D1 B2 B3 ... Twice the slots is the best of what
was tried: answers differ in length, and with much more a cache may have forgotten the beginning.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import count

from batchyard.domain.request import Drafts

ALONE = 0
"""The prefix of a request that shares its beginning with nobody."""


def only_model(drafts: Drafts) -> int | None:
    """Return the model index of a batch whose requests run as they stand: one model, and one beginning or none."""
    if not len(drafts):
        return 0
    first, prefix = drafts.models[0], drafts.prefixes[0]
    is_plain = drafts.models.count(first) == drafts.prefixes.count(prefix) == len(drafts)
    return first if is_plain else None


def run_orders(drafts: Drafts) -> Mapping[int, "array[int]"]:
    """Return, for each model index, the seqs of its requests in the order in which they are to run."""
    by_model: dict[int, dict[int, array[int]]] = {}
    lone = count(-1, -1)  # whoever is alone is a group of its own
    for seq, (model, prefix) in enumerate(zip(drafts.models, drafts.prefixes, strict=True)):
        groups = by_model.setdefault(model, {})
        groups.setdefault(prefix if prefix != ALONE else next(lone), array("q")).append(seq)
    return {model: _in_a_row(groups.values(), drafts.lead) for model, groups in by_model.items()}


def _in_a_row(groups: Iterable["array[int]"], lead: int) -> "array[int]":
    """Return the groups in turn, each first ahead of its rest by ``lead`` others, or by as many as there are."""
    order, rests, behind = array("q"), deque["array[int]"](), 0
    for group in groups:
        order.append(group[0])
        rests.append(group[1:])
        behind += len(group)
        while behind - len(rests[0]) - 1 >= lead:
            oldest = rests.popleft()
            behind -= len(oldest) + 1
            order.extend(oldest)
    for rest in rests:
        order.extend(rest)
    return order
