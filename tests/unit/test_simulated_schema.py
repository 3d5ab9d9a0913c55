"""Instances of JSON schemas, checked by a second validator that shares nothing with the first."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchyard.upstream.simulated_dice import Dice
from batchyard.upstream.simulated_keywords import ANNOTATIONS, ASSERTIONS
from batchyard.upstream.simulated_markers import CannotSimulate
from batchyard.upstream.simulated_schema import make_instance

TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}


def is_valid(schema: Any, value: Any, root: Any = None) -> bool:
    root = schema if root is None else root
    if isinstance(schema, bool):
        return schema
    kinds = schema.get("type", list(TYPES))
    branches = [is_valid(option, value, root) for option in schema.get("oneOf", [])]
    return (
        any(_is(kind, value) for kind in ([kinds] if isinstance(kinds, str) else kinds))
        and ("$ref" not in schema or is_valid(_at(root, schema["$ref"]), value, root))
        and ("enum" not in schema or json.dumps(value) in [json.dumps(choice) for choice in schema["enum"]])
        and ("const" not in schema or json.dumps(value) == json.dumps(schema["const"]))
        and (not branches or sum(branches) == 1)
        and ("anyOf" not in schema or any(is_valid(option, value, root) for option in schema["anyOf"]))
        and all(is_valid(option, value, root) for option in schema.get("allOf", []))
        and _members_valid(schema, value, root)
        and _size_valid(schema, value)
    )


def _is(kind: str, value: Any) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _at(root: Any, reference: str) -> Any:
    for step in reference.split("/")[1:]:
        root = root[step]
    return root


def _members_valid(schema: Any, value: Any, root: Any) -> bool:
    if isinstance(value, dict):
        named = schema.get("properties", {})
        others = [name for name in value if name not in named]
        return (
            all(name in value for name in schema.get("required", []))
            and all(is_valid(named[name], value[name], root) for name in value if name in named)
            and all(is_valid(schema.get("additionalProperties", True), value[name], root) for name in others)
            and schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", 10**9)
        )
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        rest = [schema.get("items", True)] * (len(value) - len(first))
        keys = [json.dumps(member, sort_keys=True) for member in value]
        return (
            all(is_valid(each, member, root) for each, member in zip([*first, *rest], value, strict=False))
            and schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9)
            and not (schema.get("uniqueItems") and len(set(keys)) < len(keys))
        )
    return True


def _size_valid(schema: Any, value: Any) -> bool:
    if isinstance(value, str):
        return (
            schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9)
            and re.search(schema.get("pattern", ""), value) is not None
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        times = value / schema.get("multipleOf", value or 1)
        inside = schema.get("minimum", value) <= value <= schema.get("maximum", value)
        above = value > schema["exclusiveMinimum"] if "exclusiveMinimum" in schema else True
        below = value < schema["exclusiveMaximum"] if "exclusiveMaximum" in schema else True
        return bool(inside and above and below and abs(times - round(times)) < 1e-9)
    return True


def made(schema: Any, key: bytes = b"key") -> Any:
    return json.loads(json.dumps(make_instance(schema, Dice(key), "at"), allow_nan=False))


REVIEW: dict[str, Any] = {
    "type": "object",
    "properties": {
        "sentiment": {"enum": ["positive", "negative", "neutral"]},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 12}, "minItems": 2, "uniqueItems": True},
        "contact": {"type": ["string", "null"], "format": "email"},
        "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
        "reply": {"anyOf": [{"$ref": "#/$defs/reply"}, {"type": "null"}]},
    },
    "required": ["sentiment", "score", "stars", "tags", "sku"],
    "additionalProperties": False,
    "$defs": {
        "reply": {
            "type": "object",
            "properties": {"text": {"type": "string"}, "reply": {"$ref": "#/$defs/reply"}},
            "required": ["text"],
        }
    },
}


@settings(deadline=None)
@given(st.binary(max_size=8))
def test_a_real_schema_gets_a_valid_instance(key: bytes) -> None:
    instance = made(REVIEW, key)

    assert is_valid(REVIEW, instance)
    assert set(REVIEW["required"]) <= set(instance)


def test_an_instance_names_what_it_stands_for_and_is_always_the_same() -> None:
    assert made({"type": "object", "properties": {"city": {"type": "string"}}}) == {"city": "simulated city"}
    assert made(REVIEW) == made(REVIEW)
    assert len({json.dumps(made(REVIEW, bytes([key]))) for key in range(20)}) > 10


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "string", "minLength": 40, "maxLength": 41},
        {"type": "string", "maxLength": 3},
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "unheard-of"},
        {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
        {"type": "integer", "multipleOf": 7, "minimum": 50, "maximum": 60},
        {"type": "number", "multipleOf": 0.1, "minimum": 0.05, "maximum": 0.15},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
        {"type": "number", "maximum": -5},
        {"type": "integer", "minimum": 10**20},
        {"type": "boolean", "const": True},
        {"const": {"a": [1, None]}},
        {"enum": [1, "a", None, [2]], "type": ["array", "null"]},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3},
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
        {"type": "array", "maxItems": 0},
        {"required": ["unnamed"], "additionalProperties": {"type": "integer"}},
        {"type": "object", "minProperties": 3, "additionalProperties": {"type": "boolean"}},
        {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "maxProperties": 2, "required": ["c"]},
        {
            "allOf": [
                {"required": ["a"]},
                {"properties": {"a": {"minimum": 5}}},
                {"properties": {"a": {"type": "integer"}}},
            ]
        },
        {"oneOf": [{"type": "number"}, {"type": "integer"}]},
        {"anyOf": [False, {"type": "string"}]},
        {
            "$ref": "#/$defs/node",
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        },
        {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["next"]},
        {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}, "required": ["kids"]},
        {"definitions": {"a": {"type": "null"}}, "type": "object", "properties": {"a": {"$ref": "#/definitions/a"}}},
    ],
)
def test_every_known_keyword_is_obeyed(schema: Any) -> None:
    for key in range(10):
        assert is_valid(schema, made(schema, bytes([key])))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"not": {}}, "at: the simulator does not know the JSON Schema keyword 'not'"),
        (
            {"properties": {"a": {"if": {}}}},
            "at.properties.a: the simulator does not know the JSON Schema keyword 'if'",
        ),
        (
            {"anyOf": [{}, {"contains": 1}]},
            "at.anyOf.1: the simulator does not know the JSON Schema keyword 'contains'",
        ),
        ({"type": "text"}, "at.type: Input should be of string, integer, number, boolean, null, array, object"),
        ({"items": [{}]}, "at.items: Input should be a JSON schema"),
        ({"minLength": -1}, "at.minLength: Input should be greater than or equal to 0"),
        ({"multipleOf": 0}, "at.multipleOf: Input should be greater than 0"),
        ({"$ref": "https://example.com/a.json"}, "at.$ref: String should match pattern '^#.*$'"),
        ({"enum": []}, "at.enum: List should have at least 1 item after validation, not 0"),
        ({"type": "string", "pattern": "(?=x)"}, "at: the simulator finds no instance of this schema"),
        (False, "at: the simulator finds no instance of this schema"),
        ({"$ref": "#/nowhere"}, "at: the simulator finds no instance of this schema"),
        ({"$ref": "#"}, "at: the simulator finds no instance of this schema"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "at: the simulator finds no instance of this schema"),
        ({"type": "string", "minLength": 10**9}, "at: the simulator finds no instance of this schema"),
        ({"type": "array", "minItems": 10**9}, "at: the simulator finds no instance of this schema"),
        (
            {"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]},
            "at: the simulator finds no instance of this schema",
        ),
    ],
)
def test_what_cannot_be_made_is_said_with_its_place(schema: Any, message: str) -> None:
    with pytest.raises(CannotSimulate) as refused:
        make_instance(schema, Dice(b"key"), "at")

    assert str(refused.value) == message


def test_annotations_change_nothing() -> None:
    annotated = {"type": "integer", "x-order": 1, **dict.fromkeys(ANNOTATIONS, "text")}

    assert made(annotated) == made({"type": "integer"})


LEAVES = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "minLength": 3, "maxLength": 5},
        {"type": "integer", "minimum": -3},
        {"type": "number", "multipleOf": 0.5},
        {"type": "boolean"},
        {"type": "null"},
        {"enum": ["a", 1, None]},
        {"const": 1},
        True,
        {"$ref": "#/$defs/leaf"},
    ]
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda properties, other: {
                "type": "object",
                "properties": properties,
                "required": sorted(properties)[:2],
                "additionalProperties": other,
            },
            st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
            inner,
        ),
        st.builds(lambda items, size: {"type": "array", "items": items, "minItems": size}, inner, st.integers(0, 2)),
        st.builds(
            lambda key, options: {key: options},
            st.sampled_from(["anyOf", "oneOf", "allOf"]),
            st.lists(inner, min_size=1),
        ),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(SCHEMAS)
def test_an_instance_of_any_schema_is_valid_or_not_given(schema: Any) -> None:
    rooted = {"allOf": [schema], "$defs": {"leaf": {"type": "string", "pattern": "^x+$"}}}
    try:
        instance = made(rooted)
    except CannotSimulate:
        return
    assert is_valid(rooted, instance)


HOSTILE = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text("#/a$")
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(sorted(ASSERTIONS)), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(HOSTILE)
def test_no_schema_makes_it_raise_anything_else(schema: Any) -> None:
    try:
        instance = made(schema)
    except CannotSimulate:
        return
    json.dumps(instance)
