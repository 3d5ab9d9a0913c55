"""The results of one batch in the order of its requests, each request once, whatever order the server has."""

from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

from batchyard.client.durable import sync_folder, synced
from batchyard.client.errors import BadReply
from batchyard.client.replies import result_line
from batchyard.client.tally import Tally

Expected = Callable[[], Iterator[tuple[str, int]]]
"""Gives the custom_ids of a batch in order, each with its line in the input, as often as it is asked."""


class OtherResults(BadReply):
    """The results are not those of the requests that were asked for."""


def arrange(raw: Path, batch_id: str, expected: Expected, arranged: Path) -> Tally:
    """Give ``raw`` the name ``arranged`` once its lines are in order; return what they come to.

    Raises ``OtherResults`` unless every request has its line, and every line its request. Lines that come in another
    order cost memory that grows with the requests of one batch, at some 300 bytes each.
    """
    tally = _in_order(raw, expected())
    if tally is None:
        tally = _reorder(raw, batch_id, dict(expected()), arranged)
        raw.unlink()
    else:
        raw.replace(arranged)
    sync_folder(arranged)
    return tally


def _in_order(raw: Path, expected: Iterator[tuple[str, int]]) -> Tally | None:
    """Return what the lines come to, or None if they are in another order, or others."""
    tally = Tally()
    with raw.open("rb") as lines:
        for line, wanted in zip_longest(lines, expected):
            if line is None or wanted is None:
                return None
            known = result_line(line)
            if known.custom_id != wanted[0]:
                return None
            tally.add(known)
    return tally


def _reorder(raw: Path, batch_id: str, wanted: dict[str, int], arranged: Path) -> Tally:
    tally = Tally()
    places: dict[str, int] = {}
    with raw.open("rb") as lines:
        position = 0
        for line in lines:
            known = result_line(line)
            if known.custom_id not in wanted:
                raise OtherResults(f"batch {batch_id} gives a result for {known.custom_id!r}, which it was not sent")
            places[known.custom_id] = position
            position += len(line)
            tally.add(known)
    for custom_id, number in wanted.items():
        if custom_id not in places:
            raise OtherResults(f"batch {batch_id} gives no result for {custom_id!r}, line {number} of the input")
    partial = arranged.with_name(f"{arranged.name}.partial")
    with raw.open("rb") as source, partial.open("wb") as target:
        for custom_id in wanted:
            source.seek(places[custom_id])
            target.write(source.readline())
        synced(target)
    partial.replace(arranged)
    return tally
