"""The output of a job: written beside its place, and given its name once it is whole and durable."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from batchyard.client.answers import answer_of
from batchyard.client.durable import sync_folder, synced
from batchyard.client.errors import WrongUse
from batchyard.client.intakes import Intake
from batchyard.client.joined import columns_of_rows, table
from batchyard.client.journal import Journal
from batchyard.client.rounds import Final
from batchyard.client.tables import TABLES, Row, parquet_library
from batchyard.client.tally import Tally
from batchyard.client.workplace import Workplace, beside

LINES = "lines"
OUTPUT_FORMATS = (LINES, *TABLES)


class _Result(msgspec.Struct, frozen=True):
    result: msgspec.Raw


_result = msgspec.json.Decoder(_Result)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the output is: ``lines`` are the result lines; anything else is a table of rows joined with answers."""

    kind: str = LINES
    extract: str = "text"


def shape_of(path: Path | None, kind: str | None, extract: str | None, *, has_rows: bool) -> Shape:
    """Return the shape that was named, else that of the output's name, else that of the input."""
    suffix = "" if path is None else path.suffix.lower().removeprefix(".")
    if kind is None:
        table = suffix if suffix in TABLES else "jsonl"
        kind = table if table != "jsonl" or has_rows or extract is not None else LINES
    if kind == LINES and extract is not None:
        raise WrongUse("--extract makes a table of answers: name another --output-format than lines")
    if kind == "parquet":
        parquet_library()
        if path is None:
            raise WrongUse("Parquet is written to a file: give -o OUTPUT")
    return Shape(kind, extract or "text")


class Output:
    """Where results go: to a file, or to standard output. What did not succeed goes to ``errors`` too, if named."""

    def __init__(
        self,
        path: Path | None,
        errors: Path | None,
        workplace: Workplace,
        *,
        force: bool,
        shape: Shape,
        intake: Intake,
    ) -> None:
        self._path = path
        self._errors = errors
        self._workplace = workplace
        self._force = force
        self._shape = shape
        self._intake = intake

    def check(self, journal: Journal) -> None:
        """Raise ``WrongUse`` where a file is in the way that this job did not write."""
        if journal.written is None:
            self._refuse_existing()

    def is_written(self, journal: Journal) -> bool:
        """Whether an earlier run wrote all of the output, and was stopped before it could say so."""
        if self._path is None or journal.written is None or not self._path.exists():
            return False
        return _sha256(self._path) == journal.written

    def write(self, finals: Iterable[Final], journal: Journal, out: BinaryIO) -> Tally:
        """Write everything, and give it its name; return what it comes to."""
        with self._workplace.errors().open("wb") as errors:
            if self._path is None:
                tally = self._take(finals, out, errors.write)
            else:
                with self._workplace.output().open("wb") as file:
                    tally = self._take(finals, file, errors.write)
                    synced(file)
            synced(errors)
        if self._path is not None:
            if journal.written is None:
                self._refuse_existing()
            journal.finish(_sha256(self._workplace.output()), tally)
        if self._errors is not None and not tally.all_succeeded:
            self._workplace.errors().replace(self._errors)
            sync_folder(self._errors)
        if self._path is not None:
            self._workplace.output().replace(self._path)
            sync_folder(self._path)
        return tally

    def _take(self, finals: Iterable[Final], file: BinaryIO, fail: Callable[[bytes], object]) -> Tally:
        tally = Tally()
        rows, columns = self._rows()
        joined = None if self._shape.kind == LINES else table(self._shape.kind, file, columns, self._intake.schema)
        for request, line, known in finals:
            tally.add(known)
            if joined is None:
                file.write(line + b"\n")
            else:
                row = {"custom_id": known.custom_id} if rows is None else next(rows)
                joined.take(row, answer_of(line, self._shape.extract))
            if known.result.type != "succeeded":
                fail(failed(request, line))
        if joined is not None:
            joined.close()
        return tally

    def _rows(self) -> tuple[Iterator[Row] | None, Sequence[str]]:
        """Return the rows that are joined with the answers, and their columns."""
        if self._intake.rows is None or self._shape.kind == LINES:
            return None, ["custom_id"]
        columns = self._intake.columns
        if columns is None:
            columns = [] if self._shape.kind == "jsonl" else columns_of_rows(self._intake.rows())
        return self._intake.rows(), columns

    def _refuse_existing(self) -> None:
        for path in (self._path, self._errors):
            if path is not None:
                _refuse_existing(path, force=self._force)


def check_output(source: str, output: Path | None, errors: Path | None, *, force: bool) -> None:
    """Raise ``WrongUse`` unless the output can be written: before the input is read, which may take long."""
    for path in (output, errors):
        if path is None:
            continue
        if path.is_dir() or not path.parent.is_dir():
            raise WrongUse(f"{path}: the output must be a file in a folder that exists")
        if path.exists() and source != "-" and Path(source).exists() and path.samefile(source):
            raise WrongUse(f"{path} is the input: choose another output")
        if output is None or not beside(output, ".batchyard").exists():
            _refuse_existing(path, force=force)


def failed(request: bytes, line: bytes) -> bytes:
    """Return the request line with its result as a third member."""
    return request.rstrip()[:-1] + b',"result":' + bytes(_result.decode(line).result) + b"}\n"


def _refuse_existing(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise WrongUse(f"{path} exists: choose another output, or overwrite it with --force")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
