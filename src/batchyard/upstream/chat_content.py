"""The messages of params as chat messages: text, images, documents, tool calls and their results, thinking."""

from collections.abc import Iterator
from typing import Any

import msgspec

from batchyard.upstream.chat_dialect import Dialect
from batchyard.upstream.chat_fields import Fields, cannot, fields, items, only, read, text

ChatMessage = dict[str, Any]
Part = dict[str, Any]

_HINTS = ("type", "cache_control")
"""Members that change no answer: marks for a prompt cache are the server's own matter here."""
_FAILED = "Error: "
"""Chat completions have no word for a tool that failed; this stands before what it said."""


def system(raw: msgspec.Raw, path: str) -> ChatMessage:
    """Return the system message: text, or the texts of its blocks as paragraphs."""
    if bytes(raw)[:1] == b'"':
        return {"role": "system", "content": read(raw, str, path)}
    texts = []
    for number, block in enumerate(items(raw, path)):
        where = f"{path}.{number}"
        members = fields(block, where)
        if text(members, "type", where) != "text":
            raise cannot(f"{where}.type", "chat completions take text alone in a system prompt")
        texts.append(_text_block(members, where))
    return {"role": "system", "content": "\n\n".join(texts)}


def messages(raw: msgspec.Raw, dialect: Dialect) -> list[ChatMessage]:
    """Return the chat messages of all turns."""
    found: list[ChatMessage] = []
    turns = items(raw, "messages")
    for number, turn in enumerate(turns):
        path = f"messages.{number}"
        members = fields(turn, path)
        only(members, ("role", "content"), path)
        role = text(members, "role", path)
        if "content" not in members:
            raise cannot(f"{path}.content", "Field required")
        content = members["content"]
        match role:
            case "user":
                found += _user(content, f"{path}.content", dialect)
            case "assistant":
                if number == len(turns) - 1:
                    raise cannot(path, "chat completions cannot go on from the beginning of an answer (prefill)")
                found.append(_assistant(content, f"{path}.content", dialect.thoughts))
            case "system":
                found.append(system(content, f"{path}.content"))
            case _:
                raise cannot(f"{path}.role", "Input should be 'user', 'assistant' or 'system'")
    return found


# --- what a user says


def _user(raw: msgspec.Raw, path: str, dialect: Dialect) -> Iterator[ChatMessage]:
    """A user turn: results of tools are messages of their own, and come first; their images follow with the rest."""
    if bytes(raw)[:1] == b'"':
        yield {"role": "user", "content": read(raw, str, path)}
        return
    parts: list[Part] = []
    spoken = False
    for number, block in enumerate(items(raw, path)):
        where = f"{path}.{number}"
        members = fields(block, where)
        if text(members, "type", where) == "tool_result":
            if spoken:
                raise cannot(where, "tool_result blocks must come before other content")
            message, images = _tool_result(members, where, dialect)
            yield message
            parts += images
        else:
            spoken = True
            parts += _parts(members, where, dialect)
    if len(parts) == 1 and parts[0]["type"] == "text":
        yield {"role": "user", "content": parts[0]["text"]}
    elif parts:
        yield {"role": "user", "content": parts}


def _parts(members: Fields, path: str, dialect: Dialect) -> list[Part]:
    match text(members, "type", path):
        case "text":
            return [{"type": "text", "text": _text_block(members, path)}]
        case "image":
            return [_image(members, path)]
        case "document":
            return _document(members, path, dialect)
        case other:
            raise cannot(f"{path}.type", f"chat completions cannot carry {other} blocks")


def _text_block(members: Fields, path: str) -> str:
    """The text; citations of an earlier answer are notes beside it, and no part of what was said."""
    only(members, (*_HINTS, "text", "citations"), path)
    return text(members, "text", path)


def _image(members: Fields, path: str) -> Part:
    only(members, (*_HINTS, "source"), path)
    return {"type": "image_url", "image_url": {"url": _url(_source(members, path), f"{path}.source", "image/")}}


