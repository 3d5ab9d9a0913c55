"""Strings that match the regular expressions of JSON schemas, and whether a string does.

A pattern comes from a client and runs in the server's event loop, so it never meets an engine that backtracks:
matching keeps the set of places where it may be, and every step is counted.
"""

from functools import lru_cache

from batchyard.upstream.simulated_dice import Dice
from batchyard.upstream.simulated_pattern_syntax import (
    Chain,
    Chars,
    Choice,
    Edge,
    Node,
    Parser,
    PatternNotKnown,
    Repeat,
)

MOST_STEPS = 5_000
LONGEST_TEXT = 2_000

_PLEASANT = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_ ."
"""What a class is made of where it allows it."""


_PADDING = "simulated " * (LONGEST_TEXT // 10)


class Pattern:
    """A parsed pattern; raises ``PatternNotKnown`` for what it does not know."""

    def __init__(self, source: str) -> None:
        self._node = _parsed(source)

    def matches(self, text: str) -> bool:
        """Whether the pattern is found anywhere in the text; raises ``PatternNotKnown`` where that is too much work."""
        return bool(_Walk(text).ends(self._node, set(range(len(text) + 1))))

    def make(self, dice: Dice, least: int, most: int | None) -> str | None:
        """Return a string of so many characters that matches, None where none was found."""
        longest = min(LONGEST_TEXT, LONGEST_TEXT if most is None else most)
        tries = [(extra, False) for extra in (0, 1, 3, 6, 12, 25)]
        tries += [(least - fixed, True) for fixed in range(min(least, 16) + 1)]
        for extra, exact in tries:
            text = _Making(dice, extra, longest, exact=exact).text(self._node)
            if text is None:
                continue
            text += _PADDING[len(text) : least]  # right where the pattern is not tied to the end
            if least <= len(text) <= longest and self.matches(text):
                return text
        return None


@lru_cache(maxsize=256)
def _parsed(source: str) -> Node:
    return Parser(source).parse()


class _Walk:
    """Where a match that begins at one of some places may end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._left = MOST_STEPS

    def ends(self, node: Node, starts: set[int]) -> set[int]:
        self._left -= 1 + len(starts) // 16
        if self._left < 0:
            raise PatternNotKnown("too much work")
        match node:
            case Chars():
                text = self._text
                return {place + 1 for place in starts if place < len(text) and node.has(ord(text[place]))}
            case Chain(parts):
                for part in parts:
                    if not starts:
                        break
                    starts = self.ends(part, starts)
                return starts
            case Choice(options):
                return set[int]().union(*[self.ends(option, starts) for option in options])
            case Repeat():
                return self._repeat(node, starts)
            case Edge(end):
                return starts & {len(self._text) if end else 0}

    def _repeat(self, node: Repeat, starts: set[int]) -> set[int]:
        for _ in range(node.least):
            following = self.ends(node.part, starts)
            if following == starts:
                break
            starts = following
        reached, fresh, times = set(starts), starts, node.least
        while fresh and (node.most is None or times < node.most):
            fresh = self.ends(node.part, fresh) - reached
            reached |= fresh
            times += 1
        return reached


class _Making:
    """A string from a pattern: each repetition up to ``extra`` times more than it must, or exactly so."""

    def __init__(self, dice: Dice, extra: int, longest: int, *, exact: bool) -> None:
        self._dice = dice
        self._extra = extra
        self._exact = exact
        self._left = longest

    def text(self, node: Node) -> str | None:
        pieces: list[str] = []
        return "".join(pieces) if self._add(node, pieces) else None

    def _add(self, node: Node, pieces: list[str]) -> bool:
        match node:
            case Chars():
                self._left -= 1
                made = _character(node, self._dice)
                pieces.append(made or "")
                return made is not None and self._left >= 0
            case Chain(parts):
                return all(self._add(part, pieces) for part in parts)
            case Choice(options):
                return self._add(self._dice.pick(options), pieces)
            case Repeat(part, least, most):
                room = self._extra if most is None else min(self._extra, most - least)
                times = least + (room if self._exact else self._dice.roll(room + 1))
                return all(self._add(part, pieces) and self._left >= 0 for _ in range(times))
            case Edge():
                return True


def _character(chars: Chars, dice: Dice) -> str | None:
    letters = _letters(chars)
    return dice.pick(letters) if letters else None


@lru_cache(maxsize=256)
def _letters(chars: Chars) -> str:
    """Return what the class is made of: pleasant letters, else its first."""
    pleasant = "".join(letter for letter in _PLEASANT if chars.has(ord(letter)))
    return pleasant or "".join(chr(first) for first, _ in chars.ranges if not 0xD800 <= first <= 0xDFFF)[:1]
