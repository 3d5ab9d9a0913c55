"""What people see: words and progress on standard error, tables on standard output. Data is never mixed with it."""

import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress

    from batchyard.client.errors import ServerError
    from batchyard.client.events import Event
    from batchyard.client.replies import Counts, MessageBatch
    from batchyard.client.tally import Tally

WIDE = 200
"""Columns of a table that no terminal limits: nothing in it is cut."""


def say(text: str) -> None:
    """Write words to standard error."""
    print(clean(text), file=sys.stderr, flush=True)  # noqa: T201


def clean(text: str) -> str:
    """Return text that a terminal shows as text, whatever a server or a file put into it."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text)


def put(raw: bytes) -> None:
    """Write one line of data to standard output."""
    sys.stdout.buffer.write(raw + b"\n")
    sys.stdout.buffer.flush()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows to standard output; ids are never cut."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold", show_header=any(head))
    for name in head:
        grid.add_column(name, no_wrap=name in ("batch", "id"), overflow="fold")
    for row in rows:
        grid.add_row(*(Text(clean(cell)) for cell in row))
    Console(highlight=False, width=None if sys.stdout.isatty() else WIDE).print(grid)


def counted(counts: "Counts") -> str:
    """Return the counts that are not zero, in words."""
    kinds = ("succeeded", "errored", "canceled", "expired", "processing")
    return ", ".join(f"{getattr(counts, kind)} {kind}" for kind in kinds if getattr(counts, kind)) or "nothing yet"


def sum_up(tally: "Tally", seconds: float) -> str:
    """Return what a job came to, in a few lines."""
    fates = ", ".join(f"{count:,} {kind}" for kind, count in tally.counts.items() if count)
    lines = [
        f"{tally.requests:,} requests: {fates}",
        f"{tally.input_tokens:,} tokens in, {tally.output_tokens:,} tokens out; {seconds:,.1f} s",
    ]
    lines += [f"  {count:,} × {reason}" for reason, count in tally.most_frequent(5)]
    return "\n".join(lines)


class Live:
    """Tells of a job while it goes on: a bar where standard error is a terminal, a line for each tenth elsewhere."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._tenth = -1
        self._complaint = ""

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

    def hear(self, event: "Event") -> None:
        """Tell of an event of a job."""
        from batchyard.client.events import Checked, Collecting, Counted, Created, Doubtful, Fetched, SentAgain

        match event:
            case Checked(requests, batches, known):
                noun = "batch" if batches == 1 else "batches"
                say(f"{requests:,} requests in {batches} {noun}" + (f", {known} known already" if known else ""))
            case Created(batch_id, number, batches, requests):
                say(f"created {batch_id} ({number} of {batches}, {requests:,} requests)")
            case Doubtful(batch_ids, _):
                say(f"a create was not answered; {' or '.join(batch_ids)} may be its batch: its results will tell")
            case Counted(counts, _):
                self.count(counts)
            case Fetched(batch_id, requests):
                say(f"fetched {batch_id} ({requests:,} results)")
            case SentAgain(requests, batches):
                noun = "batch" if batches == 1 else "batches"
                say(f"{requests:,} requests may succeed the next time: sending them again in {batches} {noun}")
                self._tenth = -1
            case Collecting(requests):
                say(f"collecting {requests:,} results")

    def look(self, batches: "Sequence[MessageBatch]") -> None:
        """Tell where one batch stands."""
        for batch in batches:
            self.count(batch.request_counts)

    def count(self, counts: "Counts") -> None:
        self._complaint = ""
        if self._bar is not None:
            self._show(self._bar, counts)
            return
        tenth = 10 * counts.finished // max(counts.total, 1)
        if tenth > self._tenth:
            self._tenth = tenth
            say(f"{counts.finished:,} of {counts.total:,}: {counted(counts)}")

    def repeat(self, problem: "ServerError", seconds: float) -> None:
        """Tell, once for each kind of trouble, that a call is tried again."""
        if str(problem) != self._complaint:
            self._complaint = str(problem)
            say(f"{problem}; trying again in {seconds:.1f} s")

    def _show(self, bar: "Progress", counts: "Counts") -> None:
        if not bar.tasks:
            bar.add_task("", total=counts.total)
        bar.update(bar.tasks[0].id, completed=counts.finished, description=counted(counts))


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True))


Telling = Callable[["Event"], None]
