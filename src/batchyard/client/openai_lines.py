"""Lines of the other batch format, ``{"custom_id", "method", "url", "body"}``, as params of the Messages API.

What the Messages API has no word for is refused by name, never dropped in silence.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

Members = dict[str, Any]

WITHOUT_EFFECT = {
    "n": 1,
    "stream": False,
    "logprobs": False,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "store": False,
}
"""Members that mean nothing at this value, and cannot be carried at any other."""
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high"}


def params_of(url: str, body: Members) -> Members:
    """Return the params; ``ValueError`` says what cannot be carried."""
    if url.endswith("/messages"):
        return body
    if not url.endswith("/chat/completions"):
        raise ValueError(f"url {url[:80]!r} has no counterpart: /v1/chat/completions and /v1/messages have")
    params: Members = {}
    for name, value in body.items():
        if value is None or (name in WITHOUT_EFFECT and value == WITHOUT_EFFECT[name]):
            continue
        if name not in _CARRIED:
            raise ValueError(f"{name[:40]!r} cannot be carried over to the Messages API: leave it out")
        _CARRIED[name](params, value)
    return params


def _same(name: str) -> Callable[[Members, Any], None]:
    def carry(params: Members, value: Any) -> None:
        params[name] = value

    return carry


def _stop(params: Members, value: Any) -> None:
    params["stop_sequences"] = [value] if isinstance(value, str) else value


def _user(params: Members, value: Any) -> None:
    params["metadata"] = {"user_id": value}


def _effort(params: Members, value: Any) -> None:
    if value not in _EFFORTS:
        raise ValueError(f"reasoning_effort {str(value)[:40]!r} has no counterpart")
    params.setdefault("output_config", {})["effort"] = _EFFORTS[value]


def _format(params: Members, value: Any) -> None:
    kind = _member(value, "type", "response_format")
    if kind == "text":
        return
    if kind != "json_schema":
        raise ValueError(f"response_format {str(kind)[:40]!r} has no counterpart: json_schema has")
    schema = _member(_member(value, "json_schema", "response_format"), "schema", "response_format.json_schema")
    params.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}


def _tools(params: Members, value: Any) -> None:
    params["tools"] = [_tool(_member(tool, "function", "tools")) for tool in _list(value, "tools")]


def _tool(function: Any) -> Members:
    tool = {"name": _member(function, "name", "tools.function")}
    if function.get("description") is not None:
        tool["description"] = function["description"]
    return tool | {"input_schema": function.get("parameters") or {"type": "object", "properties": {}}}


def _choice(params: Members, value: Any) -> None:
    words = {"auto": {"type": "auto"}, "none": {"type": "none"}, "required": {"type": "any"}}
    if isinstance(value, str) and value in words:
        chosen = words[value]
    else:
        function = _member(value, "function", "tool_choice")
        chosen = {"type": "tool", "name": _member(function, "name", "tool_choice.function")}
    params["tool_choice"] = chosen | params.get("tool_choice", {})


def _parallel(params: Members, value: Any) -> None:
    if value is False:
        params["tool_choice"] = {"type": "auto"} | params.get("tool_choice", {}) | {"disable_parallel_tool_use": True}


def _messages(params: Members, value: Any) -> None:
    system: list[str] = []
    turns: list[Members] = []
    for message in _list(value, "messages"):
        match _member(message, "role", "messages"):
            case "system" | "developer":
                system += [str(block["text"]) for block in _blocks(message.get("content"))]
            case "user":
                _turn(turns, "user", _blocks(message.get("content")))
            case "assistant":
                calls = [_call(call) for call in message.get("tool_calls") or ()]
                _turn(turns, "assistant", _blocks(message.get("content")) + calls)
            case "tool":
                call = _member(message, "tool_call_id", "messages")
                result = {"type": "tool_result", "tool_use_id": call, "content": _blocks(message.get("content"))}
                _turn(turns, "user", [result])
            case role:
                raise ValueError(f"role {str(role)[:40]!r} has no counterpart")
    if system:
        params["system"] = "\n\n".join(system)
    params["messages"] = [_plain(turn) for turn in turns]


def _turn(turns: list[Members], role: str, blocks: list[Members]) -> None:
    """Add to the last turn where its role is the same: results of tools come as messages of their own there."""
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    else:
        turns.append({"role": role, "content": blocks})


def _plain(turn: Members) -> Members:
    blocks = turn["content"]
    if len(blocks) == 1 and blocks[0]["type"] == "text":
        return {"role": turn["role"], "content": blocks[0]["text"]}
    return turn


def _blocks(content: Any) -> list[Members]:
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [_block(part) for part in _list(content, "content")]


def _block(part: Any) -> Members:
    match _member(part, "type", "content"):
        case "text":
            return {"type": "text", "text": _member(part, "text", "content")}
        case "image_url":
            return {"type": "image", "source": _source(_member(part["image_url"], "url", "image_url"))}
        case kind:
            raise ValueError(f"content of type {str(kind)[:40]!r} has no counterpart")


def _source(url: str) -> Members:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    media_type, _, encoded = url.removeprefix("data:").partition(";base64,")
    return {"type": "base64", "media_type": media_type, "data": encoded}


def _call(call: Any) -> Members:
    function = _member(call, "function", "tool_calls")
    try:
        given = msgspec.json.decode(function.get("arguments") or "{}")
    except msgspec.DecodeError:
        raise ValueError("the arguments of a tool call are not JSON") from None
    name = _member(function, "name", "tool_calls.function")
    return {"type": "tool_use", "id": _member(call, "id", "tool_calls"), "name": name, "input": given}


def _member(value: Any, name: str, where: str) -> Any:
    if not isinstance(value, Mapping) or name not in value:
        raise ValueError(f"{where}: {name} is missing")
    return value[name]


def _list(value: Any, where: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where} must be a list")  # noqa: TRY004 - a wrong line like any other
    return value


_CARRIED: dict[str, Callable[[Members, Any], None]] = {
    "model": _same("model"),
    "max_tokens": _same("max_tokens"),
    "max_completion_tokens": _same("max_tokens"),
    "temperature": _same("temperature"),
    "top_p": _same("top_p"),
    "messages": _messages,
    "stop": _stop,
    "user": _user,
    "tools": _tools,
    "tool_choice": _choice,
    "parallel_tool_calls": _parallel,
    "response_format": _format,
    "reasoning_effort": _effort,
}
