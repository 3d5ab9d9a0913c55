"""What a JSON value must look like, and the words for where it does not.

A check takes a decoded value and returns None, or a flaw: the rest of a path and a sentence, such as
``.0.content: Field required``. Whoever checks a member puts its own name before the flaw, so that a value without
flaws pays for no path. The first flaw counts: members in the order they are declared, then unknown keys.
"""

import re
from collections.abc import Callable, Mapping, Sequence

Check = Callable[[object], str | None]

_LONGEST_QUOTE = 100


def quoted(text: str) -> str:
    """Return the caller's text as an error may repeat it: cut where it is long."""
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"


def anything(value: object) -> str | None:  # noqa: ARG001 - the one check that looks at nothing
    """Accept whatever it is."""
    return None


def flag(value: object) -> str | None:
    """Accept true and false."""
    return None if value is True or value is False else ": Input should be a valid boolean"


def mapping(value: object) -> str | None:
    """Accept an object with whatever members."""
    return None if type(value) is dict else ": Input should be a valid dictionary"


def refused(sentence: str) -> Check:
    """Accept nothing, and say why."""
    return lambda value: f": {sentence}"  # noqa: ARG005


def text(*, least: int = 0, most: int | None = None, pattern: str | None = None) -> Check:
    """Accept a string of so many characters that matches the pattern."""
    matches = re.compile(pattern).fullmatch if pattern is not None else None

    def check(value: object) -> str | None:
        if type(value) is not str:
            return ": Input should be a valid string"
        if len(value) < least:
            return f": String should have at least {_counted(least, 'character')}"
        if most is not None and len(value) > most:
            return f": String should have at most {_counted(most, 'character')}"
        if matches is not None and matches(value) is None:
            return f": String should match pattern '{pattern}'"
        return None

    return check


def whole(*, least: int | None = None, sentence: str | None = None) -> Check:
    """Accept an integer from ``least`` on; ``sentence`` replaces the usual words for a smaller one."""
    too_small = sentence or f"Input should be greater than or equal to {least}"

    def check(value: object) -> str | None:
        if type(value) is not int:
            return ": Input should be a valid integer"
        return f": {too_small}" if least is not None and value < least else None

    return check


def number(*, least: float, most: float) -> Check:
    """Accept a number of this range."""

    def check(value: object) -> str | None:
        if type(value) is not int and type(value) is not float:
            return ": Input should be a valid number"
        if value < least:
            return f": Input should be greater than or equal to {least:g}"
        return f": Input should be less than or equal to {most:g}" if value > most else None

    return check


def one_of(*choices: str) -> Check:
    """Accept one of these strings."""
    listed = [f"'{choice}'" for choice in choices]
    words = " or ".join([", ".join(listed[:-1]), listed[-1]]) if len(listed) > 1 else listed[0]
    known = frozenset(choices)
    return lambda value: None if type(value) is str and value in known else f": Input should be {words}"


def nullable(check: Check) -> Check:
    """Accept null, and what the check accepts."""
    return lambda value: None if value is None else check(value)


def each(check: Check, *, least: int = 0, most: int | None = None, empty: str | None = None) -> Check:
    """Accept a list of so many values that the check accepts; ``empty`` replaces the usual words for none."""
    too_short = empty or f"List should have at least {_counted(least, 'item')} after validation, not 0"

    def check_each(value: object) -> str | None:
        if type(value) is not list:
            return ": Input should be a valid list"
        if len(value) < least:
            return f": {too_short}"
        if most is not None and len(value) > most:
            return f": List should have at most {_counted(most, 'item')} after validation, not {len(value)}"
        for place, member in enumerate(value):
            flaw = check(member)
            if flaw is not None:
                return f".{place}{flaw}"
        return None

    return check_each


def text_or(check: Check, *, least: int = 0) -> Check:
    """Accept a string, or what the check accepts."""
    plain = text(least=least)
    return lambda value: plain(value) if type(value) is str else check(value)


def record(
    required: Mapping[str, Check], optional: Mapping[str, Check] | None = None, *, extra: Check | None = None
) -> Check:
    """Accept an object with these members and no other; ``extra`` judges the others where they are allowed."""
    members = {**required, **(optional or {})}

    def check(value: object) -> str | None:
        if type(value) is not dict:
            return ": Input should be a valid dictionary"
        for key, judge in members.items():
            if key in value:
                flaw = judge(value[key])
                if flaw is not None:
                    return f".{key}{flaw}"
            elif key in required:
                return f".{key}: Field required"
        if extra is None and not value.keys() <= members.keys():
            unknown = next(key for key in value if key not in members)
            return f".{quoted(unknown)}: Extra inputs are not permitted"
        return None

    return check


def tagged(shapes: Mapping[str, Check], *, tag: str = "type", default: str | None = None, brief: bool = False) -> Check:
    """Accept an object whose ``tag`` names one of the shapes; a null or missing tag means ``default``, if any."""
    expected = ", ".join(f"'{name}'" for name in shapes)
    brief_flaw = one_of(*shapes)("")

    def check(value: object) -> str | None:
        if type(value) is not dict:
            return ": Input should be a valid dictionary"
        name = value.get(tag)
        if name is None and default is not None:
            return shapes[default](value)
        if tag not in value:
            return f".{tag}: Field required"
        shape = shapes.get(name) if type(name) is str else None
        if shape is not None:
            return shape(value)
        if brief:
            return f".{tag}{brief_flaw}"
        return (
            f": Input tag '{quoted(str(name))}' found using '{tag}' does not match any of the expected tags: {expected}"
        )

    return check


def first_flaw(value: object, checks: Sequence[Check]) -> str | None:
    """Return what the first check that refuses the value says."""
    for check in checks:
        flaw = check(value)
        if flaw is not None:
            return flaw
    return None


def _counted(number_of: int, noun: str) -> str:
    return f"{number_of} {noun}" if number_of == 1 else f"{number_of} {noun}s"
