"""One operation of the API, as it is described: what it takes beside a key, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JSON = "application/json"
JSONL = "application/x-jsonl"

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """``name`` is the operationId. ``answer`` is what a 200 holds: media type -> schema.

    ``query`` are its parameters, name -> schema; ``body`` the schema of what it takes, None where that is nothing;
    ``also`` further statuses it may have; ``links`` operations that take the id it answers with.
    """

    name: str
    summary: str
    answer: Mapping[str, Schema]
    query: Mapping[str, Schema] | None = None
    body: Schema | None = None
    headers: Mapping[str, Schema] | None = None
    also: tuple[int, ...] = ()
    links: tuple[str, ...] = ()


def ref(name: str) -> Schema:
    """Return a reference to one of the schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def json_of(name: str) -> Mapping[str, Schema]:
    """Return the answer that is one such object."""
    return {JSON: ref(name)}


def lines_of(name: str) -> Mapping[str, Schema]:
    """Return the answer that is a file of such objects, one a line. OpenAPI has no word for that but text."""
    return {JSONL: {"type": "string", "description": f"One `{name}` (see the schemas) on each line."}}
