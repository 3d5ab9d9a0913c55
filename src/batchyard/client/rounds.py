"""The rounds of a job: the input itself, then each time what did not succeed and may the next time.

A round reads requests from a file: the input, or the lines that the round before left over, copied in their order.
So each round is in the order of the input, and the final results are one merge of them all.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO

from batchyard.client.durable import sync_folder, synced
from batchyard.client.errors import WrongUse
from batchyard.client.journal import Journal
from batchyard.client.limits import Limits
from batchyard.client.replies import ResultLine, result_line
from batchyard.client.retries import may_be_sent_again
from batchyard.client.source import check, request_lines
from batchyard.client.workplace import Workplace

Final = tuple[bytes, bytes, ResultLine]
"""A request line, its result line, and what that says."""


class Rounds:
    """The requests and the results of each round, read from files."""

    def __init__(self, source: BinaryIO, journal: Journal, workplace: Workplace, limits: Limits) -> None:
        self._input = source
        self._journal = journal
        self._workplace = workplace
        self._limits = limits
        self._files = ExitStack()
        self._requests: dict[int, BinaryIO] = {0: source}

    def close(self) -> None:
        self._files.close()

    def requests(self, number: int) -> BinaryIO:
        """Return the file that the parts of a round are runs of."""
        if number not in self._requests:
            path = self._workplace.requests(number)
            try:
                self._requests[number] = self._files.enter_context(path.open("rb"))
            except FileNotFoundError:
                raise WrongUse(f"{path} is missing: this job cannot go on. Remove its state to begin anew") from None
        return self._requests[number]

    def plan_next(self) -> bool:
        """Begin a round with what the last one left over; False if that is nothing."""
        last = self._journal.rounds - 1
        path = self._workplace.requests(last + 1)
        left = 0
        with path.open("wb") as file:
            for request, _, known in self._of_round(last):
                if may_be_sent_again(known):
                    file.write(request + b"\n")
                    left += 1
            synced(file)
        if not left:
            path.unlink()
            return False
        sync_folder(path)
        plan = check(self.requests(last + 1), path.name, self._limits)
        self._journal.begin_round(plan.parts)
        return True

    def final(self, number: int = 0) -> Iterator[Final]:
        """Yield each request of a round with the result of the last round that sent it, in the order of the input."""
        later = self.final(number + 1) if number + 1 < self._journal.rounds else None
        for request, line, known in self._of_round(number):
            if later is not None and may_be_sent_again(known):
                yield next(later)
            else:
                yield request, line, known

    def _of_round(self, number: int) -> Iterator[Final]:
        for place, _ in self._journal.of_round(number):
            yield from self.of_part(place)

    def of_part(self, place: int) -> Iterator[Final]:
        """Yield each request of a part with its result."""
        state = self._journal.parts[place]
        with self._workplace.results(place).open("rb") as lines:
            for (_, request), line in zip(request_lines(self.requests(state.round), state.part), lines, strict=True):
                yield request, line.rstrip(b"\r\n"), result_line(line)
