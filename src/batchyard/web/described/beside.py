"""The operations beside the wire that show people their batches, and the objects that they answer with."""

from collections.abc import Mapping

from batchyard.domain.labels import LONGEST_NAME
from batchyard.web.described.operation import JSON, Operation, Schema, json_of, lines_of, ref
from batchyard.web.described.wire_objects import const, exactly, page_of
from batchyard.web.described.wire_paths import KEYED, LABEL_HEADERS, PAGE
from batchyard.web.throughput import LONGEST_MINUTES, USUAL_MINUTES

_NUMBER: Schema = {"type": "integer", "minimum": 0}
_COST: Schema = {"type": "number", "minimum": 0}
_PERHAPS_COST: Schema = {"type": ["number", "null"], "minimum": 0}
_DAY: Schema = {"type": "string", "format": "date"}
_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}

_TOKENS = dict.fromkeys(
    ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens"), _NUMBER
)
_SUMS: Mapping[str, Schema] = {
    "requests": _NUMBER,
    **_TOKENS,
    "standard_cost": _COST,
    "batch_cost": _COST,
    "unpriced_requests": _NUMBER,
}
_ENTRY: Mapping[str, Schema] = {
    "batch": ref("MessageBatch"),
    "name": _TEXT,
    "labels": {"type": "object", "additionalProperties": _TEXT},
    "paused": {"type": "boolean"},
    "usage": ref("UsageSums"),
}
_USAGE_QUERY: Mapping[str, Schema] = {
    "from": _DAY,
    "to": _DAY,
    "by": {"enum": ["model", "batch"], "default": "model"},
    "format": {"enum": ["json", "csv"], "default": "json"},
}
_STEPS: Mapping[str, Schema] = {
    "minutes": {"type": "integer", "minimum": 1, "maximum": LONGEST_MINUTES, "default": USUAL_MINUTES},
    "step": {"type": "integer", "minimum": 1, "maximum": LONGEST_MINUTES, "default": 1},
}
_USAGE_ANSWER = {JSON: ref("Usage"), "text/csv": _TEXT}

BESIDE_OBJECTS: Mapping[str, Schema] = {
    "UsageSums": exactly(_SUMS),
    "BatchEntry": exactly(_ENTRY),
    "BatchDetails": exactly({**_ENTRY, "forecast": ref("Forecast")}),
    "BatchEntryPage": page_of("BatchEntry", ref("BatchId")),
    "Forecast": exactly(
        {
            "requests_per_second": {"type": ["number", "null"]},
            "remaining": _NUMBER,
            "requests_ahead": _NUMBER,
            "done_at": {"type": ["string", "null"], "format": "date-time"},
            "deadline_risk": {"enum": ["none", "tight", "late", "unknown"]},
            "waits_for": _TEXTS,
        }
    ),
    "LabelChange": exactly(
        {
            "name": {"type": ["string", "null"], "maxLength": LONGEST_NAME},
            "labels": {
                "type": "object",
                "additionalProperties": {"type": ["string", "null"]},
                "description": "What is not named stays; null removes a label.",
            },
        },
        optional=("name", "labels"),
    ),
    "UsageRow": exactly(
        {
            "day": _DAY,
            "workspace": _TEXT,
            "model": _TEXT,
            "batch": {"anyOf": [ref("BatchId"), {"type": "null"}], "description": "With `by=batch`; null: deleted."},
            "requests": _NUMBER,
            **_TOKENS,
            "standard_cost": _PERHAPS_COST,
            "batch_cost": _PERHAPS_COST,
        },
        optional=("batch",),
    ),
    "Throughput": exactly(
        {
            "step_minutes": {"type": "integer", "minimum": 1},
            "data": {
                "type": "array",
                "items": exactly(
                    {
                        "at": {"type": "string", "format": "date-time"},
                        **dict.fromkeys(("finished", "failed", "input_tokens", "output_tokens"), _NUMBER),
                    }
                ),
            },
        }
    ),
    "Usage": exactly(
        {
            "from": _DAY,
            "to": _DAY,
            "currency": const("USD"),
            "data": {"type": "array", "items": ref("UsageRow")},
            "total": ref("UsageSums"),
        }
    ),
}

_BATCHES, _ONE = "/batchyard/v1/batches", "/batchyard/v1/batches/{batch_id}"
BESIDE: Mapping[tuple[str, str], Operation] = {
    ("GET", _BATCHES): Operation(
        "search_batches",
        "Find batches by name, label or status, the newest first.",
        json_of("BatchEntryPage"),
        query={
            **PAGE,
            "q": {**_TEXT, "description": "A part of the id, the name, or a label's value."},
            "label": {**_TEXTS, "description": "`key=value`, or `key` for any value; all must fit, at most 32."},
            "status": {"enum": ["in_progress", "canceling", "ended"]},
        },
    ),
    ("GET", _ONE): Operation(
        "describe_batch", "Return name, labels, usage and forecast of a batch.", json_of("BatchDetails")
    ),
    ("POST", f"{_ONE}/labels"): Operation(
        "label_batch", "Name and label a batch.", json_of("BatchDetails"), body=ref("LabelChange"), also=(413,)
    ),
    ("GET", f"{_ONE}/results"): Operation(
        "follow_results",
        "Return the results of a batch in the order in which they came, while it runs too.",
        lines_of("ResultLine"),
        query={
            "follow": {"type": "boolean", "default": False, "description": "Stay for those that come."},
            "after": {**_NUMBER, "default": 0, "description": "Lines that the caller has."},
        },
    ),
    ("POST", f"{_ONE}/rerun"): Operation(
        "rerun_batch",
        "Make a batch of the requests of another that errored or expired.",
        json_of("MessageBatch"),
        query={"results": {**_TEXT, "description": "Other fates: errored, expired, canceled; set apart by commas."}},
        headers={**KEYED, **LABEL_HEADERS},
    ),
    ("GET", "/batchyard/v1/throughput"): Operation(
        "throughput",
        "Return what became final minute by minute, and its tokens.",
        json_of("Throughput"),
        query=_STEPS,
    ),
    ("GET", "/batchyard/v1/throughput/all"): Operation(
        "throughput_of_all", "Return the same of all workspaces.", json_of("Throughput"), query=_STEPS
    ),
    ("GET", "/batchyard/v1/usage"): Operation(
        "usage", "Return tokens and their cost, by day and model.", _USAGE_ANSWER, query=_USAGE_QUERY
    ),
    ("GET", "/batchyard/v1/usage/all"): Operation(
        "usage_of_all", "Return the same of all workspaces.", _USAGE_ANSWER, query=_USAGE_QUERY
    ),
}
