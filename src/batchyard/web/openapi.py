"""The API as an OpenAPI 3.1 document: every route of the program's table, and what needs no key.

What stands here beside the routes is what all calls share: headers, keys, errors.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from batchyard import __version__
from batchyard.web import auth
from batchyard.web.described.beside import BESIDE, BESIDE_OBJECTS
from batchyard.web.described.lane_paths import LANE_OBJECTS, LANES
from batchyard.web.described.operation import JSON, Operation, ref
from batchyard.web.described.webhook_paths import WEBHOOK_OBJECTS, WEBHOOKS
from batchyard.web.described.wire_objects import WIRE_OBJECTS
from batchyard.web.described.wire_paths import OPEN, OWNER, WIRE
from batchyard.web.routes import Route

DESCRIBED: Mapping[tuple[str, str], Operation] = {**WIRE, **BESIDE, **LANES, **WEBHOOKS}
"""Method and path of a route -> what is said of it."""
OBJECTS = {**WIRE_OBJECTS, **BESIDE_OBJECTS, **LANE_OBJECTS, **WEBHOOK_OBJECTS}

EVERY_CALL = (400, 401, 403, 404, 421, 429, 500, 529)
"""What any call with a key may be refused with."""
_WORDS = {
    206: "A range of it.",
    304: "It is what the caller has.",
    400: "The body, a header or a query value is wrong.",
    401: "No key, or not a good one.",
    403: "A good key that may not do this.",
    404: "Not there, or not in the caller's workspace.",
    413: "The body, or one request in it, is over its limit.",
    416: "The range lies behind the end.",
    421: "The server does not answer to this host.",
    429: "Too much at once.",
    500: "A bug of the server, damaged data, or the model server failed.",
    503: "It can take none now.",
    504: "The model server gave no answer in time.",
    529: "The server cannot take this now. Nothing was changed.",
}
_HEADERS = {"request-id": {"schema": {"type": "string", "pattern": "^req_[0-9A-Za-z]{24}$"}, "required": True}}
_NAME = {"type": "string", "minLength": 1}
_ID = {"batch_id": ref("BatchId"), "model": _NAME, "upstream": _NAME, "webhook": _NAME}


def document(routes: Iterable[Route], *, owned: bool) -> dict[str, Any]:
    """Return the document of these routes. One that nobody described is there with its path and its scope alone.

    ``owned``: the server has a data folder of its own, and calls for it.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        told = DESCRIBED.get((route.method, route.path), Operation(_name(route), route.path, {JSON: {}}))
        keyed = {
            **_operation(route.path, told, EVERY_CALL),
            "description": f"Takes a key with the scope `{route.scope.value}`.",
            "security": [{"key": []}, {"bearer": []}],
        }
        keyed["parameters"] = [*keyed["parameters"], *_SHARED]
        paths.setdefault(route.path, {})[route.method.lower()] = keyed
    for (method, path), told in OPEN.items():
        paths.setdefault(path, {})[method.lower()] = {**_operation(path, told, (421,)), "security": []}
    for (method, path), told in OWNER.items() if owned else ():
        paths.setdefault(path, {})[method.lower()] = {**_operation(path, told, (421,)), "security": [{"owner": []}]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Batchyard", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {"schemas": OBJECTS, "securitySchemes": _KEYS},
    }


def encoded(routes: Iterable[Route], *, owned: bool) -> bytes:
    return msgspec.json.encode(document(routes, owned=owned))


_ABOUT = "Batches of messages on any model server. `docs/wire.md` says what a client may rely on."
_KEYS = {
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "owner": {"type": "apiKey", "in": "header", "name": "batchyard-owner"},
}
_SHARED = [
    {"name": "anthropic-version", "in": "header", "required": True, "schema": {"enum": list(auth.VERSIONS)}},
    {"name": "anthropic-beta", "in": "header", "schema": {"type": "string"}},
    {"name": "anthropic-workspace-id", "in": "header", "schema": {"type": "string"}},
]


def _operation(path: str, told: Operation, refusals: Iterable[int]) -> dict[str, Any]:
    names = [segment[1:-1] for segment in path.split("/") if segment.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, "schema": _ID[name]} for name in names]
    parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in (told.query or {}).items()]
    parameters += [{"name": name, "in": "header", "schema": schema} for name, schema in (told.headers or {}).items()]
    answer: dict[str, Any] = {"description": told.summary, "headers": _HEADERS, "content": _content(told)}
    if told.links:
        answer["links"] = {name: {"operationId": name, "parameters": _BY_ID} for name in told.links}
    statuses = sorted({*refusals, *told.also})
    operation: dict[str, Any] = {
        "operationId": told.name,
        "summary": told.summary,
        "parameters": parameters,
        "responses": {"200": answer, **{str(status): _other(status, told) for status in statuses}},
    }
    if told.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": told.body}}}
    return operation


_BY_ID = {"batch_id": "$response.body#/id"}


def _content(told: Operation) -> dict[str, Any]:
    return {media: {"schema": schema} for media, schema in told.answer.items()}


def _other(status: int, told: Operation) -> dict[str, Any]:
    other: dict[str, Any] = {"description": _WORDS[status], "headers": _HEADERS}
    if status in (206, 503):
        other["content"] = _content(told)
    elif status >= 400:
        other["content"] = {JSON: {"schema": ref("Error")}}
    return other


def _name(route: Route) -> str:
    return "_".join([route.method.lower(), *(part.strip("{}") for part in route.path.split("/") if part)])
