"""Which keywords of JSON Schema the simulator knows, what each may be, and how two schemas become one."""

from collections.abc import Callable, Mapping
from typing import Any

from batchyard.domain.shapes import (
    Check,
    anything,
    each,
    flag,
    mapping,
    quoted,
    text,
    whole,
)

Schema = dict[str, Any]

DEEPEST_SCHEMA = 48
TYPES = ("string", "integer", "number", "boolean", "null", "array", "object")
ANNOTATIONS = (
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "nullable",
    "readOnly",
    "writeOnly",
    "$schema",
    "$id",
    "$comment",
)
"""Keywords that say nothing about which instances are valid; so do all that begin with ``x-``."""


def _number(value: object) -> str | None:
    return None if type(value) in (int, float) else ": Input should be a valid number"


def _above_zero(value: object) -> str | None:
    return _number(value) or (None if value > 0 else ": Input should be greater than 0")  # type: ignore[operator]


def _types(value: object) -> str | None:
    named = value if type(value) is list else [value]
    return None if named and all(kind in TYPES for kind in named) else f": Input should be of {', '.join(TYPES)}"


ASSERTIONS: Mapping[str, Check] = {
    "type": _types,
    "enum": each(anything, least=1),
    "const": anything,
    "properties": mapping,
    "required": each(text()),
    "additionalProperties": anything,
    "minProperties": whole(least=0),
    "maxProperties": whole(least=0),
    "items": anything,
    "prefixItems": each(anything),
    "minItems": whole(least=0),
    "maxItems": whole(least=0),
    "uniqueItems": flag,
    "minLength": whole(least=0),
    "maxLength": whole(least=0),
    "pattern": text(),
    "format": text(),
    "minimum": _number,
    "maximum": _number,
    "exclusiveMinimum": _number,
    "exclusiveMaximum": _number,
    "multipleOf": _above_zero,
    "anyOf": each(anything, least=1),
    "oneOf": each(anything, least=1),
    "allOf": each(anything, least=1),
    "$ref": text(pattern=r"^#.*$"),
    "$defs": mapping,
    "definitions": mapping,
}
_KNOWN: Mapping[str, Check] = {**ASSERTIONS, **dict.fromkeys(ANNOTATIONS, anything)}
_ONE_SCHEMA = ("additionalProperties", "items")
_MANY_SCHEMAS = ("prefixItems", "anyOf", "oneOf", "allOf")
_NAMED_SCHEMAS = ("properties", "$defs", "definitions")


def schema_flaw(schema: object, depth: int = 0) -> str | None:
    """Return what the simulator does not know, or what is no schema, with its path."""
    if type(schema) is bool:
        return None
    if type(schema) is not dict:
        return ": Input should be a JSON schema"
    if depth > DEEPEST_SCHEMA:
        return ": the schema is nested too deeply for the simulator"
    for keyword, value in schema.items():
        check = _KNOWN.get(keyword)
        if check is None and not keyword.startswith("x-"):
            return f": the simulator does not know the JSON Schema keyword '{quoted(keyword)}'"
        flaw = check(value) if check is not None else None
        if flaw is None:
            flaw = _inner_flaw(keyword, value, depth)
        if flaw is not None:
            return f".{keyword}{flaw}"
    return None


def _inner_flaw(keyword: str, value: Any, depth: int) -> str | None:
    if keyword in _ONE_SCHEMA:
        return schema_flaw(value, depth + 1)
    inner: list[tuple[object, object]] = []
    if keyword in _MANY_SCHEMAS:
        inner = list(enumerate(value))
    elif keyword in _NAMED_SCHEMAS:
        inner = list(value.items())
    for name, schema in inner:
        flaw = schema_flaw(schema, depth + 1)
        if flaw is not None:
            return f".{quoted(str(name))}{flaw}"
    return None


def referred(root: Any, reference: str) -> Any:
    """Return the schema that ``#/…`` points at; raises ``LookupError``."""
    schema = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if type(schema) is list and name.isascii() and name.isdigit() and len(name) < 6:
            schema = schema[int(name)]
        elif type(schema) is dict:
            schema = schema[name]
        else:
            raise LookupError(reference)
    return schema


def both(first: Schema, second: Schema) -> Schema:
    """Return a schema that stands for both. Where they cannot be joined the first one's word counts: whoever makes an
    instance checks it."""
    merged = dict(first)
    for keyword, value in second.items():
        if keyword not in merged:
            merged[keyword] = value
        elif keyword in _JOIN:
            merged[keyword] = _JOIN[keyword](merged[keyword], value)
    return merged


def _join_properties(first: Schema, second: Schema) -> Schema:
    joined = dict(first)
    for name, schema in second.items():
        joined[name] = {"allOf": [joined[name], schema]} if name in joined else schema
    return joined


def _join_types(first: Any, second: Any) -> Any:
    firsts, seconds = (kinds if type(kinds) is list else [kinds] for kinds in (first, second))
    shared = [kind for kind in firsts if kind in seconds]
    if not shared and "number" in firsts + seconds and "integer" in firsts + seconds:
        shared = ["integer"]
    return shared or first


_JOIN: dict[str, Callable[[Any, Any], Any]] = {
    "properties": _join_properties,
    "required": lambda first, second: [*first, *[name for name in second if name not in first]],
    "type": _join_types,
    "enum": lambda first, second: [value for value in first if value in second] or first,
    "allOf": lambda first, second: [*first, *second],
    "$defs": lambda first, second: {**second, **first},
    "definitions": lambda first, second: {**second, **first},
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
