"""A batch's name and labels: what people call it. They mean nothing to the server, and are no part of the wire."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from batchyard.domain.errors import InvalidRequest

LONGEST_NAME = 200
MOST_LABELS = 32
LONGEST_VALUE = 200
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}\Z")
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True, slots=True)
class Labels:
    """``pairs`` are (key, value), sorted by key, each key once."""

    name: str = ""
    pairs: tuple[tuple[str, str], ...] = ()

    def edited(self, name: str | None, changes: Mapping[str, str | None]) -> "Labels":
        """Return them with a new name, if one is given, and these labels set; a value of None removes one."""
        kept = {**dict(self.pairs), **changes}
        pairs = tuple(sorted((key, value) for key, value in kept.items() if value is not None))
        edited = replace(self, name=self.name if name is None else name, pairs=pairs)
        edited.check()
        return edited

    def check(self) -> None:
        """Raise ``InvalidRequest`` where they are too many, too long, or not for people to read."""
        if len(self.name) > LONGEST_NAME or not self.name.isprintable():
            raise InvalidRequest(f"name: must be printable text of at most {LONGEST_NAME} characters.")
        if len(self.pairs) > MOST_LABELS:
            raise InvalidRequest(f"labels: a batch has at most {MOST_LABELS}.")
        for key, value in self.pairs:
            if not _KEY.match(key):
                raise InvalidRequest(
                    f"labels: the key {key[:80]!r} must be 1 to 63 of the characters A-Z a-z 0-9 . _ / - and begin "
                    "with a letter or digit."
                )
            if len(value) > LONGEST_VALUE or not value.isprintable():
                raise InvalidRequest(f"labels: {key} must be printable text of at most {LONGEST_VALUE} characters.")


NO_LABELS = Labels()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What batches are looked for: all that is given must fit. ``status`` is the wire's word.

    ``text`` is a part of the id, the name, or a label's value, in any case of the letters A to Z. ``pairs`` are labels;
    a value of None stands for any.
    """

    status: str | None = None
    text: str = ""
    pairs: Sequence[tuple[str, str | None]] = ()

    def check(self) -> None:
        """Raise ``InvalidRequest`` where more labels are looked for than a batch has."""
        if len(self.pairs) > MOST_LABELS:
            raise InvalidRequest(f"label: at most {MOST_LABELS} can be looked for at once.")

    @property
    def is_of_nobody(self) -> bool:
        """Whether it asks for characters that no name and no label has."""
        return "\0" in self.text or any("\0" in key or "\0" in (value or "") for key, value in self.pairs)

    def fits(self, batch_id: str, status: str, labels: Labels) -> bool:
        """Whether a batch is one of these."""
        had = dict(labels.pairs)
        words = (batch_id, labels.name, *had.values())
        return (
            self.status in (None, status)
            and any(lower(self.text) in lower(word) for word in words)
            and all(key in had and value in (None, had[key]) for key, value in self.pairs)
        )


def lower(text: str) -> str:
    """Return the text with A to Z in lower case, as SQL's ``lower`` does it: nothing else is folded."""
    return text.translate(_LOWER)


def parse_pair(text: str) -> tuple[str, str | None]:
    """Return the label that ``key=value`` or ``key`` looks for."""
    key, equals, value = text.partition("=")
    return key.strip(), value.strip() if equals else None
