"""Params of a Messages request as the body of a chat completion; ``docs/chat-completions.md`` tells users of it."""

from dataclasses import dataclass
from typing import Any

import msgspec

from batchyard.domain.result import RequestError
from batchyard.upstream import chat_content
from batchyard.upstream.chat_answer import Asked
from batchyard.upstream.chat_dialect import Dialect
from batchyard.upstream.chat_fields import CannotCarry, Fields, cannot, fields, items, only, read, text

Body = dict[str, Any]

_OF_ENGINES = ("top_k", "min_p")
"""Members that engines take and OpenAI's service does not."""
_SAME = ("model", "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", *_OF_ENGINES)
"""Members that have the same name and meaning. Some are no part of the Messages API: callers add them for an engine."""
_CARRIED = (
    *_SAME,
    *(
        "max_tokens",
        "system",
        "messages",
        "stop_sequences",
        "stream",
        "metadata",
        "service_tier",
        "tools",
        "tool_choice",
    ),
    *("thinking", "output_config", "output_format", "cache_control"),
)
_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
_LITTLE_THOUGHT, _MUCH_THOUGHT = 4096, 16384
"""Tokens of a thinking budget below which an effort is low, and from which on it is high."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Translated:
    """The body to send, and what is needed to read the answer to it."""

    body: bytes
    asked: Asked


def translate(params: bytes, dialect: Dialect, *, stream: bool = False) -> Translated | RequestError:
    """Return what to send; or why chat completions cannot carry these params, with the member's path.

    Everything that can be wrong with the params shows here, before anything is paid for.
    """
    try:
        members = fields(_utf8(params), "params")
        return Translated(_encode(_body(members, dialect, stream=stream)), _asked(members))
    except CannotCarry as why:
        return RequestError("invalid_request_error", str(why))


def _utf8(params: bytes) -> bytes:
    """Members are passed on as bytes that nobody has decoded: what is no text would go out, or fail us half-way."""
    try:
        params.decode()
    except UnicodeDecodeError:
        raise cannot("params", "Input should be UTF-8") from None
    return params


def _asked(members: Fields) -> Asked:
    thinking = fields(members["thinking"], "thinking") if "thinking" in members else {}
    display = text(thinking, "display", "thinking") if "display" in thinking else "summarized"
    if display not in {"summarized", "omitted"}:
        raise cannot("thinking.display", "Input should be 'summarized' or 'omitted'")
    stops = frozenset(_stops(members))
    return Asked(text(members, "model", "params"), stops, shows_thinking=display != "omitted")


def _stops(members: Fields) -> list[str]:
    if "stop_sequences" not in members:
        return []
    found: list[str] = read(members["stop_sequences"], list[str], "stop_sequences")
    return found


def _body(members: Fields, dialect: Dialect, *, stream: bool) -> Body:
    only(members, _CARRIED, "")
    for name in ("model", "max_tokens", "messages"):
        if name not in members:
            raise cannot(name, "Field required")
    body: Body = {name: members[name] for name in _SAME if name in members}
    for name in _OF_ENGINES:
        if name in members and not dialect.takes_top_k:
            raise cannot(name, "this server's chat completions cannot carry it")
    body["max_completion_tokens" if dialect.is_openai else "max_tokens"] = members["max_tokens"]
    messages = chat_content.messages(members["messages"], dialect)
    if "system" in members:
        messages.insert(0, chat_content.system(members["system"], "system"))
    body["messages"] = messages
    body |= _plain(members) | _tools(members, dialect) | _output(members)
    if "thinking" in members:
        body |= _thinking(fields(members["thinking"], "thinking"), dialect, body.get("reasoning_effort"))
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _plain(members: Fields) -> Body:
    body: Body = {}
    if stops := _stops(members):
        body["stop"] = stops
    if "metadata" in members:
        metadata = fields(members["metadata"], "metadata")
        only(metadata, ("user_id",), "metadata")
        if "user_id" in metadata:
            body["user"] = metadata["user_id"]
    if "service_tier" in members and text(members, "service_tier", "params") == "standard_only":
        body["service_tier"] = "default"
    return body


def _tools(members: Fields, dialect: Dialect) -> Body:
    body: Body = {}
    if "tools" in members:
        body["tools"] = [_tool(raw, f"tools.{number}") for number, raw in enumerate(items(members["tools"], "tools"))]
    if "tool_choice" in members:
        body |= _tool_choice(fields(members["tool_choice"], "tool_choice"))
    if not dialect.takes_tool_choice and (body.get("tool_choice", "auto") != "auto" or "parallel_tool_calls" in body):
        raise cannot("tool_choice", "this server's chat completions heed none but auto")
    return body


def _tool(raw: msgspec.Raw, path: str) -> Body:
    members = fields(raw, path)
    kind = text(members, "type", path) if "type" in members else "custom"
    if kind != "custom":
        raise cannot(f"{path}.type", f"{kind} is run by a server of the Messages API; chat completions cannot carry it")
    known = ("type", "name", "description", "input_schema", "strict", "cache_control", "eager_input_streaming")
    only(members, known, path)
    function: Body = {"name": text(members, "name", path)}
    for theirs, ours in (("description", "description"), ("parameters", "input_schema"), ("strict", "strict")):
        if ours in members:
            function[theirs] = members[ours]
    return {"type": "function", "function": function}


def _tool_choice(members: Fields) -> Body:
    only(members, ("type", "name", "disable_parallel_tool_use"), "tool_choice")
    choice: object
    match text(members, "type", "tool_choice"):
        case "auto":
            choice = "auto"
        case "any":
            choice = "required"
        case "none":
            choice = "none"
        case "tool":
            choice = {"type": "function", "function": {"name": text(members, "name", "tool_choice")}}
        case other:
            raise cannot("tool_choice.type", f"chat completions cannot carry {other}")
    body: Body = {"tool_choice": choice}
    if "disable_parallel_tool_use" in members:
        alone = read(members["disable_parallel_tool_use"], bool, "tool_choice.disable_parallel_tool_use")
        body["parallel_tool_calls"] = not alone
    return body


def _output(members: Fields) -> Body:
    body: Body = {}
    config = fields(members["output_config"], "output_config") if "output_config" in members else {}
    only(config, ("effort", "format"), "output_config")
    if "effort" in config:
        effort = text(config, "effort", "output_config")
        if effort not in _EFFORTS:
            raise cannot("output_config.effort", f"chat completions cannot carry {effort}")
        body["reasoning_effort"] = _EFFORTS[effort]
    if "format" in config and "output_format" in members:
        raise cannot("output_format", "output_config.format says the same; keep one")
    for raw, path in ((config.get("format"), "output_config.format"), (members.get("output_format"), "output_format")):
        if raw is not None:
            body["response_format"] = _format(fields(raw, path), path)
    return body


def _format(members: Fields, path: str) -> Body:
    only(members, ("type", "schema", "name"), path)
    if text(members, "type", path) != "json_schema" or "schema" not in members:
        raise cannot(f"{path}.type", "chat completions cannot carry a format other than json_schema")
    name = text(members, "name", path) if "name" in members else "output"
    return {"type": "json_schema", "json_schema": {"name": name, "schema": members["schema"], "strict": True}}


def _thinking(members: Fields, dialect: Dialect, effort: str | None) -> Body:
    """Say whether to think. How long is the server's own matter: a budget becomes an effort at most."""
    only(members, ("type", "budget_tokens", "display"), "thinking")
    kind = text(members, "type", "thinking")
    if kind not in {"enabled", "disabled", "adaptive"}:
        raise cannot("thinking.type", f"chat completions cannot carry {kind}")
    if dialect.thinks_by_effort and kind == "disabled":
        return {"reasoning_effort": "none"}
    if not dialect.is_openai and not dialect.thinks_by_effort:
        return {"chat_template_kwargs": {"enable_thinking": kind != "disabled"}}
    if effort is not None or kind != "enabled":
        return {}
    if "budget_tokens" not in members:
        return {"reasoning_effort": "medium"} if dialect.thinks_by_effort else {}
    budget = read(members["budget_tokens"], int, "thinking.budget_tokens")
    level = "low" if budget < _LITTLE_THOUGHT else "medium" if budget < _MUCH_THOUGHT else "high"
    return {"reasoning_effort": level}