def _document(members: Fields, path: str, dialect: Dialect) -> list[Part]:
    only(members, (*_HINTS, "source", "title", "context", "citations"), path)
    if "citations" in members and read(members["citations"], dict[str, Any], path).get("enabled"):
        raise cannot(f"{path}.citations", "chat completions cannot cite documents")
    source = _source(members, path)
    only(source, ("type", "media_type", "data", "content", "url", "file_id"), f"{path}.source")
    head = [str(read(members[name], str, f"{path}.{name}")) for name in ("title", "context") if name in members]
    told: list[Part] = [{"type": "text", "text": "\n".join(head)}] if head else []
    kind = text(source, "type", f"{path}.source")
    if kind == "text":
        return [*told, {"type": "text", "text": text(source, "data", f"{path}.source")}]
    if kind == "content" and "content" in source:
        return [*told, *_inner(source["content"], f"{path}.source.content", dialect)]
    if kind == "base64":
        if not dialect.takes_files:
            raise cannot(path, "this server's chat completions take no PDF; send its text")
        name = str(read(members["title"], str, path)) if "title" in members else "document.pdf"
        url = _url(source, f"{path}.source", "application/pdf")
        return [*told, {"type": "file", "file": {"filename": name, "file_data": url}}]
    raise cannot(f"{path}.source.type", f"chat completions cannot carry documents by {kind}")


def _source(members: Fields, path: str) -> Fields:
    if "source" not in members:
        raise cannot(f"{path}.source", "Field required")
    return fields(members["source"], f"{path}.source")


def _url(source: Fields, path: str, media: str) -> str:
    only(source, ("type", "media_type", "data", "url", "file_id"), path)
    kind = text(source, "type", path)
    if kind == "url":
        return text(source, "url", path)
    if kind == "base64":
        media_type = text(source, "media_type", path)
        if not media_type.startswith(media):
            raise cannot(f"{path}.media_type", f"chat completions cannot carry {media_type} here")
        return f"data:{media_type};base64,{text(source, 'data', path)}"
    raise cannot(f"{path}.type", f"chat completions cannot carry a source of type {kind}")


def _tool_result(members: Fields, path: str, dialect: Dialect) -> tuple[ChatMessage, list[Part]]:
    """Return the tool's message, and its images: those can be in a user's message alone."""
    only(members, (*_HINTS, "tool_use_id", "content", "is_error"), path)
    parts = _inner(members["content"], f"{path}.content", dialect) if "content" in members else []
    said = "\n\n".join(part["text"] for part in parts if part["type"] == "text")
    if "is_error" in members and read(members["is_error"], bool, f"{path}.is_error"):
        said = _FAILED + said
    call = text(members, "tool_use_id", path)
    others = [part for part in parts if part["type"] != "text"]
    note: list[Part] = [{"type": "text", "text": f"Returned by tool call {call}:"}] if others else []
    return {"role": "tool", "tool_call_id": call, "content": said}, [*note, *others]


def _inner(raw: msgspec.Raw, path: str, dialect: Dialect) -> list[Part]:
    if bytes(raw)[:1] == b'"':
        return [{"type": "text", "text": read(raw, str, path)}]
    return [
        part
        for number, block in enumerate(items(raw, path))
        for part in _parts(fields(block, f"{path}.{number}"), f"{path}.{number}", dialect)
    ]


# --- what the model said before


def _assistant(raw: msgspec.Raw, path: str, thoughts_as: tuple[str, ...]) -> ChatMessage:
    if bytes(raw)[:1] == b'"':
        return {"role": "assistant", "content": read(raw, str, path)}
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    for number, block in enumerate(items(raw, path)):
        where = f"{path}.{number}"
        members = fields(block, where)
        match text(members, "type", where):
            case "text":
                texts.append(_text_block(members, where))
            case "thinking":
                only(members, (*_HINTS, "thinking", "signature"), where)
                thoughts.append(text(members, "thinking", where))
            case "redacted_thinking":
                pass  # encrypted for another model: nobody here could read it
            case "tool_use":
                calls.append(_call(members, where))
            case other:
                raise cannot(f"{where}.type", f"chat completions cannot carry {other} blocks")
    # without calls there must be a text, be it none
    message: ChatMessage = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    if calls:
        message["tool_calls"] = calls
    if thoughts:
        message |= dict.fromkeys(thoughts_as, "\n\n".join(thoughts))
    return message


def _call(members: Fields, path: str) -> dict[str, Any]:
    only(members, (*_HINTS, "id", "name", "input", "caller"), path)
    if "caller" in members:
        caller = fields(members["caller"], f"{path}.caller")
        if text(caller, "type", f"{path}.caller") != "direct":
            raise cannot(f"{path}.caller.type", "chat completions have no tools that call tools")
    given = members.get("input", msgspec.Raw(b"{}"))
    fields(given, f"{path}.input")
    arguments = bytes(given).decode()
    function = {"name": text(members, "name", path), "arguments": arguments}
    return {"id": text(members, "id", path), "type": "function", "function": function}
