"""The operations on lanes, and what they answer."""

from collections.abc import Mapping

from batchyard.web.described.operation import Operation, Schema, json_of, ref
from batchyard.web.described.wire_objects import exactly

_LANES = "/batchyard/v1/lanes"
_PAUSE, _RESUME = "Let no batch use {} until it is resumed.", "Let batches use {} again."
_AN_UPSTREAM, _A_LANE = "an upstream's lanes", "the lane of an upstream and model"

LANES: Mapping[tuple[str, str], Operation] = {
    ("GET", _LANES): Operation("list_lanes", "Say what the lanes of this process are doing.", json_of("Lanes")),
    ("POST", f"{_LANES}/{{upstream}}/pause"): Operation(
        "pause_upstream", _PAUSE.format(_AN_UPSTREAM), json_of("LanePaused")
    ),
    ("POST", f"{_LANES}/{{upstream}}/resume"): Operation(
        "resume_upstream", _RESUME.format(_AN_UPSTREAM), json_of("LanePaused")
    ),
    ("POST", f"{_LANES}/{{upstream}}/{{model}}/pause"): Operation(
        "pause_lane", _PAUSE.format(_A_LANE), json_of("LanePaused")
    ),
    ("POST", f"{_LANES}/{{upstream}}/{{model}}/resume"): Operation(
        "resume_lane", _RESUME.format(_A_LANE), json_of("LanePaused")
    ),
}

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer", "minimum": 0}
_SECONDS: Schema = {"type": ["number", "null"], "minimum": 0}
_PERHAPS: Schema = {"type": ["integer", "null"]}
_YES: Schema = {"type": "boolean"}
_STATES = ("open", "held", "probing", "recovering", "paused", "closed")
_REASONS = ("held", "probing", "paused", "closed", "slots", "line", "first_token", "limit", "pace")

LANE_OBJECTS: Mapping[str, Schema] = {
    "Lanes": exactly(
        {
            "upstreams": {"type": "array", "items": ref("UpstreamState")},
            "lanes": {"type": "array", "items": ref("LaneState")},
        }
    ),
    "UpstreamState": exactly(
        {
            "upstream": _TEXT,
            "limit": _NUMBER,
            "share": _NUMBER,
            "taken": _NUMBER,
            "open": _YES,
            "paused": _YES,
            **dict.fromkeys(("carriers", "waiting", "running", "room"), _PERHAPS),
        }
    ),
    "LaneState": exactly(
        {
            "lane": _TEXT,
            "upstream": _TEXT,
            "model": _TEXT,
            "state": {"enum": list(_STATES)},
            "waiting": {"enum": [None, *_REASONS]},
            "pending": _NUMBER,
            "limit": _NUMBER,
            "bounded_by": {"enum": [None, "outage", "refusals", "queueing", "first_token"]},
            "requests": _NUMBER,
            "calls": _NUMBER,
            "committing": _NUMBER,
            "opens_in": _SECONDS,
            "answers_per_second": _SECONDS,
            "seconds_usual": _SECONDS,
            "seconds_slow": _SECONDS,
            "seconds_first": _SECONDS,
            "last_trouble": {"anyOf": [ref("Trouble"), {"type": "null"}]},
        }
    ),
    "Trouble": exactly({"reason": _TEXT, "at": {"type": "string", "format": "date-time"}}),
    "LanePaused": exactly({"lane": _TEXT, "paused": _YES}),
}
