"""How much is in an input: requests, tokens and the most they may be answered with, by model. Counted or estimated.

Tokens in are asked of the server for a sample, and scaled by bytes; without a server that counts they are estimated
from the text, and called so. Tokens out are nobody's to know: ``max_tokens`` is the most there can be.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

BYTES_PER_TOKEN = 3.5
"""Of text, in the languages that most prompts are in. A guess that holds within a third for English."""
IMAGE_TOKENS = 1600
"""The most that an image takes after it was scaled down."""
PAGE_TOKENS = 2500
"""A page of a PDF: its text and its picture."""
COUNTED_MEMBERS = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control"}
)
"""The members that a count of tokens takes."""
SAMPLED = 1000
"""Requests of a model that an estimate looks into, evenly spread."""

Count = Callable[[bytes], Awaitable[int]]
_decode = msgspec.json.Decoder()


class _Params(msgspec.Struct):
    model: Any = None
    max_tokens: Any = None


class _Line(msgspec.Struct):
    params: msgspec.Raw


_line = msgspec.json.Decoder(_Line)
_params = msgspec.json.Decoder(_Params)


@dataclass(slots=True)
class Asked:
    """What is asked of one model. ``sample`` are params of requests spread over all of them."""

    requests: int = 0
    body_bytes: int = 0
    max_tokens: int = 0
    cached: int = 0
    """Requests that mark something for the cache, whose writing costs more."""
    sample: list[bytes] = field(default_factory=list)
    tokens_per_byte: float = 0.0
    most_per_byte: float = 0.0
    is_counted: bool = False

    @property
    def input_tokens(self) -> int:
        return round(self.body_bytes * self.tokens_per_byte)


def surveyed(lines: Iterable[tuple[int, bytes]], total: int) -> dict[str, Asked]:
    """Return what is asked of each model by so many request lines; tokens in are estimated."""
    models: dict[str, Asked] = {}
    every = max(1, total // SAMPLED)
    for place, (_, line) in enumerate(lines):
        params = bytes(_line.decode(line).params)
        known = _params.decode(params)
        asked = models.setdefault(known.model if isinstance(known.model, str) else "", Asked())
        asked.requests += 1
        asked.body_bytes += len(params)
        asked.max_tokens += known.max_tokens if isinstance(known.max_tokens, int) else 0
        asked.cached += b'"cache_control"' in params
        if place % every == 0 or not asked.sample:
            asked.sample.append(params)
    for asked in models.values():
        _rate(asked, [(len(params), estimated_tokens(params)) for params in asked.sample])
    return models


async def counted(models: dict[str, Asked], count: Count, sample: int) -> None:
    """Ask for the tokens of some of each model's sample, and go by those. Raises what ``count`` raises."""
    for asked in models.values():
        step = max(1, len(asked.sample) // max(sample, 1))
        chosen = asked.sample[::step][:sample]
        if chosen:
            _rate(asked, [(len(params), await count(_countable(params))) for params in chosen])
            asked.is_counted = True


def _rate(asked: Asked, pairs: list[tuple[int, int]]) -> None:
    asked.tokens_per_byte = sum(tokens for _, tokens in pairs) / max(sum(size for size, _ in pairs), 1)
    asked.most_per_byte = max(tokens / max(size, 1) for size, tokens in pairs)


def _countable(params: bytes) -> bytes:
    members = msgspec.json.decode(params, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({name: value for name, value in members.items() if name in COUNTED_MEMBERS})


def estimated_tokens(params: bytes) -> int:
    """Return about how many tokens the params are: text by its bytes, images and pages of PDFs at what each takes."""
    members = _decode.decode(params)
    if not isinstance(members, dict):
        return 0
    counted = [members.get(name) for name in ("messages", "system", "tools")]
    return sum(_tokens(value) for value in counted) + 10


def _tokens(value: Any) -> int:
    if isinstance(value, str):
        return -(-len(value.encode(errors="replace")) * 2 // round(BYTES_PER_TOKEN * 2))
    if isinstance(value, list):
        return sum(_tokens(one) for one in value)
    if not isinstance(value, dict):
        return 1
    match value.get("type"):
        case "image":
            return IMAGE_TOKENS
        case "document":
            return _document_tokens(value)
    return sum(_tokens(one) for name, one in value.items() if name != "type")


def _document_tokens(block: dict[str, Any]) -> int:
    source = block.get("source")
    if not isinstance(source, dict) or source.get("type") != "base64":
        return _tokens(source)
    try:
        content = base64.b64decode(str(source.get("data")), validate=False)
    except binascii.Error:
        return PAGE_TOKENS
    pages = content.count(b"/Type /Page") + content.count(b"/Type/Page") - content.count(b"/Pages")
    return PAGE_TOKENS * max(1, pages)
