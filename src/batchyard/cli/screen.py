"""What people see: words and progress on standard error, tables on standard output. Data is never mixed with it."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchyard.client.replies import Counts

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
