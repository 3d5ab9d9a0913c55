"""One declared value: what it is called where, how it is read, and what is said when it is wrong. Knows no setting.

Whatever is wrong is one ``ConfigError`` of one line.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchyard.kinds import Kind


class ConfigError(Exception):
    """A wrong option, variable, key or value. The message is one line that names it, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One setting as users meet it. ``default`` is text: as it would be written, or what happens without it."""

    name: str
    kind: Kind
    default: str
    sentence: str
    is_option: bool

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "BATCHYARD_" + self.name.upper()


def setting(kind: Kind, default: str, sentence: str, *, is_option: bool = False) -> Any:
    """Declare a field with a default."""
    return field(default=kind.parse(default), metadata={"declared": (kind, default, sentence, is_option)})


def absent(kind: Kind, without: str, sentence: str, *, is_option: bool = False) -> Any:
    """Declare a field whose default is to be absent; ``without`` says what happens then."""
    return field(default=None, metadata={"declared": (kind, without, sentence, is_option)})


def parse(kind: Kind, label: str, text: str) -> Any:
    """Return the value; ``label`` is what stood before it, such as ``--port `` or ``BATCHYARD_PORT=``."""
    if not text and kind.toml is not list:
        raise ConfigError(f"{label.rstrip(' =')} is empty: it must be {kind.wants}, or left out")
    try:
        return kind.parse(text)
    except (ValueError, KeyError):
        raise ConfigError(f"{label}{kind.show(text)[:120]}: must be {kind.wants}") from None


def toml_text(kind: Kind, label: str, value: object) -> str:
    """Return a value of a TOML file as it would be written elsewhere."""
    if kind.toml is list and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    allowed = {float: (int, float), list: (str,)}.get(kind.toml, (kind.toml,))
    if isinstance(value, allowed) and isinstance(value, bool) == (kind.toml is bool):
        return str(value).lower() if kind.toml is bool else str(value)
    raise ConfigError(f"{label.rstrip(' =')} has the wrong type ({type(value).__name__}): must be {kind.wants}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown word."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else "; docs/configuration.md lists what there is"


def secret(text: str, holder: str) -> str:
    """Return a key that can stand in a header, or say who holds a wrong one, never what it is."""
    if not re.fullmatch(r"[\x21-\x7e]{1,4096}", text.strip()):
        raise ConfigError(f"{holder} must hold a key: printable ASCII without spaces")
    return text.strip()


def secret_file(file: Path, label: str) -> str:
    """Return the key that a file holds."""
    try:
        return secret(file.read_text("utf-8"), f"{label}: the file")
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or "not a text file"
        raise ConfigError(f"{label}: cannot be read: {reason}") from None
