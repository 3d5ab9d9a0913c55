"""One block of a streamed Message while it grows, delta by delta. Pure."""

from typing import Any

import msgspec

from batchyard.domain import complaint
from batchyard.domain.partial import whole_part

RAW = msgspec.Raw()
"""A member that is not there."""


class Delta(msgspec.Struct):
    type: str
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""
    citation: msgspec.Raw = RAW
    content: msgspec.Raw = RAW
    encrypted_content: msgspec.Raw = RAW


_BLOCKS_OF = {
    "text_delta": "text",
    "citations_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "compaction_delta": "compaction",
}
"""Delta -> the kind of block that it goes on with; ``input_json_delta`` goes on with any that has an input."""
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_texts = msgspec.json.Decoder(str)


class NotWhole(Exception):
    """The stream cannot become a Message; the text says why, and quotes nothing of it."""


class Block:
    """One block of the content while it grows."""

    def __init__(self, raw: msgspec.Raw) -> None:
        self.members: dict[str, Any] = dict(_objects.decode(raw))
        self.kind = _texts.decode(self.members.get("type", b'""'))
        self._parts: dict[str, list[str]] = {}
        self._citations: list[msgspec.Raw] = []

    def go_on(self, delta: Delta) -> int:
        """Add a delta; return how many bytes, about, it told."""
        wanted = _BLOCKS_OF.get(delta.type)
        if delta.type == "input_json_delta" and self.kind not in {"text", "thinking"}:
            return self._add("input", delta.partial_json)
        if wanted is None or wanted != self.kind:
            raise NotWhole(f"has a delta that is not understood ({complaint.shorten(delta.type, 40)})")
        match delta.type:
            case "text_delta":
                return self._add("text", delta.text)
            case "thinking_delta":
                return self._add("thinking", delta.thinking)
            case "signature_delta":
                self.members["signature"] = delta.signature
                return len(delta.signature)
            case "citations_delta":
                self._citations.append(delta.citation)
                return len(bytes(delta.citation))
            case _:
                self.members |= {"content": delta.content, "encrypted_content": delta.encrypted_content}
                self.members = {name: value for name, value in self.members.items() if value is not RAW}
                return len(bytes(delta.content)) + len(bytes(delta.encrypted_content))

    def whole(self, *, cut: bool) -> dict[str, Any]:
        """Return the block. Raises ``NotWhole`` where the input of a tool is none, unless the answer was ``cut``."""
        for name, parts in self._parts.items():
            told = "".join(parts)
            if name == "input":
                self.members[name] = tool_input(told, cut=cut) if told.strip() else self.members.get(name, {})
            else:
                self.members[name] = _texts.decode(self.members.get(name, b'""')) + told
        if self.kind in {"tool_use", "server_tool_use"}:
            self.members.setdefault("input", {})
        if self._citations:
            before = msgspec.json.decode(self.members.get("citations", b"null"), type=list[msgspec.Raw] | None) or []
            self.members["citations"] = [*before, *self._citations]
        return self.members

    def _add(self, name: str, part: str) -> int:
        self._parts.setdefault(name, []).append(part)
        return len(part)


def tool_input(told: str, *, cut: bool) -> msgspec.Raw:
    """Return the input of a call, as it was written; the whole part of it where the answer was ``cut``."""
    try:
        _objects.decode(told.encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        if cut:
            return msgspec.Raw(whole_part(told))
        raise NotWhole("has a tool call whose input is no JSON object") from None
    return msgspec.Raw(told.encode())
