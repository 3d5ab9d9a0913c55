"""JSON that is asked for in words alone: an object with the keys that the prompt names."""

import re
from typing import Any

import msgspec

from batchyard.upstream.simulated_prompt import Prompt
from batchyard.upstream.simulated_schema import make_instance

MOST_KEYS = 50

_CUE = re.compile(
    r"\b(?:return|respond|reply|answer|output|give|produce|format|extract|as|in|valid|only)\b[^.\n]{0,40}\bJSON\b",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(r"\{[^{}]{2,2000}\}")
_MEMBER = re.compile(r"[\"']([\w -]{1,60})[\"']\s*:\s*(\"[^\"\n]{0,200}\"|[^,}\n]{0,40})")
_NAMED = re.compile(
    r"\b(?:keys?|fields?|properties)\b[^\w\n]{1,6}(\w{1,40}(?:[\"'`]?,\s?(?:and\s)?[\"'`]?\w{1,40}|\sand\s[\"'`]?\w{1,40}){0,30})",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[\"'`]?,\s?(?:and\s)?[\"'`]?|\sand\s[\"'`]?")
_READ = 4000


def write_json(prompt: Prompt) -> str | None:
    """Return JSON with the keys that the prompt names, None where it asks for none."""
    for text in (prompt.asked[-_READ:], prompt.system[-_READ:]):
        if "json" in text.lower() and _CUE.search(text) is not None:
            properties = _properties(text)
            schema = {"type": "object", "properties": properties, "required": list(properties)}
            return msgspec.json.encode(make_instance(schema, prompt.dice, "messages")).decode()
    return None


def _properties(text: str) -> dict[str, Any]:
    template = _TEMPLATE.search(text)
    if template is not None:
        named = {name: _schema_of(value.strip()) for name, value in _MEMBER.findall(template[0])[:MOST_KEYS]}
        if named:
            return named
    listed = _NAMED.search(text)
    if listed is not None:
        return {name: {"type": "string"} for name in _BETWEEN.split(listed[1]) if name}
    return {"simulated": {"const": True}, "answer": {"type": "string"}}


def _schema_of(value: str) -> dict[str, Any]:
    """Return a schema for what stands behind a key of the template."""
    words = value.strip("\"'<> ").lower()
    if "|" in words:
        return {"enum": [choice.strip() for choice in value.strip("\"'<> ").split("|")]}
    if value.startswith("["):
        return {"type": "array", "items": {"type": "string"}, "minItems": 1}
    if words[:1].isdigit() or words.startswith(("number", "integer", "int", "float")):
        return {"type": "integer"}
    if words.startswith(("bool", "true", "false")):
        return {"type": "boolean"}
    return {"type": "string"}
