"""Whether a value is an instance of a JSON schema, by the keywords that the simulator knows."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import msgspec

from batchyard.upstream.simulated_keywords import Schema, referred
from batchyard.upstream.simulated_pattern_syntax import PatternNotKnown
from batchyard.upstream.simulated_patterns import Pattern

MOST_STEPS = 6_000
DEEPEST = 100
"""Schemas within one another; one that refers to itself goes down without end."""
PATTERN_STEPS = 25
"""What one string costs that is held against a pattern."""

_key = msgspec.json.Encoder(order="deterministic").encode


class TooLarge(Exception):
    """Deciding it would take too long."""


class Checker:
    """Checks values against schemas of one root. Formats are not checked: they are annotations."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._left = MOST_STEPS
        self._depth = 0

    def accepts(self, schema: object, value: object) -> bool:
        """Whether the value is valid; raises ``TooLarge``, or ``LookupError`` for a reference to nothing."""
        self._left -= 1
        self._depth += 1
        if self._left < 0 or self._depth > DEEPEST:
            raise TooLarge
        accepted = bool(schema) if type(schema) is not dict else self._follows_all(schema, value)
        self._depth -= 1
        return accepted

    def _follows_all(self, schema: Schema, value: object) -> bool:
        if not _fits_type(schema.get("type"), value):
            return False
        for keyword, rule in _RULES.items():
            if keyword in schema and not rule(self, schema, schema[keyword], value):
                return False
        return True

    def _ref(self, _: Schema, reference: str, value: object) -> bool:
        return self.accepts(referred(self._root, reference), value)

    def _any(self, _: Schema, options: list[object], value: object) -> bool:
        return any(self.accepts(option, value) for option in options)

    def _one(self, _: Schema, options: list[object], value: object) -> bool:
        return sum(self.accepts(option, value) for option in options) == 1

    def _all(self, _: Schema, options: list[object], value: object) -> bool:
        return all(self.accepts(option, value) for option in options)

    def _properties(self, _: Schema, properties: Schema, value: object) -> bool:
        if type(value) is not dict:
            return True
        return all(self.accepts(schema, value[name]) for name, schema in properties.items() if name in value)

    def _additional(self, schema: Schema, other: object, value: object) -> bool:
        if type(value) is not dict:
            return True
        named = schema.get("properties", {})
        return all(self.accepts(other, member) for name, member in value.items() if name not in named)

    def _prefix(self, _: Schema, schemas: list[object], value: object) -> bool:
        if type(value) is not list:
            return True
        return all(self.accepts(schema, member) for schema, member in zip(schemas, value, strict=False))

    def _items(self, schema: Schema, other: object, value: object) -> bool:
        if type(value) is not list:
            return True
        return all(self.accepts(other, member) for member in value[len(schema.get("prefixItems", [])) :])

    def _pattern(self, _: Schema, pattern: str, value: object) -> bool:
        if type(value) is not str:
            return True
        self._left -= PATTERN_STEPS
        try:
            return Pattern(pattern).matches(value)
        except PatternNotKnown:
            return False


def value_key(value: object) -> bytes:
    """Return what is equal for the same JSON values alone: 1 is 1.0, and true is not 1."""
    return _key(_plain(value))


def _among(choices: list[Any], value: object) -> bool:
    if type(value) is str:
        return value in choices
    wanted = value_key(value)
    return any(type(choice) is not str and value_key(choice) == wanted for choice in choices)


def _plain(value: object) -> object:
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is list:
        return [_plain(member) for member in value]
    if type(value) is dict:
        return {name: _plain(member) for name, member in value.items()}
    return value


def _fits_type(types: Any, value: object) -> bool:
    if types is None:
        return True
    return any(_IS[kind](value) for kind in (types if type(types) is list else [types]))


def is_number(value: object) -> bool:
    return type(value) is int or type(value) is float


_IS: dict[str, Callable[[object], bool]] = {
    "string": lambda value: type(value) is str,
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    "number": is_number,
    "boolean": lambda value: type(value) is bool,
    "null": lambda value: value is None,
    "array": lambda value: type(value) is list,
    "object": lambda value: type(value) is dict,
}


def is_multiple(value: float, of: float) -> bool:
    """Whether the value is a whole multiple, as written in decimal."""
    if not math.isfinite(value):
        return False
    return (Fraction(str(value)) / Fraction(str(of))).denominator == 1


_Rule = Callable[[Checker, Schema, Any, Any], bool]


def _of(kind: Callable[[object], bool], holds: Callable[[Any, Any], bool]) -> _Rule:
    """A rule about one type of value: others pass."""
    return lambda _, __, limit, value: not kind(value) or holds(limit, value)


_RULES: dict[str, _Rule] = {
    "$ref": Checker._ref,
    "anyOf": Checker._any,
    "oneOf": Checker._one,
    "allOf": Checker._all,
    "properties": Checker._properties,
    "additionalProperties": Checker._additional,
    "prefixItems": Checker._prefix,
    "items": Checker._items,
    "pattern": Checker._pattern,
    "const": lambda _, __, wanted, value: value_key(wanted) == value_key(value),
    "enum": lambda _, __, choices, value: _among(choices, value),
    "required": _of(_IS["object"], lambda names, value: all(name in value for name in names)),
    "minProperties": _of(_IS["object"], lambda least, value: len(value) >= least),
    "maxProperties": _of(_IS["object"], lambda most, value: len(value) <= most),
    "minItems": _of(_IS["array"], lambda least, value: len(value) >= least),
    "maxItems": _of(_IS["array"], lambda most, value: len(value) <= most),
    "uniqueItems": _of(_IS["array"], lambda wanted, value: not wanted or len(set(map(value_key, value))) == len(value)),
    "minLength": _of(_IS["string"], lambda least, value: len(value) >= least),
    "maxLength": _of(_IS["string"], lambda most, value: len(value) <= most),
    "minimum": _of(is_number, lambda least, value: value >= least),
    "maximum": _of(is_number, lambda most, value: value <= most),
    "exclusiveMinimum": _of(is_number, lambda least, value: value > least),
    "exclusiveMaximum": _of(is_number, lambda most, value: value < most),
    "multipleOf": _of(is_number, lambda of, value: is_multiple(value, of)),
}
