"""A job while it goes on: a bar where standard error is a terminal, a line for each tenth elsewhere."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from batchyard.cli.screen import counted, say

if TYPE_CHECKING:
    from rich.progress import Progress

    from batchyard.client.errors import ServerError
    from batchyard.client.events import Event
    from batchyard.client.prices import Prices
    from batchyard.client.replies import Counts, MessageBatch
    from batchyard.client.tally import Tally

LONGEST_SILENCE = 600.0
"""Seconds after which a line is due where nothing else was to be told."""

LONGEST_STILL = 60.0
"""Seconds without a request that ended, after which a way to learn why is due: longer than most answers take."""


def sum_up(tally: "Tally", prices: "Prices", seconds: float) -> str:
    """Return what a job came to, in a few lines."""
    fates = ", ".join(f"{count:,} {kind}" for kind, count in tally.counts.items() if count)
    lines = [
        f"{_many(tally.requests, 'request')}: {fates}",
        f"{tokens_in_words(tally)}{cost_in_words(tally, prices)}; {seconds:,.1f} s",
    ]
    lines += [f"  {count:,} × {reason}" for reason, count in tally.most_frequent(5)]
    return "\n".join(lines)


def tokens_in_words(tally: "Tally") -> str:
    return f"{tally.input_tokens:,} tokens in, {tally.output_tokens:,} tokens out"


def cost_in_words(tally: "Tally", prices: "Prices") -> str:
    """Return what the tokens cost as a batch, or nothing where no model has a price."""
    from batchyard.client.prices import in_dollars

    cost = prices.cost({model: tokens for model, tokens in tally.models.items() if model})
    if not cost.batch:
        return ""
    return f"; {in_dollars(cost.batch)}" + (f" and {len(cost.unknown)} models without a price" if cost.unknown else "")


class Live:
    """Tells of a job: rate, counts by outcome, tokens and cost of the results that are here, time left."""

    def __init__(self, prices: "Prices | None" = None) -> None:
        from batchyard.client.pace import Pace

        self._bar: Progress | None = None
        self._prices = prices
        self._pace = Pace()
        self._tenth = -1
        self._told_at = time.monotonic()
        self._complaint = ""
        self._is_full = False
        self._finished, self._moved_at, self._is_still = -1, self._told_at, False

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar = _bar()
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def pause(self) -> None:
        """Put the bar away for good: a question is asked where it was. From here on there are lines."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def hear(self, event: "Event") -> None:
        """Tell of an event of a job."""
        from batchyard.client.events import Checked, Collecting, Counted, Created, Doubtful, Fetched, Full, SentAgain

        match event:
            case Checked(requests, batches, known):
                say(
                    f"{_many(requests, 'request')} in {_many(batches, 'batch')}"
                    + (f", {known} known already" if known else "")
                )
            case Created(batch_id, number, batches, requests):
                self._is_full = False
                say(f"created {batch_id} ({number} of {batches}, {_many(requests, 'request')})")
            case Doubtful(batch_ids, _):
                say(f"a create was not answered; {' or '.join(batch_ids)} may be its batch: its results will tell")
            case Full(reason) if not self._is_full:
                self._is_full = True
                say(f"{reason}; the rest is created once there is room")
            case Counted(counts, fetched):
                self.count(counts, fetched)
            case Fetched(batch_id, requests):
                say(f"fetched {batch_id} ({_many(requests, 'result')})")
            case SentAgain(requests, batches):
                say(f"{_many(requests, 'request')} may succeed the next time: sent again in {_many(batches, 'batch')}")
                self._tenth = -1
            case Collecting(requests):
                say(f"collecting {_many(requests, 'result')}")

    def look(self, batches: "Sequence[MessageBatch]") -> None:
        """Tell where some batches together stand."""
        from batchyard.client.replies import Counts

        self.count(sum((batch.request_counts for batch in batches), Counts()))

    def count(self, counts: "Counts", fetched: "Tally | None" = None) -> None:
        self._complaint = ""
        now = time.monotonic()
        self._pace.look(now, counts.finished)
        self._ask_if_still(now, counts)
        if self._bar is not None:
            if not self._bar.tasks:
                self._bar.add_task("", total=counts.total)
            words = self._words(counts, fetched)
            self._bar.update(self._bar.tasks[0].id, total=counts.total, completed=counts.finished, description=words)
            return
        tenth = 10 * counts.finished // max(counts.total, 1)
        if tenth > self._tenth or now - self._told_at >= LONGEST_SILENCE:
            self._tenth, self._told_at = tenth, now
            say(f"{counts.finished:,} of {counts.total:,}: {self._words(counts, fetched)}")

    def _ask_if_still(self, now: float, counts: "Counts") -> None:
        """Say once, each time that nothing moves any more, where the reason is told."""
        if counts.finished != self._finished:
            self._finished, self._moved_at, self._is_still = counts.finished, now, False
        elif counts.processing and not self._is_still and now - self._moved_at >= LONGEST_STILL:
            self._is_still = True
            say(
                f"no request has ended for {now - self._moved_at:.0f} s; on a Batchyard, `batchyard show BATCH` tells"
                " what they wait for, and `batchyard lanes list` how the model servers are"
            )

    def repeat(self, problem: "ServerError", seconds: float) -> None:
        """Tell, once for each kind of trouble, that a call is tried again."""
        if str(problem) != self._complaint:
            self._complaint = str(problem)
            say(f"{problem}; trying again in {seconds:.1f} s")

    def _words(self, counts: "Counts", fetched: "Tally | None") -> str:
        from batchyard.client.pace import in_words

        words = [counted(counts)]
        left = self._pace.seconds_left(counts.processing)
        if self._pace.per_second > 0:
            words.append(f"{self._pace.per_second:,.1f}/s")
        if left is not None and counts.processing:
            words.append(f"{in_words(left)} left")
        if fetched is not None and fetched.requests:
            words.append(tokens_in_words(fetched) + (cost_in_words(fetched, self._prices) if self._prices else ""))
        return "; ".join(words)


def _many(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}{'es' if noun.endswith('h') else 's'}"


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True))
