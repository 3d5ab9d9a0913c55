"""Rows of a table: CSV, TSV, JSON lines, Parquet. Read one by one, each with the number that people know it by."""

import csv
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import msgspec

from batchyard.client.errors import WrongUse
from batchyard.client.lines import members_of, read_lines

Row = dict[str, Any]
NumberedRow = tuple[int, Row | ValueError]

TABLES = ("csv", "tsv", "jsonl", "parquet")
DELIMITERS = {"csv": ",", "tsv": "\t"}
_ROWS_AT_A_TIME = 1000
LONGEST_FIELD = 2**28

_any = msgspec.json.Decoder()


def rows_of(source: BinaryIO, kind: str, longest: int) -> Iterator[NumberedRow]:
    """Yield each row with its line (in Parquet: its place), or what is wrong there."""
    match kind:
        case "csv" | "tsv":
            return _separated(source, DELIMITERS[kind])
        case "jsonl":
            return _json_lines(source, longest)
    return _parquet(source)


def columns_of(source: BinaryIO, kind: str) -> Sequence[str] | None:
    """Return the names of the columns, or None where each row has its own."""
    match kind:
        case "csv" | "tsv":
            reader = csv.reader(_text(source), delimiter=DELIMITERS[kind], strict=True)
            return _header(next(reader, []))
        case "parquet":
            return list(parquet_file(source).schema_arrow.names)
    return None


def parquet_library() -> Any:
    """Return ``pyarrow.parquet``, or raise ``WrongUse`` with what to install."""
    try:
        import pyarrow.parquet  # noqa: PLC0415 - large, and for Parquet alone
    except ImportError:
        raise WrongUse("Parquet needs pyarrow: pip install 'batchyard[parquet]'") from None
    return pyarrow.parquet


def parquet_file(source: BinaryIO) -> Any:
    """Return the open Parquet file; ``ValueError`` if it is none."""
    library = parquet_library()
    try:
        return library.ParquetFile(source)
    except (OSError, ValueError) as problem:  # pyarrow's own errors are these two
        raise ValueError(f"not Parquet, or damaged: {str(problem)[:200]}") from None


def _separated(source: BinaryIO, delimiter: str) -> Iterator[NumberedRow]:
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(_text(source), delimiter=delimiter, strict=True)
    columns = _header(next(reader, []))
    while True:
        number = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            yield number, ValueError(f"not a row: {problem}")
            continue
        if fields:
            yield number, _row(columns, fields)


def _row(columns: Sequence[str], fields: Sequence[str]) -> Row | ValueError:
    if len(fields) != len(columns):
        return ValueError(f"has {len(fields)} fields, the header has {len(columns)}: is a quote or separator missing?")
    for field in fields:
        if not field.isascii() and any("\udc80" <= letter <= "\udcff" for letter in field):
            return ValueError("not UTF-8: save the file as UTF-8")
    return dict(zip(columns, fields, strict=True))


def _header(columns: Sequence[str]) -> Sequence[str]:
    if not columns:
        raise ValueError("holds no header line with the names of its columns")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise ValueError(f"the header names column {twice[0]!r} twice")
    return columns


def _text(source: BinaryIO) -> Iterator[str]:
    """Yield the lines as text; a byte that is not UTF-8 becomes a letter that no text has, and is told with its row."""
    for number, line in enumerate(source):
        text = line.decode(errors="surrogateescape")
        yield text.removeprefix("\ufeff") if number == 0 else text


def _json_lines(source: BinaryIO, longest: int) -> Iterator[NumberedRow]:
    for number, line in enumerate(read_lines(source, longest), start=1):
        if not line.strip():
            continue
        try:
            members = members_of(line)
            yield number, {name: _any.decode(value) for name, value in members.items()}
        except (ValueError, RecursionError) as problem:
            yield number, ValueError(str(problem).replace('{"custom_id": …, "params": {…}}', "of columns and values"))


def _parquet(source: BinaryIO) -> Iterator[NumberedRow]:
    number = 0
    for group in parquet_file(source).iter_batches(batch_size=_ROWS_AT_A_TIME):
        for row in group.to_pylist():
            number += 1
            yield number, row
