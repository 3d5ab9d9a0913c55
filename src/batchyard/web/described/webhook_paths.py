"""The operations on webhooks."""

from collections.abc import Mapping

from batchyard.domain.hooks import CHOICES, Kind, State
from batchyard.web.described.operation import JSON, Operation, Schema, json_of, ref
from batchyard.web.described.wire_objects import exactly

_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"}
_PERHAPS_TIME: Schema = {"anyOf": [_TIME, {"type": "null"}]}
_LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}
_WEBHOOKS = "/batchyard/v1/webhooks"

WEBHOOKS: Mapping[tuple[str, str], Operation] = {
    ("GET", _WEBHOOKS): Operation(
        "list_webhooks",
        "Return every webhook of the settings with its newest delivery.",
        {JSON: exactly({"data": {"type": "array", "items": ref("Webhook")}})},
    ),
    ("GET", f"{_WEBHOOKS}/{{webhook}}/deliveries"): Operation(
        "webhook_deliveries",
        "Return the newest deliveries of a webhook, the newest first.",
        {JSON: exactly({"data": {"type": "array", "items": ref("Delivery")}})},
        query={"limit": _LIMIT},
    ),
    ("POST", f"{_WEBHOOKS}/{{webhook}}/test"): Operation(
        "test_webhook", "Send a test soon; the log says what becomes of it.", json_of("WebhookTest")
    ),
}
WEBHOOK_OBJECTS: Mapping[str, Schema] = {
    "Webhook": exactly(
        {
            "name": _TEXT,
            "events": {"type": "array", "items": {"enum": [kind.value for kind in CHOICES]}},
            "workspaces": {"type": "array", "items": _TEXT},
            "last": {"anyOf": [ref("Delivery"), {"type": "null"}]},
        }
    ),
    "Delivery": exactly(
        {
            "id": _TEXT,
            "webhook": _TEXT,
            "type": {"enum": [kind.value for kind in Kind]},
            "state": {"enum": [state.value for state in State]},
            "tries": {"type": "integer", "minimum": 0},
            "created_at": _TIME,
            "tried_at": _PERHAPS_TIME,
            "again_at": _PERHAPS_TIME,
            "status": {"type": ["integer", "null"]},
            "reason": _TEXT,
        }
    ),
    "WebhookTest": exactly({"id": _TEXT, "webhook": _TEXT, "type": {"const": Kind.TEST.value}}),
}
