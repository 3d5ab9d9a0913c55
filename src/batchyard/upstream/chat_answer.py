"""A chat completion as a Message. Servers are not trusted: what is not whole is no answer."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any

import msgspec

from batchyard.domain import complaint
from batchyard.domain.answer import judge_message
from batchyard.domain.outcome import Outcome, Unknown
from batchyard.domain.partial import whole_part
from batchyard.domain.result import RequestError
from batchyard.domain.servers import own_id

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_STOP_REASONS = {
    "stop": "end_turn",
    "eos": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
"""finish_reason -> stop_reason. Others, such as an engine's ``abort``, end no answer."""


class Function(msgspec.Struct):
    name: str
    arguments: str | None = None


class ToolCall(msgspec.Struct):
    function: Function
    id: str | None = None


class Thought(msgspec.Struct):
    type: str
    text: str = ""


class Part(msgspec.Struct):
    type: str
    text: str = ""
    thinking: str | list[Thought] = ""


class Said(msgspec.Struct):
    """``reasoning_content`` is DeepSeek's, SGLang's, llama.cpp's and older vLLM's name, ``reasoning`` newer vLLM's.

    Mistral's reasoning models tell ``content`` as a list of texts and thoughts.
    """

    content: str | list[Part] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(msgspec.Struct):
    """``stop_reason`` is vLLM's, ``matched_stop`` SGLang's: the stop sequence that was met, or the token."""

    message: Said
    finish_reason: str
    stop_reason: str | int | None = None
    matched_stop: str | int | None = None


class Cached(msgspec.Struct):
    cached_tokens: int | None = None


Tokens = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Usage(msgspec.Struct):
    """``prompt_cache_hit_tokens`` is DeepSeek's name for what others tell in the details."""

    prompt_tokens: Tokens
    completion_tokens: Tokens
    prompt_tokens_details: Cached | None = None
    prompt_cache_hit_tokens: int | None = None


class Completion(msgspec.Struct):
    choices: list[Choice]
    usage: Usage
    model: str = ""
    id: str = ""


_completions = msgspec.json.Decoder(Completion)
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


class NotWhole(Exception):
    """The answer cannot be one; the message says why, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the params is needed to read the answer.

    ``model`` is for servers that name none. Without ``shows_thinking`` a thinking block is empty.
    """

    model: str = ""
    stops: frozenset[str] = frozenset()
    shows_thinking: bool = True


def judge_completion(body: bytes, asked: Asked, *, batched: bool = True) -> Outcome:
    """Return the completion as a Message on one line, or what a broken one amounts to."""
    try:
        completion = _completions.decode(body)
        message = message_of(completion, asked, body, batched=batched)
    except NotWhole as why:
        return Unknown(RequestError("api_error", f"The upstream's answer {why}."))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as wrong:
        said = complaint.read(body)
        if said.message:  # an error with status 200
            return Unknown(RequestError("api_error", f"The upstream answered 200 with an error: {said.message}"))
        flaw = str(wrong) if isinstance(wrong, msgspec.ValidationError) else "not JSON"
        return Unknown(RequestError("api_error", f"The upstream's answer is no chat completion: {flaw}"))
    return judge_message(_encode(message))  # what a Message must be is said once, for every dialect


def message_of(completion: Completion, asked: Asked, body: bytes, *, batched: bool) -> dict[str, Any]:
    """Return the Message. Raises ``NotWhole``."""
    if len(completion.choices) != 1:
        raise NotWhole(f"has {len(completion.choices)} choices instead of one")
    [choice] = completion.choices
    id_ = message_id(completion.id, body)
    content = _content(choice.message, asked, id_, is_cut=is_cut(choice.finish_reason))
    calls = [block["id"] for block in content if block["type"] == "tool_use"]
    if len(set(calls)) != len(calls):
        raise NotWhole("has two tool calls with one id")
    refused = bool(choice.message.refusal)
    stop_reason, stop_sequence = end_of(
        choice.finish_reason,
        choice.stop_reason or choice.matched_stop,
        asked,
        has_calls=bool(calls),
        refused=refused,
    )
    return {
        **empty_message(id_, completion.model or asked.model),
        "content": content,
        **ending_of(stop_reason, stop_sequence),
        "usage": usage_of(completion.usage, batched=batched),
    }


def empty_message(id_: str, model: str) -> dict[str, Any]:
    """Return a Message but for its usage: every member is there, since clients look for it, null where unknown."""
    return {
        "id": id_,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "diagnostics": None,
    }


