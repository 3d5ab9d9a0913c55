"""What people ask of a store beside the wire: what batches are called, what was used, how fast it went."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Protocol

from batchyard.domain.batch import Batch
from batchyard.domain.labels import Wanted
from batchyard.domain.usage import Minute, Used
from batchyard.ports.pages import Page


class Views(Protocol):
    """Reads for people. A workspace of None means all of them: that the caller may see them is for the caller to know.

    Usage is committed with the settlements: ``Work.turn`` adds the ``usage`` of every ``Finish`` that takes effect to
    the day (UTC) of its trace's end, and counts it in the minute of that end. It outlives the seal; ``Batches.delete``
    keeps it too, under no batch.
    """

    async def search(
        self, workspace: str, wanted: Wanted, *, after: str | None, before: str | None, limit: int
    ) -> Page:
        """Return up to ``limit`` of the batches that fit, in pages as those of ``Batches.page``."""

    async def label(self, workspace: str, batch_id: str, name: str | None, changes: Mapping[str, str | None]) -> Batch:
        """Name and label the batch as ``Labels.edited`` does, at once and whatever its status; raise ``NotFound``."""

    async def usage(self, workspace: str | None, first: date, last: date, *, by_batch: bool) -> Sequence[Used]:
        """Return what was used on these days, both included, by day, workspace and model, in that order.

        ``by_batch`` splits each row by batch, in the order of their ids, the deleted ones first.
        """

    async def batch_usage(self, workspace: str, batches: Sequence[str]) -> Sequence[Used]:
        """Return what these batches used by day and model; batches that are not the workspace's have none."""

    async def minutes(self, workspace: str | None, first: int) -> Sequence[Minute]:
        """Return the minutes since 1970 from ``first`` on in which requests became final, in their order.

        A store keeps them for a week at least.
        """
