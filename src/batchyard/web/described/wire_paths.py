"""The operations of the wire, and of what every server has."""

from collections.abc import Mapping

from batchyard.web.described.operation import JSON, Operation, Schema, json_of, lines_of, ref

_LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 20}
_CURSOR: Schema = ref("BatchId")
PAGE: Mapping[str, Schema] = {"limit": _LIMIT, "after_id": _CURSOR, "before_id": _CURSOR}
_MODEL_PAGE: Mapping[str, Schema] = {
    "limit": _LIMIT,
    "after_id": {"type": "string"},
    "before_id": {"type": "string"},
    "lifecycle[]": {"type": "array", "items": {"enum": ["active", "deprecated", "retired"]}},
}
KEYED: Mapping[str, Schema] = {"Idempotency-Key": {"type": "string", "maxLength": 255}}
LABEL_HEADERS: Mapping[str, Schema] = {
    "batchyard-name": {"type": "string", "description": "Name of the batch, for people; percent-encoded UTF-8."},
    "batchyard-labels": {
        "type": "string",
        "description": "Labels as `key=value`, set apart by commas; percent-encoded.",
    },
}
_BATCHES, _ONE = "/v1/messages/batches", "/v1/messages/batches/{batch_id}"
_OURS = "/batchyard/v1/batches/{batch_id}"
_OF_A_BATCH = ("retrieve_batch", "cancel_batch", "batch_results", "delete_batch")
_MODEL_SERVER = (500, 504)

WIRE: Mapping[tuple[str, str], Operation] = {
    ("POST", _BATCHES): Operation(
        "create_batch",
        "Create a batch. It is durable once this has answered.",
        json_of("MessageBatch"),
        body=ref("CreateBatch"),
        headers={**KEYED, **LABEL_HEADERS},
        also=(413,),
        links=_OF_A_BATCH,
    ),
    ("GET", _BATCHES): Operation("list_batches", "List batches, the newest first.", json_of("BatchPage"), query=PAGE),
    ("GET", _ONE): Operation("retrieve_batch", "Return one batch.", json_of("MessageBatch")),
    ("DELETE", _ONE): Operation(
        "delete_batch", "Delete a batch that has ended, and its results.", json_of("DeletedBatch")
    ),
    ("POST", f"{_ONE}/cancel"): Operation(
        "cancel_batch", "Start no further request of a batch.", json_of("MessageBatch")
    ),
    ("GET", f"{_ONE}/results"): Operation(
        "batch_results",
        "Return the results of a batch that has ended, in the order of its requests.",
        lines_of("ResultLine"),
        also=(206, 304, 416),
    ),
    ("POST", "/v1/messages"): Operation(
        "create_message",
        "Answer one message ahead of batches; with `stream`, as its events.",
        {**json_of("Message"), "text/event-stream": {"type": "string"}},
        body=ref("MessageParams"),
        also=(413, *_MODEL_SERVER),
    ),
    ("POST", "/v1/messages/count_tokens"): Operation(
        "count_tokens",
        "Count the input tokens of a message.",
        json_of("TokenCount"),
        body=ref("CountParams"),
        also=(413, *_MODEL_SERVER),
    ),
    ("GET", "/v1/models"): Operation(
        "list_models", "List the models that can be named.", json_of("ModelPage"), query=_MODEL_PAGE, also=_MODEL_SERVER
    ),
    ("GET", "/v1/models/{model}"): Operation(
        "retrieve_model", "Return one model.", json_of("Model"), also=_MODEL_SERVER
    ),
    ("GET", "/batchyard/v1/server"): Operation("server", "Say what this server is.", json_of("Server")),
    ("GET", "/batchyard/v1/owners"): Operation("owners", "List who dispatches on its store.", json_of("Owners")),
    ("GET", f"{_OURS}/attempts"): Operation(
        "batch_attempts", "Return every attempt of every request so far.", lines_of("Attempts")
    ),
    ("POST", f"{_OURS}/pause"): Operation("pause_batch", "Send nothing more of a batch for now.", json_of("Paused")),
    ("POST", f"{_OURS}/resume"): Operation("resume_batch", "Go on with a paused batch.", json_of("Paused")),
}

OPEN: Mapping[tuple[str, str], Operation] = {
    ("GET", "/healthz"): Operation("live", "Say whether the server lives.", json_of("Health")),
    ("GET", "/readyz"): Operation("ready", "Say whether it can take batches.", json_of("Health"), also=(503,)),
    ("GET", "/metrics"): Operation(
        "metrics",
        "Return metrics for Prometheus. From another machine this takes a key with the scope `admin`.",
        {"text/plain": {"type": "string"}},
        also=(401, 403, 404),
    ),
    ("GET", "/openapi.json"): Operation("openapi", "Return this document.", {JSON: {"type": "object"}}),
}
"""Without a key."""
OWNER: Mapping[tuple[str, str], Operation] = {
    ("POST", "/batchyard/v1/folder/check"): Operation(
        "check_folder", "Check the data folder.", {JSON: {"type": "object"}}, also=(400, 403)
    ),
    ("POST", "/batchyard/v1/folder/backup"): Operation(
        "back_up_folder",
        "Copy the data folder.",
        {JSON: {"type": "object"}},
        body=ref("BackupTo"),
        also=(400, 403, 413),
    ),
}
"""For whoever may read the data folder: the header `batchyard-owner` holds the token of its ``owner.lock``."""
