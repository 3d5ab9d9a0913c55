"""An instance of a JSON schema: the structured answers and tool inputs of the simulator.

An instance is made from the schema and then checked against it, so that what is returned is valid or nothing is.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from batchyard.upstream.simulated_dice import Dice
from batchyard.upstream.simulated_keywords import Schema, both, referred, schema_flaw
from batchyard.upstream.simulated_markers import CannotSimulate
from batchyard.upstream.simulated_pattern_syntax import PatternNotKnown
from batchyard.upstream.simulated_patterns import Pattern
from batchyard.upstream.simulated_schema_check import PATTERN_STEPS, Checker, TooLarge, value_key

FORMATS = {
    "date": "2026-01-31",
    "time": "12:30:00Z",
    "date-time": "2026-01-31T12:30:00Z",
    "duration": "P1DT2H",
    "email": "simulated@example.com",
    "hostname": "simulated.example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/simulated",
    "uuid": "51a1ed00-0000-4000-8000-000000000001",
}
"""Formats that are honoured; another one is an annotation."""

MOST_STEPS = 2_000
MOST_LETTERS = 200_000
MOST_CHOICES = 500
"""How many values of an ``enum`` are looked at."""
DEEPEST = 24
_RICH_DEPTH = 4
_RICH_REFERENCES = 2
_TRIES = (False, False, True, True)
"""For each try, whether it leaves out what is optional."""
_FRESH_TRIES = 20
_PLAIN_TRIES = 12
_NO_MORE = object()


class _NoInstance(Exception):
    """This way leads to none; another may."""


def make_instance(schema: Any, dice: Dice, path: str) -> Any:
    """Return an instance of the schema that stands at ``path``; raises ``CannotSimulate``."""
    flaw = schema_flaw(schema)
    if flaw is not None:
        raise CannotSimulate(f"{path}{flaw}")
    for lean in _TRIES:
        try:
            value = _Maker(schema, dice, lean=lean).make(schema, "answer", 0, 0)
            if Checker(schema).accepts(schema, value):
                return value
        except (_NoInstance, TooLarge, LookupError, PatternNotKnown, OverflowError):
            continue  # the next try rolls other dice, or leaves out what is optional
    raise CannotSimulate(f"{path}: the simulator finds no instance of this schema")


class _Maker:
    """One try; ``lean`` leaves out all that is optional."""

    def __init__(self, root: Any, dice: Dice, *, lean: bool) -> None:
        self._root = root
        self._dice = dice
        self._lean = lean
        self._left = MOST_STEPS
        self._letters = MOST_LETTERS
        self._checker = Checker(root)

    def make(self, schema: Any, hint: str, depth: int, references: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise TooLarge
        if depth > DEEPEST:
            raise _NoInstance
        schema, references = self._flat(self._object(schema), references)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._one_of(schema, keyword, hint, depth, references)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._dice.pick(self._fitting(schema))
        return _MAKERS[self._type(schema)](self, schema, hint, depth, references)

    def _flat(self, schema: Schema, references: int, level: int = 0) -> tuple[Schema, int]:
        """Return the schema with what it refers to, and all of ``allOf``, laid into it."""
        self._left -= 1
        if self._left < 0:
            raise TooLarge
        if level > DEEPEST:
            raise _NoInstance
        parts = [referred(self._root, schema["$ref"])] if "$ref" in schema else []
        references += len(parts)
        parts += schema.get("allOf", [])
        if parts:
            schema = {keyword: value for keyword, value in schema.items() if keyword not in ("$ref", "allOf")}
        for part in parts:
            flat, references = self._flat(self._object(part), references, level + 1)
            schema = both(schema, flat)
        return schema, references

    @staticmethod
    def _object(schema: Any) -> Schema:
        if type(schema) is dict:
            return schema
        if schema is not True:  # false, or a reference that points at something else
            raise _NoInstance
        return {}

    def _one_of(self, schema: Schema, keyword: str, hint: str, depth: int, references: int) -> Any:
        options = list(schema[keyword])
        rest = {key: value for key, value in schema.items() if key != keyword}
        turn = self._dice.roll(len(options))
        options = options[turn:] + options[:turn]
        if self._lean or depth > _RICH_DEPTH or references >= _RICH_REFERENCES:
            options.sort(key=_weight)
        for option in options:
            try:
                value = self.make(both(rest, self._object(option)), hint, depth + 1, references)
            except _NoInstance:
                continue
            if self._checker.accepts(schema, value):
                return value
        raise _NoInstance

    def _fitting(self, schema: Schema) -> list[Any]:
        rest = {keyword: value for keyword, value in schema.items() if keyword != "enum"}
        fitting = [choice for choice in schema["enum"][:MOST_CHOICES] if self._checker.accepts(rest, choice)]
        if not fitting:
            raise _NoInstance
        return fitting

    def _type(self, schema: Schema) -> str:
        kinds = schema.get("type")
        if kinds is None:
            return next((kind for keyword, kind in _TELLING.items() if keyword in schema), "string")
        if type(kinds) is str:
            return kinds
        solid = [kind for kind in kinds if kind != "null"]
        return str(self._dice.pick(solid)) if solid else "null"

    def _object_of(self, schema: Schema, _: str, depth: int, references: int) -> dict[str, Any]:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        rich = not self._lean and depth <= _RICH_DEPTH and references < _RICH_REFERENCES
        most = schema.get("maxProperties", math.inf)
        optional = [name for name in properties if name not in required] if rich else []
        room = max(most - len(set(required)), 0)
        wanted = {*required, *(optional if room == math.inf else optional[: int(room)])}
        made: dict[str, Any] = {}
        for name in dict.fromkeys([*[name for name in properties if name in wanted], *required]):
            other = properties.get(name, schema.get("additionalProperties", True))
            try:
                made[name] = self.make(other, name, depth + 1, references)
            except _NoInstance:
                if name in required:
                    raise
        for nth in range(schema.get("minProperties", 0)):
            if len(made) >= schema["minProperties"]:
                break
            spare = next((name for name in properties if name not in made), f"simulated_{nth + 1}")
            other = properties.get(spare, schema.get("additionalProperties", True))
            made[spare] = self.make(other, spare, depth + 1, references)
        return made

    def _array_of(self, schema: Schema, hint: str, depth: int, references: int) -> list[Any]:
        first, other = schema.get("prefixItems", []), schema.get("items", True)
        least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
        size = max(least, len(first))
        if not self._lean and depth <= _RICH_DEPTH and references < _RICH_REFERENCES and other is not False:
            size = max(size, 1 + self._dice.roll(2))
        made: list[Any] = []
        seen: set[bytes] = set()
        for nth in range(int(min(size, most))):
            member = self._fresh(
                first[nth] if nth < len(first) else other, f"{hint} {nth + 1}", depth, references, seen
            )
            if member is _NO_MORE and len(made) >= least:
                break
            if member is _NO_MORE:
                raise _NoInstance
            made.append(member)
            if schema.get("uniqueItems"):
                seen.add(value_key(member))
        return made

    def _fresh(self, schema: Any, hint: str, depth: int, references: int, seen: set[bytes]) -> Any:
        """Return an instance that was not seen yet."""
        for _ in range(_FRESH_TRIES if seen else 1):
            member = self.make(schema, hint, depth + 1, references)
            if not seen or value_key(member) not in seen:
                return member
        return _NO_MORE

    def _string_of(self, schema: Schema, hint: str, *_: int) -> str:
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        if least > MOST_LETTERS or (most is not None and most < least):
            raise _NoInstance
        words = self._patterned(schema, least, most) if "pattern" in schema else None
        if words is None:
            words = FORMATS.get(schema.get("format", ""), f"simulated {hint[:40]}")
            if len(words) < least:
                words = (words + " simulated" * (1 + (least - len(words)) // 10))[:least]
            words = words if most is None else words[:most]
        self._letters -= len(words)
        if self._letters < 0:
            raise TooLarge
        return words

    def _patterned(self, schema: Schema, least: int, most: int | None) -> str:
        self._left -= PATTERN_STEPS
        made = Pattern(schema["pattern"]).make(self._dice, least, most)
        if made is None:
            raise _NoInstance
        return made

    def _integer_of(self, schema: Schema, *_: object) -> int:
        return int(self._multiple(schema, Fraction(str(schema.get("multipleOf", 1))), whole=True))

    def _number_of(self, schema: Schema, *_: object) -> float:
        step = Fraction(str(schema["multipleOf"])) if "multipleOf" in schema else Fraction(1, 100)
        try:
            made = [float(self._multiple(schema, step, whole=False)) for _ in range(_PLAIN_TRIES)]
            return next((value for value in made if _divides_plainly(schema, value)), made[0])
        except _NoInstance:
            if "multipleOf" in schema:
                raise
        low, high = _bounds(schema)
        return float(low if low == high else (low + high) / 2)

    def _multiple(self, schema: Schema, step: Fraction, *, whole: bool) -> Fraction:
        """Return a multiple of the step between the bounds; of the denominator too where it must be whole."""
        if whole:
            step *= step.denominator
        low, high = _bounds(schema)
        least, most = math.ceil(low / step), math.floor(high / step)
        least += "exclusiveMinimum" in schema and least * step <= Fraction(str(schema["exclusiveMinimum"]))
        most -= "exclusiveMaximum" in schema and most * step >= Fraction(str(schema["exclusiveMaximum"]))
        if most < least:
            raise _NoInstance
        return step * (least + self._dice.roll(min(most - least + 1, 1 << 32)))


def _bounds(schema: Schema) -> tuple[Fraction, Fraction]:
    lows = [Fraction(str(schema[key])) for key in ("minimum", "exclusiveMinimum") if key in schema]
    highs = [Fraction(str(schema[key])) for key in ("maximum", "exclusiveMaximum") if key in schema]
    spread = 100 * max(Fraction(1), Fraction(str(schema.get("multipleOf", 1))))
    if lows:
        return max(lows), min(highs, default=max(lows) + spread)
    high = min(highs, default=spread)
    return (Fraction(0) if high > 0 else high - spread), high


def _divides_plainly(schema: Schema, value: float) -> bool:
    """Whether a validator that divides floats, as most do, sees a multiple too."""
    return "multipleOf" not in schema or (value / schema["multipleOf"]).is_integer()


def _weight(option: Any) -> int:
    """How much an option may drag in: what refers to something else comes last."""
    if type(option) is not dict:
        return 0
    return 2 if "$ref" in option else int("properties" in option or "items" in option)


_TELLING = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "minProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "pattern": "string",
    "format": "string",
    "minLength": "string",
    "multipleOf": "number",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
}
"""Which type a keyword speaks of, where none is named."""

_MAKERS: dict[str, Callable[..., Any]] = {
    "object": _Maker._object_of,
    "array": _Maker._array_of,
    "string": _Maker._string_of,
    "integer": _Maker._integer_of,
    "number": _Maker._number_of,
    "boolean": lambda maker, *_: bool(maker._dice.roll(2)),
    "null": lambda *_: None,
}
