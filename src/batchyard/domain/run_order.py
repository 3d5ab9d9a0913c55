"""In which order the requests of a batch run: those of one model apart, those that begin alike together.

A server that keeps the beginnings of prompts (a prompt cache) pays for a beginning once if the requests that share
it run close together. The first of each group runs one group ahead of the rest, so that its beginning is kept by the
time the rest arrives: A1 B1 A2 A3 A4 C1 B2 B3 ...
"""

from array import array
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
    return {model: _in_a_row(groups.values()) for model, groups in by_model.items()}


def _in_a_row(groups: Iterable["array[int]"]) -> "array[int]":
    order, rest = array("q"), array("q")
    for group in groups:
        order.append(group[0])
        order.extend(rest)
        rest = group[1:]
    order.extend(rest)
    return order
