"""The syntax of regular expressions in JSON schemas, as far as the simulator knows it.

Known are characters, classes, groups, alternatives, repetition and the anchors at both ends; look-around, back
references and ``\\b`` are not.
"""

from collections.abc import Callable
from dataclasses import dataclass

LONGEST_PATTERN = 512
DEEPEST_GROUP = 40

_LAST = 0x10FFFF
_DIGITS = ((48, 57),)
_WORD = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE = ((9, 13), (32, 32), (160, 160), (0x2028, 0x2029), (0xFEFF, 0xFEFF))
_CONTROLS = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11, "0": 0}


class PatternNotKnown(ValueError):
    """The simulator can neither match nor make this."""


@dataclass(frozen=True, slots=True)
class Chars:
    ranges: tuple[tuple[int, int], ...]

    def has(self, code: int) -> bool:
        return any(first <= code <= last for first, last in self.ranges)


@dataclass(frozen=True, slots=True)
class Chain:
    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    part: "Node"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Edge:
    end: bool


Node = Chars | Chain | Choice | Repeat | Edge


class Parser:
    """Parses one pattern; raises ``PatternNotKnown`` for what it does not know."""

    def __init__(self, source: str) -> None:
        if len(source) > LONGEST_PATTERN:
            raise PatternNotKnown(f"longer than {LONGEST_PATTERN} characters")
        self._source = source
        self._at = 0
        self._depth = 0

    def parse(self) -> Node:
        node = self._choice()
        if self._at < len(self._source):
            raise PatternNotKnown("a group that is closed twice")
        return node

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _take(self) -> str:
        letter = self._peek()
        if not letter:
            raise PatternNotKnown("it ends too early")
        self._at += 1
        return letter

    def _choice(self) -> Node:
        options = [self._chain()]
        while self._peek() == "|":
            self._at += 1
            options.append(self._chain())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _chain(self) -> Node:
        parts: list[Node] = []
        while self._peek() and self._peek() not in "|)":
            parts.append(self._repeated(self._single()))
        return Chain(tuple(parts))

    def _repeated(self, node: Node) -> Node:
        while (limits := self._limits()) is not None:
            node = Repeat(node, *limits)
            if self._peek() == "?":  # lazy: the same strings
                self._at += 1
        return node

    def _limits(self) -> tuple[int, int | None] | None:
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(self._peek())
        if simple is not None:
            self._at += 1
            return simple
        close = self._source.find("}", self._at)
        if self._peek() != "{" or close < 0:
            return None
        least, comma, most = self._source[self._at + 1 : close].partition(",")
        if not _short_number(least) or (most and not _short_number(most)):
            return None
        self._at = close + 1
        limits = int(least), (int(most) if most else None) if comma else int(least)
        if limits[1] is not None and limits[1] < limits[0]:
            raise PatternNotKnown("a repetition with less at most than at least")
        return limits

    def _single(self) -> Node:
        letter = self._take()
        special: dict[str, Callable[[], Node]] = {
            "(": self._group,
            "[": self._class,
            ".": lambda: Chars(_complement(((10, 10), (13, 13)))),
            "^": lambda: Edge(end=False),
            "$": lambda: Edge(end=True),
            "\\": lambda: Chars(self._escape()),
        }
        if letter in "*+?":
            raise PatternNotKnown("a repetition of nothing")
        return special[letter]() if letter in special else Chars(((ord(letter), ord(letter)),))

    def _group(self) -> Node:
        if self._source.startswith("?:", self._at):
            self._at += 2
        elif self._peek() == "?":
            raise PatternNotKnown("look-around or a named group")
        self._depth += 1
        if self._depth > DEEPEST_GROUP:
            raise PatternNotKnown("groups nested too deeply")
        node = self._choice()
        if self._take() != ")":
            raise PatternNotKnown("a group that is not closed")
        self._depth -= 1
        return node

    def _escape(self) -> tuple[tuple[int, int], ...]:
        letter = self._take()
        classes = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
        if letter in classes:
            return classes[letter]
        if letter.lower() in classes:
            return _complement(classes[letter.lower()])
        code = _CONTROLS.get(letter, ord(letter))
        if letter in "xu":
            digits = self._source[self._at : self._at + (2 if letter == "x" else 4)]
            if len(digits) < 2 or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
                raise PatternNotKnown(f"\\{letter}")
            self._at += len(digits)
            code = int(digits, 16)
        elif letter.isalnum() and letter not in _CONTROLS:
            raise PatternNotKnown(f"\\{letter}")
        return ((code, code),)

    def _class(self) -> Node:
        negated = self._peek() == "^"
        self._at += negated
        ranges: list[tuple[int, int]] = []
        while (letter := self._take()) != "]":
            first = self._escape() if letter == "\\" else ((ord(letter), ord(letter)),)
            if self._peek() == "-" and self._source[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                letter = self._take()
                last = self._escape() if letter == "\\" else ((ord(letter), ord(letter)),)
                if last[-1][1] < first[0][0]:
                    raise PatternNotKnown("a range that runs backwards")
                ranges.append((first[0][0], last[-1][1]))
            else:
                ranges += first
        return Chars(_complement(tuple(ranges)) if negated else tuple(ranges))


def _complement(ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    gaps, following = [], 0
    for first, last in sorted(ranges):
        if first > following:
            gaps.append((following, first - 1))
        following = max(following, last + 1)
    return (*gaps, (following, _LAST)) if following <= _LAST else tuple(gaps)


def _short_number(digits: str) -> bool:
    return digits.isascii() and digits.isdigit() and len(digits) <= 6
