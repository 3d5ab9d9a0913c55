"""What a model can be told to be: the entries of a list of models, our own or as a model server tells them.

Every member is always there, null where nothing is known. A capability that nobody claims is not supported; batches
are ours, so every model has them.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from batchyard.domain.models import ALIASES, MODELS, SIMULATOR, Model

LIFECYCLES = ("active", "deprecated", "retired")
LINES = ("haiku", "sonnet", "opus", "fable", "mythos")
_EPOCH = "1970-01-01T00:00:00.000000Z"
_DATED = re.compile(r"-(20\d\d)([01]\d)([0-3]\d)\Z")
_VERSION = re.compile(r"(\d) (\d)")
_THINKING = ("adaptive", "between_tools", "disabled", "enabled")
_YES, _NO = {"supported": True}, {"supported": False}

Capabilities = dict[str, Any]


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, in the order of the wire's members."""

    type: str = "model"
    id: str
    display_name: str
    created_at: str = _EPOCH
    lifecycle: str = "active"
    deprecated_at: str | None = None
    retires_at: str | None = None
    line: str | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None
    capabilities: Capabilities


def simulated() -> Sequence[ModelInfo]:
    """Return the models that the simulator knows by name, newest first."""
    return [_simulated(Model(SIMULATOR)), *(_simulated(model) for model in MODELS.values())]


def read_list(body: bytes) -> Sequence[ModelInfo] | None:
    """Return the models of a list in Anthropic's or OpenAI's form; None where it is neither. Never raises."""
    try:
        listed = msgspec.json.decode(body, type=_List).data
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return [_read(entry) for entry in listed if isinstance(entry.get("id"), str) and entry["id"]]


def find(models: Sequence[ModelInfo], name: str) -> ModelInfo | None:
    """Return the model of that id, or the one that the name is an alias of."""
    by_id = {model.id: model for model in models}
    return by_id.get(name) or by_id.get(ALIASES.get(name, name))


class _List(msgspec.Struct):
    data: list[dict[str, Any]]


def _simulated(model: Model) -> ModelInfo:
    claimed = {
        **dict.fromkeys(("citations", "image_input", "pdf_input", "structured_outputs"), _YES),
        "effort": {"supported": True, **dict.fromkeys(("low", "medium", "high", "xhigh", "max"), _YES)},
        "thinking": {
            "supported": True,
            "types": {kind: {"supported": kind in model.thinking} for kind in _THINKING},
        },
    }
    words = _DATED.sub("", model.id).split("-")
    name = _VERSION.sub(r"\1.\2", " ".join(word.capitalize() for word in words))
    return ModelInfo(
        id=model.id,
        display_name=name if model.id == SIMULATOR else f"{name} (simulated)",
        created_at=_date_of(model.id),
        line=next((line for line in LINES if line in words), None),
        max_tokens=model.max_tokens,
        capabilities=_complete(claimed),
    )


def _read(entry: Mapping[str, Any]) -> ModelInfo:
    """What the server says where it is of the right kind, our best guess or null where it is not."""
    lifecycle = entry.get("lifecycle")
    return ModelInfo(
        id=entry["id"],
        display_name=_text(entry.get("display_name")) or entry["id"],
        created_at=_moment(entry.get("created_at")) or _moment(entry.get("created")) or _EPOCH,
        lifecycle=lifecycle if lifecycle in LIFECYCLES else "active",
        deprecated_at=_moment(entry.get("deprecated_at")),
        retires_at=_moment(entry.get("retires_at")),
        line=_text(entry.get("line")),
        max_input_tokens=_count(entry.get("max_input_tokens")) or _count(entry.get("max_model_len")),
        max_tokens=_count(entry.get("max_tokens")),
        capabilities=_complete(entry.get("capabilities")),
    )


def _complete(claimed: object) -> Capabilities:
    """Return every capability that clients look for; what is claimed beyond them stays."""
    claims = {name: claim for name, claim in claimed.items() if _is_claim(claim)} if isinstance(claimed, dict) else {}
    return {name: {**wanted, **claims.get(name, {})} for name, wanted in _NOTHING.items()} | {
        **{name: claim for name, claim in claims.items() if name not in _NOTHING},
        "batch": _YES,
    }


_NOTHING: Mapping[str, Capabilities] = {
    "batch": _YES,
    "citations": _NO,
    "code_execution": _NO,
    "context_management": {
        **_NO,
        "clear_thinking_20251015": None,
        "clear_tool_uses_20250919": None,
        "compact_20260112": None,
    },
    "effort": {**_NO, "low": _NO, "medium": _NO, "high": _NO, "xhigh": None, "max": _NO},
    "image_input": _NO,
    "pdf_input": _NO,
    "server_tools": {**_NO, "code_execution": _NO, "web_search": _NO},
    "structured_outputs": _NO,
    "thinking": {**_NO, "types": dict.fromkeys(_THINKING, _NO)},
}


def _is_claim(claim: object) -> bool:
    return isinstance(claim, dict) and isinstance(claim.get("supported"), bool)


def _date_of(model_id: str) -> str:
    dated = _DATED.search(model_id)
    return f"{dated[1]}-{dated[2]}-{dated[3]}T00:00:00.000000Z" if dated else _EPOCH


def _moment(value: object) -> str | None:
    """RFC 3339, or the seconds of OpenAI's ``created``: told in UTC with six digits, as every moment on the wire is."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**33:
        return _in_utc(datetime.fromtimestamp(value, UTC))
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if moment is None or moment.tzinfo is None else _in_utc(moment)
    except (ValueError, OverflowError):
        return None


def _in_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None
