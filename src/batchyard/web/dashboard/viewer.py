"""A request and its answer as turns and blocks to be read: text, tools, pictures, documents. Pure.

Nothing here knows markup: what comes out is text that a template fills in. JSON is kept as it was written, its numbers
too; what has no form that is known is shown as JSON.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

LONGEST_TEXT = 60_000
"""Characters of one text that are shown; the file has them all."""
MOST_BLOCKS = 400
DEEPEST = 4
Raw = msgspec.Raw
_Members = dict[str, Raw]
_members = msgspec.json.Decoder(_Members).decode
_items = msgspec.json.Decoder(list[Raw]).decode
_WRONG = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Block:
    """``kind`` is ``text``, ``thinking``, ``json``, ``picture`` or ``part``. A picture has its number in the request,
    and a part has blocks of its own. ``facts`` are short words beside the title."""

    kind: str
    title: str = ""
    text: str = ""
    facts: Sequence[str] = ()
    picture: int | None = None
    blocks: Sequence["Block"] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody said: ``who`` is a role, or ``system``."""

    who: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that params hold themselves: its type, and its bytes in base64."""

    media_type: str
    base64: str


@dataclass(slots=True)
class Shown:
    """Params or an answer. ``options`` are the members that are neither said nor tools."""

    turns: list[Turn] = field(default_factory=list)
    tools: list[Block] = field(default_factory=list)
    options: list[tuple[str, str]] = field(default_factory=list)
    raw: str = ""
    """All of it, where it could not be read."""
    pictures: list[Picture] = field(default_factory=list)


def request(params: bytes) -> Shown:
    """Return params as they are shown."""
    members = _object(params)
    if members is None:
        return Shown(raw=_cut(params.decode("utf-8", "replace")))
    shown = Shown()
    system, messages, tools = (members.pop(name, None) for name in ("system", "messages", "tools"))
    if system is not None:
        shown.turns.append(Turn("system", _blocks(system, shown.pictures)))
    for message in _list(messages):
        said = _object(message)
        role = _text(said.get("role")) if said else None
        if said is None or role is None:
            shown.turns.append(Turn("?", [_json("", message)]))
        else:
            shown.turns.append(Turn(role, _blocks(said.get("content", Raw(b'""')), shown.pictures)))
    shown.tools = [_tool(tool) for tool in _list(tools)]
    shown.options = [(name, _short(value)) for name, value in members.items()]
    return shown


def answer(message: bytes) -> Shown:
    """Return a Message as it is shown."""
    members = _object(message)
    if members is None:
        return Shown(raw=_cut(message.decode("utf-8", "replace")))
    content = members.pop("content", Raw(b"[]"))
    shown = Shown()
    role = _text(members.pop("role", None)) or "assistant"
    shown.turns.append(Turn(role, _blocks(content, shown.pictures)))
    usage = _object(members.pop("usage", Raw(b"null"))) or {}
    shown.options = [(name, _short(value)) for name, value in members.items() if bytes(value) != b"null"]
    shown.options += [(name, _short(value)) for name, value in usage.items() if bytes(value) not in (b"null", b"0")]
    return shown


def _blocks(content: Raw, pictures: list[Picture], deep: int = DEEPEST) -> list[Block]:
    text = _text(content)
    if text is not None:
        return [Block("text", text=_cut(text))]
    items = _list(content)
    if not items and bytes(content).strip() != b"[]":
        return [_json("", content)]
    shown = [_block(item, pictures, deep) for item in items[:MOST_BLOCKS]]
    if len(items) > MOST_BLOCKS:
        shown.append(Block("text", text=f"… {len(items) - MOST_BLOCKS:,} more blocks"))
    return shown


def _block(item: Raw, pictures: list[Picture], deep: int) -> Block:
    members = _object(item)
    name = _text(members.get("type")) if members else None
    if members is None or name is None:
        return _json("", item)
    match name:
        case "text":
            return Block("text", text=_cut(_text(members.get("text")) or ""), facts=_cited(members))
        case "thinking":
            return Block("thinking", "thinking", _cut(_text(members.get("thinking")) or ""))
        case "image" | "document":
            return _medium(name, members, pictures)
        case _:
            return _use(name, members, pictures, deep) or _json(name, item)


def _use(name: str, members: _Members, pictures: list[Picture], deep: int) -> Block | None:
    """Return the use of a tool or what came of it, whatever kind of tool it is; None where it is neither."""
    if "input" in members:
        facts = [word for word in (_text(members.get("id")),) if word]
        return Block("json", _text(members.get("name")) or name, _pretty(members["input"]), [name, *facts])
    if "content" in members and deep:
        facts = [word for word in (_text(members.get("tool_use_id")),) if word]
        wrong = ["is_error"] if bytes(members.get("is_error", Raw(b""))) == b"true" else []
        return Block("part", name, facts=[*facts, *wrong], blocks=_blocks(members["content"], pictures, deep - 1))
    return None


def _medium(name: str, members: _Members, pictures: list[Picture]) -> Block:
    source = _object(members.get("source", Raw(b"null"))) or {}
    form, media_type = _text(source.get("type")) or "?", _text(source.get("media_type")) or ""
    held = source.get("data", Raw(b'""'))
    title = _text(members.get("title")) or ("document" if name == "document" else "image")
    if form == "base64":
        facts = [media_type, f"{max(0, len(bytes(held)) - 2) * 3 // 4:,} bytes"]
        if name == "image":
            pictures.append(Picture(media_type, _text(held) or ""))
            return Block("picture", title, facts=facts, picture=len(pictures) - 1)
        return Block("part", title, facts=facts)
    if form == "text":
        return Block("text", title, _cut(_text(held) or ""), facts=[name, media_type])
    if form == "content" and "content" in source:
        return Block("part", title, facts=[name], blocks=_blocks(source["content"], pictures, 1))
    where = _text(source.get("url")) or _text(source.get("file_id")) or ""
    return Block("text", title, where, facts=[name, form])


def _tool(tool: Raw) -> Block:
    members = _object(tool)
    if members is None:
        return _json("", tool)
    name, words = _text(members.get("name")), _text(members.get("description"))
    facts = [each for each in (_text(members.get("type")),) if each]
    schema = members.get("input_schema", tool)
    return Block(
        "json", name or "tool", _pretty(schema), facts, blocks=[Block("text", text=_cut(words))] if words else ()
    )


def _cited(members: _Members) -> list[str]:
    cited = len(_list(members.get("citations")))
    return [f"{cited} citation{'s' if cited > 1 else ''}"] if cited else []


def _json(title: str, value: Raw) -> Block:
    return Block("json", title, _pretty(value))


def _pretty(value: Raw) -> str:
    try:
        return _cut(msgspec.json.format(bytes(value), indent=2).decode("utf-8", "replace"))
    except _WRONG:
        return _cut(bytes(value).decode("utf-8", "replace"))


def _short(value: Raw) -> str:
    text = _text(value)
    return _cut(bytes(value).decode("utf-8", "replace") if text is None else text, 2000)


def _object(value: Raw | bytes) -> _Members | None:
    try:
        return _members(value)
    except _WRONG:
        return None


def _list(value: Raw | None) -> list[Raw]:
    try:
        return [] if value is None else _items(value)
    except _WRONG:
        return []


def _text(value: Raw | None) -> str | None:
    try:
        return None if value is None else msgspec.json.decode(value, type=str)
    except _WRONG:
        return None


def _cut(text: str, longest: int = LONGEST_TEXT) -> str:
    return text if len(text) <= longest else f"{text[:longest]}\n… {len(text) - longest:,} characters more"
