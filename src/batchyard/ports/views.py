"""What people ask of a store beside the wire: what batches are called, what was used, how fast it went."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Protocol

from batchyard.domain.batch import Batch
from batchyard.domain.labels import Wanted
from batchyard.domain.standing import Standing
from batchyard.domain.usage import Minute, Used
from batchyard.ports.finals import Arrived, Final
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

    async def arrivals(self, workspace: str, batch_id: str, *, after: int, limit: int) -> Sequence[Arrived]:
        """Return results of a batch that runs, in the order in which they came, from that many on.

        Fewer than ``limit`` where they are large. None where no more came, or the batch has ended: then its files have
        them all. Raises ``NotFound``.
        """

    async def rows(self, workspace: str, batch_id: str, *, first: int, limit: int) -> Sequence[Final]:
        """Return the requests of a batch that runs, from a place on; one without a result has the arrival 0.

        Fewer than ``limit`` where results are large, none of a batch that has ended. Raises ``NotFound``.
        """

    async def errors(self, workspace: str, batch_id: str, *, limit: int) -> Sequence[Arrived]:
        """Return results of a batch that runs, of requests that errored, the first of them in the order of requests.

        Fewer than ``limit`` where they are large, none of a batch that has ended. Raises ``NotFound``.
        """

    async def place(self, workspace: str, batch_id: str, custom_id: str) -> int | None:
        """Return the place of a request of a batch that runs; None if there is none, or the batch has ended."""

    async def usage(self, workspace: str | None, first: date, last: date, *, by_batch: bool) -> Sequence[Used]:
        """Return what was used on these days, both included, by day, workspace and model, in that order.

        ``by_batch`` splits each row by batch, in the order of their ids, the deleted ones first.
        """

    async def batch_usage(self, workspace: str, batches: Sequence[str]) -> Sequence[Used]:
        """Return what these batches used by day and model; batches that are not the workspace's have none."""

    async def traceparents(self, batches: Collection[str]) -> Mapping[str, str]:
        """Return the ``traceparent`` of each of these that was created with one, whoever's it is."""

    async def standing(self) -> Sequence[Standing]:
        """Return what each workspace has that has anything, in the order of their names."""

    async def minutes(self, workspace: str | None, first: int) -> Sequence[Minute]:
        """Return the minutes since 1970 from ``first`` on in which requests became final, in their order.

        A store keeps them for a week at least.
        """
