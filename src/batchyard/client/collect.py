"""Results in the order of the input, from batches that give them in any order, and what they add up to."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from batchyard.client.download import Download
from batchyard.client.errors import BadReply
from batchyard.client.replies import KINDS, ResultLine

MOST_REASONS = 100


@dataclass(slots=True)
class Tally:
    """What a job came to: requests by fate, tokens of what succeeded, and why requests errored."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    input_tokens: int = 0
    output_tokens: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        return sum(self.counts.values())

    @property
    def all_succeeded(self) -> bool:
        return self.counts["succeeded"] == self.requests

    def add(self, known: ResultLine) -> None:
        result = known.result
        self.counts[result.type] += 1
        if result.message is not None:
            self.input_tokens += result.message.usage.total_input
            self.output_tokens += result.message.usage.output_tokens
        if result.type == "errored" and result.error is not None:
            error = result.error.innermost
            reason = f"{error.type}: {error.message[:200]}"
            if reason in self.reasons or len(self.reasons) < MOST_REASONS:
                self.reasons[reason] += 1


class InOrder:
    """Writes the lines of one batch in the order of its requests; one that comes early waits in a file."""

    def __init__(
        self, batch_id: str, expected: Iterator[tuple[str, int]], spool: BinaryIO, write: Callable[[bytes], object]
    ) -> None:
        self._batch_id = batch_id
        self._expected = expected
        self._spool = spool
        self._write = write
        self._waiting: dict[str, tuple[int, int]] = {}
        self._end = 0
        self._next = next(expected, None)

    def take(self, custom_id: str, line: bytes) -> None:
        """Write the line if it is its turn, and what waited for it; else keep it."""
        if self._next is None or custom_id != self._next[0]:
            self._waiting[custom_id] = (self._end, len(line))
            self._spool.seek(self._end)
            self._end += self._spool.write(line)
            return
        self._write(line + b"\n")
        self._next = next(self._expected, None)
        while self._next is not None and (place := self._waiting.pop(self._next[0], None)):
            self._spool.seek(place[0])
            self._write(self._spool.read(place[1]) + b"\n")
            self._next = next(self._expected, None)

    def finish(self) -> None:
        """Raise ``BadReply`` unless every request had its line, and every line its request."""
        if self._next is not None:
            custom_id, number = self._next
            raise BadReply(f"batch {self._batch_id} gives no result for {custom_id!r}, line {number} of the input")
        if self._waiting:
            raise BadReply(
                f"batch {self._batch_id} gives a result for {next(iter(self._waiting))!r}, which it was not sent"
            )


async def collect(
    download: Download,
    expected: Iterator[tuple[str, int]],
    spool: BinaryIO,
    write: Callable[[bytes], object],
    tally: Tally,
) -> None:
    """Write the results of one batch in the order of its requests."""
    ordered = InOrder(download.batch_id, expected, spool, write)
    async for line, known in download.lines():
        tally.add(known)
        ordered.take(known.custom_id, line)
    ordered.finish()
