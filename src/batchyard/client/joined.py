"""Rows with their answers, as CSV, TSV, JSON lines or Parquet."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

import msgspec

from batchyard.client.answers import COLUMNS, Answer
from batchyard.client.tables import DELIMITERS, Row, parquet_library
from batchyard.client.template import as_text

_AT_A_TIME = 1000


class Table(Protocol):
    """A file that takes rows one by one."""

    def take(self, row: Mapping[str, Any], answer: Answer) -> None:
        """Write a row and what is joined to it."""

    def close(self) -> None:
        """Write what is left."""


def table(kind: str, file: BinaryIO, columns: Sequence[str], schema: Any = None) -> Table:
    """Return the table that writes to the file. ``schema`` are the columns' types where the input was Parquet."""
    if kind == "jsonl":
        return _JsonLines(file)
    return _Parquet(file, columns, schema) if kind == "parquet" else _Separated(file, columns, DELIMITERS[kind])


def columns_of_rows(rows: Iterator[Row]) -> list[str]:
    """Return the names of all columns, in the order in which they come up."""
    names: dict[str, None] = {}
    for row in rows:
        if not row.keys() <= names.keys():
            names |= dict.fromkeys(row)
    return list(names)


class _JsonLines:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def take(self, row: Mapping[str, Any], answer: Answer) -> None:
        self._file.write(msgspec.json.encode({**row, **msgspec.structs.asdict(answer)}) + b"\n")

    def close(self) -> None:
        pass


class _Separated:
    def __init__(self, file: BinaryIO, columns: Sequence[str], delimiter: str) -> None:
        self._file = file
        self._columns = columns
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text, delimiter=delimiter, lineterminator="\n")
        self._write([*columns, *COLUMNS])

    def take(self, row: Mapping[str, Any], answer: Answer) -> None:
        cells = [row.get(name) for name in self._columns] + [getattr(answer, name) for name in COLUMNS]
        self._write([as_text(cell) for cell in cells])

    def close(self) -> None:
        pass

    def _write(self, cells: Sequence[str]) -> None:
        self._writer.writerow(cells)
        self._file.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()


class _Parquet:
    """The input's columns keep their types where it was Parquet, else they are text. An answer is text, or JSON."""

    def __init__(self, file: BinaryIO, columns: Sequence[str], schema: Any) -> None:
        library = parquet_library()
        import pyarrow  # noqa: PLC0415 - its first import is in the line above

        text = [pyarrow.field(name, pyarrow.string()) for name in columns]
        types = {"input_tokens": pyarrow.int64(), "output_tokens": pyarrow.int64()}
        joined = [pyarrow.field(name, types.get(name, pyarrow.string())) for name in COLUMNS]
        self._keeps_types = schema is not None
        self._columns = columns
        self._schema = pyarrow.schema([*(schema if self._keeps_types else text), *joined])
        self._batch = pyarrow.RecordBatch
        self._writer = library.ParquetWriter(file, self._schema)
        self._rows: list[Row] = []

    def take(self, row: Mapping[str, Any], answer: Answer) -> None:
        own = row if self._keeps_types else {name: _text_or_none(row.get(name)) for name in self._columns}
        joined = msgspec.structs.asdict(answer) | {"answer": _text_or_none(answer.answer)}
        self._rows.append({**own, **joined})
        if len(self._rows) >= _AT_A_TIME:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(self._batch.from_pylist(self._rows, schema=self._schema))
            self._rows = []


def _text_or_none(value: Any) -> str | None:
    return None if value is None else as_text(value)
