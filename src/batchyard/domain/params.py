"""The strict judgement of one request's params: what the Messages API refuses, in its words where they are known.

Which lane asks for it is a setting: an upstream with a model judges params itself. Pure; no JSON makes it raise.
The first flaw counts: JSON, shape (members in the order below, then unknown keys), and then the rules between them.
Where the service's rule is not known, the request passes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from batchyard.domain import params_content as content
from batchyard.domain import params_tables as tables
from batchyard.domain import params_tools
from batchyard.domain.models import LONG_OUTPUT_BETA, Model, find_model
from batchyard.domain.params_turns import marks_flaw, turns_flaw
from batchyard.domain.result import RequestError
from batchyard.domain.shapes import (
    Check,
    anything,
    each,
    flag,
    mapping,
    nullable,
    number,
    one_of,
    quoted,
    record,
    tagged,
    text,
    text_or,
    whole,
)

Members = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Params:
    """Params that were judged and found right: ``members`` as they were decoded, and what is known of the model.

    ``max_tokens`` is 0 where tokens are only to be counted.
    """

    members: Members
    model: Model
    max_tokens: int


def check_params(raw: bytes, *, version: str, betas: tuple[str, ...], batched: bool) -> Params | RequestError:
    """Judge the params of one request under the API version and betas of its batch, or of its own call."""
    shape = _request_shape(version == tables.OLDEST_VERSION, tables.grants(betas), batched)
    return _judge(raw, _Call(betas, batched=batched), shape, _RULES)


def check_count(raw: bytes, *, version: str, betas: tuple[str, ...]) -> Params | RequestError:
    """Judge the body of a call that only counts tokens."""
    shape = _count_shape(version == tables.OLDEST_VERSION, tables.grants(betas))
    return _judge(raw, _Call(betas, batched=False), shape, _COUNT_RULES)


@dataclass(frozen=True, slots=True)
class _Call:
    betas: tuple[str, ...]
    batched: bool


def _judge(raw: bytes, call: _Call, shape: Check, rules: tuple["_Rule", ...]) -> Params | RequestError:
    try:
        members = _decode(raw)
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError) as wrong:
        return RequestError("invalid_request_error", f"The request body is not valid JSON: {quoted(str(wrong))}")
    flaw = shape(members)
    if flaw is not None:
        return RequestError("invalid_request_error", f"params{flaw}" if flaw.startswith(":") else flaw[1:])
    if members.get("stream") and call.batched:
        return RequestError("invalid_request_error", '"stream=True" is not supported in the Message Batches API')
    model = find_model(members["model"])
    if model is None:
        return RequestError("not_found_error", f"model: {quoted(members['model'])}")
    for rule in rules:
        flaw = rule(members, model, call)
        if flaw is not None:
            return RequestError("invalid_request_error", flaw)
    return Params(members, model, members.get("max_tokens", 0))


_decode = msgspec.json.Decoder().decode


def _output_config(granted: frozenset[str]) -> Check:
    members: dict[str, Check] = {
        "effort": nullable(one_of("low", "medium", "high", "xhigh", "max")),
        "format": nullable(record({"type": one_of("json_schema"), "schema": mapping}, {"name": anything})),
    }
    if tables.TASK_BUDGET in granted:
        members["task_budget"] = nullable(mapping)
    return nullable(record({}, members))


def _thinking(granted: frozenset[str]) -> Check:
    more = anything if granted.intersection(tables.THINKING_KEYS) else None
    display = {"display": nullable(anything if more else one_of("summarized", "omitted"))}
    enabled = {"type": anything, "budget_tokens": whole(least=1024)}
    return tagged(
        {
            "enabled": record(enabled, display, extra=more),
            "disabled": record({"type": anything}),
            "adaptive": record({"type": anything}, display, extra=more),
            "between_tools": record({"type": anything}, extra=more),
        }
    )


_CONTAINER = nullable(
    text_or(
        record(
            {},
            {
                "id": nullable(text()),
                "skills": nullable(
                    each(record({"type": one_of("anthropic", "custom"), "skill_id": text()}, {"version": text()}))
                ),
            },
        )
    )
)
_MODEL = text(least=1, most=256)
_SAMPLING: dict[str, Check] = {
    "temperature": number(least=0, most=1),
    "top_p": number(least=0, most=1),
    "top_k": whole(least=0),
}
_FAST = "fast mode is not supported in the Message Batches API"


def _batch_speed(value: object) -> str | None:
    return f": {_FAST}" if value == "fast" else _SPEED(value)


def _stop_sequences(value: object) -> str | None:
    flaw = _STRINGS(value)
    if flaw is None and any(not sequence.strip() for sequence in value):  # type: ignore[attr-defined]
        return ": each stop sequence must contain non-whitespace"
    return flaw


_STRINGS = each(text())
_SPEED = nullable(one_of("standard", "fast"))


def _shared(granted: frozenset[str]) -> dict[str, Check]:
    """The optional keys that a request and a count of tokens have in common."""
    return {
        "system": content.SYSTEM,
        "tools": nullable(params_tools.tools(granted)),
        "tool_choice": nullable(params_tools.TOOL_CHOICE),
        "thinking": nullable(_thinking(granted)),
        "output_config": _output_config(granted),
        "cache_control": content.CACHE_CONTROL,
        "user_profile_id": nullable(text()),
        **{key: _BETA_KEYS[key] for key in tables.opened(tables.TOP_LEVEL, granted)},
    }


_BETA_KEYS: dict[str, Check] = {
    "mcp_servers": nullable(
        each(
            record(
                {"type": one_of("url"), "name": text(least=1), "url": text(least=1)},
                {"authorization_token": nullable(text()), "tool_configuration": nullable(mapping)},
            ),
            most=20,
        )
    ),
    "context_management": nullable(mapping),
    "compaction": nullable(mapping),
    "fallbacks": anything,
    "fallback_credit_token": nullable(text()),
    "billing_policy": nullable(mapping),
    "thread": nullable(mapping),
    "output_format": nullable(record({"type": one_of("json_schema"), "schema": mapping}, {"name": anything})),
}


@lru_cache(maxsize=256)
def _request_shape(oldest: bool, granted: frozenset[str], batched: bool) -> Check:  # noqa: FBT001 - a cache's key
    least = (
        whole(least=1, sentence="must be greater than or equal to 1")
        if batched
        else whole(least=0, sentence="must be greater than or equal to 0")
    )
    required = {"model": _MODEL, "messages": content.messages(granted, oldest=oldest), "max_tokens": least}
    optional: dict[str, Check] = {
        **_shared(granted),
        "stop_sequences": nullable(_stop_sequences),
        "stream": nullable(flag),
        "metadata": nullable(record({}, {"user_id": nullable(text(most=256))})),
        "service_tier": nullable(one_of("auto", "standard_only")),
        "container": _CONTAINER,
        "diagnostics": nullable(record({}, {"previous_message_id": nullable(text())})),
        "inference_geo": nullable(text()),
        "speed": _batch_speed if batched else _SPEED,
        **(_SAMPLING if oldest else {}),
    }
    return record(required, optional)


@lru_cache(maxsize=256)
def _count_shape(oldest: bool, granted: frozenset[str]) -> Check:  # noqa: FBT001 - a cache's key
    required = {"model": _MODEL, "messages": content.messages(granted, oldest=oldest)}
    return record(required, {**_shared(granted), "speed": _SPEED})


_Rule = Callable[[Members, Model, _Call], str | None]


def _cap_flaw(members: Members, model: Model, call: _Call) -> str | None:
    cap = model.cap(long_output=call.batched and LONG_OUTPUT_BETA in call.betas)
    asked = members["max_tokens"]
    if cap is None or asked <= cap:
        return None
    return f"max_tokens: {asked} > {cap}, which is the maximum allowed number of output tokens for {model.id}"


def _thinking_flaw(members: Members, model: Model, call: _Call) -> str | None:
    thinking = members.get("thinking") or {"type": "disabled"}
    kind = thinking["type"]
    if kind not in model.thinking and members.get("thinking"):
        return _NO_THINKING[kind]
    if kind == "disabled":
        return None
    if _forces_tools(members):
        return "Thinking may not be enabled when tool_choice forces tool use."
    interleaved = any(beta.startswith(tables.INTERLEAVED) for beta in call.betas)
    if kind == "enabled" and not interleaved and thinking["budget_tokens"] >= members.get("max_tokens", math.inf):
        return "`max_tokens` must be greater than `thinking.budget_tokens`."
    return (
        "`temperature` may only be set to 1 when thinking is enabled." if members.get("temperature", 1) != 1 else None
    )


def _forces_tools(members: Members) -> bool:
    return (members.get("tool_choice") or {}).get("type") in ("any", "tool")


_NO_THINKING = {
    "enabled": '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
    '"output_config.effort" to control thinking behavior.',
    "adaptive": "adaptive thinking is not supported on this model",
    "disabled": '"thinking.type.disabled" is not supported for this model.',
    "between_tools": '"thinking.type.between_tools" is not supported for this model.',
}


def _model_flaw(members: Members, model: Model, _: _Call) -> str | None:
    """What newer models refuse, whatever the API version."""
    if not model.sampling:
        for key, default in (("temperature", 1), ("top_p", 1), ("top_k", 0)):
            if members.get(key, default) != default:
                return f"`{key}` is deprecated for this model."
    last = members["messages"][-1]
    if not model.prefill and last["role"] == "assistant" and last["content"]:
        return "This model does not support assistant message prefill. The conversation must end with a user message."
    if not model.forced_tools and _forces_tools(members):
        return "tool_choice: forced tool use is not supported for this model."
    return None


def _tools_rule(members: Members, _: Model, __: _Call) -> str | None:
    return params_tools.tools_flaw(members)


def _turns_rule(members: Members, _: Model, __: _Call) -> str | None:
    return turns_flaw(members) or marks_flaw(members)


_COUNT_RULES: tuple[_Rule, ...] = (_thinking_flaw, _tools_rule, _turns_rule)
_RULES: tuple[_Rule, ...] = (_cap_flaw, _thinking_flaw, _tools_rule, _model_flaw, _turns_rule)
