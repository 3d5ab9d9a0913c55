"""Prompts with places for the columns of a row: ``Classify: {review}``. ``{{`` and ``}}`` are braces."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}|[{}]")


class Template:
    """A text and the columns it names. ``name`` is what people know it by, in messages."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self._parts: list[tuple[str, str | None]] = []
        self._lines: dict[str, int] = {}
        position, literal = 0, ""
        for token in _TOKEN.finditer(text):
            literal += text[position : token.start()]
            position = token.end()
            line = text.count("\n", 0, token.start()) + 1
            if token[0] in ("{{", "}}"):
                literal += token[0][0]
                continue
            if token[1] is None or not token[1].strip():
                raise ValueError(
                    f"{name}, line {line}: a single {token[0][0]!r} that names no column; "
                    "write {column}, or {{ and }} for braces"
                )
            column = token[1].strip()
            self._parts.append((literal, column))
            self._lines.setdefault(column, line)
            literal = ""
        self._parts.append((literal + text[position:], None))

    @property
    def columns(self) -> Collection[str]:
        return self._lines

    def check(self, columns: Collection[str]) -> None:
        """Raise ``ValueError`` unless all columns that it names are there."""
        for column, line in self._lines.items():
            if column not in columns:
                raise ValueError(f"{self.name}, line {line}: {_no_column(column, columns)}")

    def fill(self, row: Mapping[str, Any]) -> str:
        """Return the text for a row; ``ValueError`` if the row has no such column."""
        text = []
        for literal, column in self._parts:
            text.append(literal)
            if column is not None:
                if column not in row:
                    raise ValueError(_no_column(column, row))
                text.append(as_text(row[column]))
        return "".join(text)


def as_text(value: Any) -> str:
    """Return a cell as people would write it: text as it is, nothing for none, everything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode().strip('"')


def _no_column(column: str, columns: Collection[str]) -> str:
    shown = ", ".join(sorted(map(str, columns))[:20]) or "none"
    return f"there is no column {column!r}; the columns are: {shown}"