def ending_of(stop_reason: str, stop_sequence: str | None) -> dict[str, Any]:
    """Return the members that tell why the answer ended. Servers of chat completions name no category of a refusal."""
    refusal = {"type": "refusal", "category": None, "explanation": None} if stop_reason == "refusal" else None
    return {"stop_reason": stop_reason, "stop_sequence": stop_sequence, "stop_details": refusal}


def is_cut(finish_reason: str) -> bool:
    """Whether the model had to stop, so that the call it was writing may lack its end."""
    return finish_reason == "length"


def end_of(
    finish_reason: str, met: str | int | None, asked: Asked, *, has_calls: bool, refused: bool
) -> tuple[str, str | None]:
    """Return stop_reason and stop_sequence. Raises ``NotWhole``."""
    if finish_reason not in _STOP_REASONS:
        raise NotWhole("was ended by the server before it was whole")
    stop_reason = _STOP_REASONS[finish_reason]
    if stop_reason == "tool_use" and not has_calls:
        raise NotWhole("ends for tool calls and has none")
    if refused:
        return "refusal", None
    if has_calls and stop_reason == "end_turn":  # some servers end so after a call that was asked for by name
        return "tool_use", None
    if finish_reason == "stop" and isinstance(met, str) and met in asked.stops:
        return "stop_sequence", met
    return stop_reason, None


def usage_of(usage: Usage, *, batched: bool) -> dict[str, Any]:
    """Return the Message's usage: what was read from a cache is not counted twice."""
    details = usage.prompt_tokens_details
    told = (details.cached_tokens if details else None) or usage.prompt_cache_hit_tokens or 0
    cached = min(max(0, told), usage.prompt_tokens)
    return {
        "input_tokens": usage.prompt_tokens - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "cache_creation": None,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": None,
        "server_tool_use": None,
        "service_tier": "batch" if batched else "standard",
        "inference_geo": None,
        "speed": None,
    }


def message_id(foreign: str, body: bytes) -> str:
    """Return an id of this API's form that follows from the server's own, or from the answer."""
    return own_id(foreign.encode() or body)


def tool_id(foreign: str | None, place: int, salt: str) -> str:
    """Return the call's id if it may stand in this API; else one that follows from it."""
    if foreign and _NAME.match(foreign):
        return foreign
    return "toolu_" + hashlib.sha256(f"{salt} {place} {foreign}".encode()).hexdigest()[:24]


def tool_input(arguments: str | None, *, cut: bool = False) -> msgspec.Raw:
    """Return the arguments of a call, which must be an object; what is whole of one that was ``cut``."""
    try:
        _objects.decode((arguments or "{}").encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        if cut:
            return msgspec.Raw(whole_part(arguments or ""))
        raise NotWhole("has a tool call whose arguments are no JSON object") from None
    return msgspec.Raw(msgspec.json.format((arguments or "{}").encode(), indent=-1))


def pieces(content: str | list[Part] | None) -> Iterator[tuple[str, str]]:
    """Yield what was said piece by piece: ``text`` or ``thinking``, and its text. Raises ``NotWhole``."""
    if isinstance(content, str):
        content = [Part("text", content)]
    for part in content or ():
        thoughts = [Thought("text", part.thinking)] if isinstance(part.thinking, str) else part.thinking
        if part.type not in {"text", "thinking"} or any(thought.type != "text" for thought in thoughts):
            raise NotWhole("has content of a kind that is not understood")
        told = part.text if part.type == "text" else "".join(thought.text for thought in thoughts)
        if told:
            yield part.type, told


def _content(said: Said, asked: Asked, salt: str, *, is_cut: bool) -> Sequence[dict[str, Any]]:
    """Return the blocks; ``salt`` tells this answer's calls from another's where the server gives them no ids."""
    content: list[dict[str, Any]] = []
    thought = said.reasoning_content or said.reasoning
    told = [*([("thinking", thought)] if thought else []), *pieces(said.content)]
    for kind, run in groupby(told, key=lambda piece: piece[0]):
        content.append(_told(kind, "".join(text for _, text in run), asked))
    if said.refusal:
        content.append(_told("text", said.refusal, asked))
    calls = said.tool_calls or ()
    for place, call in enumerate(calls):
        if not call.function.name:
            raise NotWhole("has a tool call without a name")
        id_ = tool_id(call.id, place, salt)
        given = tool_input(call.function.arguments, cut=is_cut and place == len(calls) - 1)
        content.append({"type": "tool_use", "id": id_, "name": call.function.name, "input": given})
    return content


def _told(kind: str, text: str, asked: Asked) -> dict[str, Any]:
    if kind == "thinking":
        return {"type": "thinking", "thinking": text if asked.shows_thinking else "", "signature": ""}
    return {"type": "text", "text": text, "citations": None}
