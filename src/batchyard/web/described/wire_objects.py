"""The objects of the wire as JSON schemas."""

from collections.abc import Mapping, Sequence

from batchyard.web.described.operation import Schema, ref
from batchyard.wire import STATUS

_NUMBER: Schema = {"type": "integer", "minimum": 0}
_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"}
_PERHAPS_TIME: Schema = {"anyOf": [_TIME, {"type": "null"}]}
_PERHAPS_TEXT: Schema = {"type": ["string", "null"]}
_PERHAPS_NUMBER: Schema = {"type": ["integer", "null"]}


def exactly(members: Mapping[str, Schema], optional: Sequence[str] = ()) -> Schema:
    """Return the schema of an object with these members and no other."""
    return {**at_least(members, optional), "additionalProperties": False}


def at_least(members: Mapping[str, Schema], optional: Sequence[str] = ()) -> Schema:
    """Return the schema of an object with these members."""
    return {"type": "object", "properties": members, "required": [name for name in members if name not in optional]}


def const(word: str) -> Schema:
    return {"const": word}


def page_of(name: str, cursor: Schema) -> Schema:
    return exactly(
        {
            "data": {"type": "array", "items": ref(name)},
            "has_more": {"type": "boolean"},
            "first_id": {"anyOf": [cursor, {"type": "null"}]},
            "last_id": {"anyOf": [cursor, {"type": "null"}]},
        }
    )


_ERROR: Schema = at_least({"type": {"type": "string"}, "message": _TEXT})

_ASKED: Mapping[str, Schema] = {
    "model": {"type": "string", "minLength": 1},
    "messages": {"type": "array", "items": ref("InputMessage"), "minItems": 1},
}
_EXAMPLE = {"model": "simulator", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}
WIRE_OBJECTS: Mapping[str, Schema] = {
    "BatchId": {"type": "string", "pattern": "^msgbatch_[0-9A-Za-z]{24}$"},
    "CreateBatch": {
        **exactly({"requests": {"type": "array", "items": ref("BatchRequest"), "minItems": 1, "maxItems": 100_000}}),
        "examples": [{"requests": [{"custom_id": "first", "params": _EXAMPLE}]}],
    },
    "BatchRequest": exactly(
        {
            "custom_id": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
            "params": {"type": "object", "description": "Judged when it is sent, not at the create."},
        }
    ),
    "MessageBatch": exactly(
        {
            "id": ref("BatchId"),
            "type": const("message_batch"),
            "processing_status": {"enum": ["in_progress", "canceling", "ended"]},
            "request_counts": exactly(
                dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), _NUMBER)
            ),
            "ended_at": _PERHAPS_TIME,
            "created_at": _TIME,
            "expires_at": _TIME,
            "archived_at": _PERHAPS_TIME,
            "cancel_initiated_at": _PERHAPS_TIME,
            "results_url": _PERHAPS_TEXT,
        }
    ),
    "BatchPage": page_of("MessageBatch", ref("BatchId")),
    "DeletedBatch": exactly({"id": ref("BatchId"), "type": const("message_batch_deleted")}),
    "ResultLine": exactly({"custom_id": _TEXT, "result": at_least({"type": ref("ResultKind")})}),
    "ResultKind": {"enum": ["succeeded", "errored", "canceled", "expired"]},
    "MessageParams": {**at_least({**_ASKED, "max_tokens": {"type": "integer", "minimum": 1}}), "examples": [_EXAMPLE]},
    "CountParams": {**at_least(_ASKED), "examples": [{name: _EXAMPLE[name] for name in _ASKED}]},
    "InputMessage": at_least({"role": {"enum": ["user", "assistant"]}, "content": {"type": ["string", "array"]}}),
    "Message": at_least(
        {
            "id": _TEXT,
            "type": const("message"),
            "role": const("assistant"),
            "model": _TEXT,
            "content": {"type": "array", "items": {"type": "object"}},
            "stop_reason": _PERHAPS_TEXT,
            "usage": at_least({"input_tokens": _NUMBER, "output_tokens": _NUMBER}),
        }
    ),
    "TokenCount": exactly({"input_tokens": _NUMBER}),
    "Model": exactly(
        {
            "type": const("model"),
            "id": _TEXT,
            "display_name": _TEXT,
            "created_at": _TEXT,
            "lifecycle": _TEXT,
            "deprecated_at": _PERHAPS_TEXT,
            "retires_at": _PERHAPS_TEXT,
            "line": _PERHAPS_TEXT,
            "max_input_tokens": _PERHAPS_NUMBER,
            "max_tokens": _PERHAPS_NUMBER,
            "capabilities": {"type": "object"},
        }
    ),
    "ModelPage": page_of("Model", _TEXT),
    "Error": exactly(
        {
            "type": const("error"),
            "error": {**_ERROR, "properties": {"type": {"enum": list(STATUS)}, "message": _TEXT}},
            "request_id": {"type": "string", "pattern": "^req_[0-9A-Za-z]{24}$"},
        }
    ),
    "Server": exactly(
        {"name": const("batchyard"), "version": _TEXT, "idempotency_key_seconds": _NUMBER},
    ),
    "Owners": exactly({"owners": {"type": "array", "items": ref("Owner")}}),
    "Owner": exactly(
        {
            "id": _TEXT,
            "lives": {"type": "boolean"},
            "seconds_since_heartbeat": {"type": "number", "minimum": 0},
            "leases": _NUMBER,
            "carriers": _NUMBER,
        }
    ),
    "Health": exactly({"status": {"enum": ["ok", "ready", "not ready"]}, "reason": _TEXT}, optional=("reason",)),
    "Attempts": at_least({"seq": _NUMBER, "custom_id": _TEXT, "result": _TEXT}),
    "Paused": exactly({"id": ref("BatchId"), "paused": {"type": "boolean"}}),
    "BackupTo": exactly({"to": {"type": "string", "description": "An absolute path."}}),
}
