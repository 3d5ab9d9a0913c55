"""Every form an input may have, as request lines: recognised, read, checked, and cut into parts.

request lines ──────────────────────────────> read where they are
the body of a create, params alone,
the other batch format, a table's rows  ────> made into request lines in a file of our own, row by row
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from batchyard.client.bodies import requests_of
from batchyard.client.compressed import DAMAGED, kind_of, reader, suffix_of
from batchyard.client.errors import BadInput, WrongUse
from batchyard.client.forms import BODY, FAILURES, HEAD, OTHER, PARAMS, REQUESTS, recognised, spread_over_lines
from batchyard.client.limits import Limits
from batchyard.client.lines import read_lines
from batchyard.client.making import Making, of_failure
from batchyard.client.source import Numbered, Plan, check, checked
from batchyard.client.tables import TABLES, NumberedRow, Row, columns_of, parquet_file, rows_of


@dataclass(frozen=True, slots=True)
class Intake:
    """An input that was checked: its request lines, their parts, and the rows they were made of, if any."""

    lines: BinaryIO
    plan: Plan
    columns: list[str] | None
    rows: Callable[[], Iterator[Row]] | None
    """Gives the rows again, one for each request, in order."""
    schema: Any = None
    """The columns with their types, where the input is Parquet."""


@contextmanager
def taken(
    path: str, *, making: Making, limits: Limits, form: str | None = None, folder: Path | None = None
) -> Iterator[Intake]:
    """Read an input of any form whole; ``BadInput`` names what is wrong in it. Copies are made in ``folder``."""
    with ExitStack() as files:
        source = files.enter_context(seekable(path, folder))
        text = _Text(source, path, making, limits, form)
        if text.form == REQUESTS and not text.compression:
            yield Intake(source, check(source, named(path), limits), None, None)
            return
        copy = files.enter_context(tempfile.TemporaryFile(dir=folder))
        plan = text.copied(copy.write)
        copy.flush()
        rows = text.rows if text.form in TABLES else None
        yield Intake(copy, plan, text.columns, rows, text.schema)


@contextmanager
def seekable(path: str, folder: Path | None = None) -> Iterator[BinaryIO]:
    """Open the input so that it can be read twice: ``-`` and pipes are copied to a temporary file first."""
    with ExitStack() as files:
        try:
            source = sys.stdin.buffer if path == "-" else files.enter_context(Path(path).open("rb"))
            if path == "-" or not source.seekable():
                copy = files.enter_context(tempfile.TemporaryFile(dir=folder))
                shutil.copyfileobj(source, copy)
                copy.seek(0)
                source = copy
        except OSError as problem:
            raise WrongUse(f"{path}: cannot be read: {problem.strerror}") from None
        yield source


def named(path: str) -> str:
    """Return what an input is called in messages."""
    return "standard input" if path == "-" else path


class _Text:
    """An input of one form, read from its beginning as often as it is asked for."""

    def __init__(self, source: BinaryIO, path: str, making: Making, limits: Limits, form: str | None) -> None:
        self._source = source
        self._name = named(path)
        self._making = making
        self._limits = limits
        bare, self.compression = suffix_of(path)
        if path == "-":
            source.seek(0)
            self.compression = kind_of(source.read(4))
        suffix = Path(bare).suffix.lower().removeprefix(".")
        self.form = form or recognised(suffix, self._head, has_template=making.template is not None)
        self.columns: list[str] | None = None
        self.schema: Any = None
        if self.form in TABLES:
            self._check_table()
        elif self.form != BODY and (spread := spread_over_lines(self._head() or b"")):
            raise BadInput([f"{self._name}:1: {spread}"])

    def copied(self, keep: Callable[[bytes], object]) -> Plan:
        """Make the request lines, each given to ``keep``; return their parts."""
        return checked(self._numbered, self._name, self._limits, keep)

    def rows(self) -> Iterator[Row]:
        """Yield the rows of a table that was found right."""
        for _, row in self._table():
            if isinstance(row, dict):
                yield row

    def _head(self) -> bytes | None:
        try:
            return reader(self._source, self.compression).read(HEAD)
        except (ValueError, *DAMAGED):
            return None

    def _check_table(self) -> None:
        making = self._making
        lacking = [
            option
            for option, value in (
                ("--template", making.template),
                ("--model", making.model or making.params.get("model")),
                ("--max-tokens", making.max_tokens or making.params.get("max_tokens")),
            )
            if value is None
        ]
        if lacking:
            raise WrongUse(f"{self._name}: to make requests of rows, give {' and '.join(lacking)} too")
        try:
            columns = columns_of(self._reader(), self.form)
            if columns is not None:
                making.check_columns(columns)
                self.columns = list(columns)
            if self.form == "parquet":
                self.schema = parquet_file(self._source).schema_arrow
        except (ValueError, *DAMAGED) as problem:
            raise BadInput([f"{self._name}: {problem}"]) from None

    def _reader(self) -> BinaryIO:
        if self.form == "parquet" and self.compression:
            raise WrongUse(f"{self._name}: Parquet is compressed inside: give it as it is")
        return reader(self._source, self.compression)

    def _numbered(self) -> Iterator[Numbered]:
        """Yield every request line that can be made, or what is in its way; what cannot be read on ends it."""
        number = 0
        try:
            for number, line in self._made():
                yield number, line
        except (ValueError, *DAMAGED) as problem:
            yield number + 1, ValueError(f"cannot be read on: {problem}")

    def _made(self) -> Iterator[Numbered]:
        if self.form in TABLES:
            place = count(1)
            for number, row in self._table():
                yield number, row if isinstance(row, ValueError) else self._tried(self._making.of_row, row, next(place))
            return
        if self.form == BODY:
            yield from requests_of(self._reader(), self._limits.body_bytes)
            return
        for number, line in enumerate(read_lines(self._reader(), self._limits.body_bytes), start=1):
            if line.strip():
                yield number, self._request(line, number)

    def _request(self, line: bytes, number: int) -> bytes | ValueError:
        if self.form == PARAMS:
            return self._tried(self._making.of_params, line, number)
        if self.form in (OTHER, FAILURES):
            return self._tried(self._making.of_other_format if self.form == OTHER else of_failure, line)
        return line if line.endswith(b"\n") else line + b"\n"

    @staticmethod
    def _tried(make: Callable[..., bytes], *arguments: Any) -> bytes | ValueError:
        try:
            return make(*arguments)
        except ValueError as problem:
            return problem
        except RecursionError:
            return ValueError("nested too deeply")

    def _table(self) -> Iterator[NumberedRow]:
        return rows_of(self._reader(), self.form, self._limits.body_bytes)
