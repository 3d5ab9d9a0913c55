"""The prompt cache, as far as usage shows it: which part of the input was read from it and which was written.

A mark (``cache_control``) ends a prefix: the model, tools, system and messages up to it. A prefix is written when its
answer is given, and read by a later request that has it before one of its own marks, at most twenty blocks back. Each
use begins its time to live anew. Prefixes are kept by hash alone, for all callers together.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from batchyard.domain.params_turns import blocks
from batchyard.upstream.simulated_tokens import MESSAGE_TOKENS, count_block, count_text, count_tool

Block = dict[str, Any]

SMALLEST_PREFIX = 1024
"""Tokens below which a prefix is not kept; the service's figure differs by model."""
LOOK_BACK = 20
TIME_TO_LIVE = {"5m": 300.0, "1h": 3600.0}
MOST_PREFIXES = 10_000

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Tokens read and written, and the prefixes that count as used once the answer is given: digest and life."""

    read: int = 0
    write_5m: int = 0
    write_1h: int = 0
    prefixes: tuple[tuple[bytes, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Step:
    """One block: the digest of the prefix that ends with it, the tokens of that prefix, and the life of its mark."""

    digest: bytes
    tokens: int
    ttl: str | None


class PromptCache:
    """Remembers prefixes; ``now`` is monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._prefixes: dict[bytes, tuple[float, str]] = {}

    def look_up(self, members: dict[str, Any], model: str, attached: dict[int, int]) -> CacheUse:
        """Return what the request would read and write now; ``attached`` is what images and files cost."""
        steps = list(_steps(members, model, attached))
        marked = [at for at, step in enumerate(steps) if step.ttl is not None and step.tokens >= SMALLEST_PREFIX]
        if not marked:
            return CacheUse()
        hit = self._longest_hit(steps, marked)
        read = steps[hit].tokens if hit is not None else 0
        writes = {"5m": 0, "1h": 0}
        known = read
        for at in marked:
            step = steps[at]
            if step.tokens > known and step.ttl is not None:
                writes[step.ttl] += step.tokens - known
                known = step.tokens
        used = [(steps[at].digest, steps[at].ttl or "5m") for at in marked]
        if hit is not None and hit not in marked:
            used.append((steps[hit].digest, self._prefixes[steps[hit].digest][1]))
        return CacheUse(read, writes["5m"], writes["1h"], tuple(used))

    def store(self, use: CacheUse) -> None:
        """Remember the prefixes of an answer that was given."""
        for digest, ttl in use.prefixes:
            self._prefixes.pop(digest, None)
            self._prefixes[digest] = (self._now() + TIME_TO_LIVE[ttl], ttl)
        while len(self._prefixes) > MOST_PREFIXES:
            self._prefixes.pop(next(iter(self._prefixes)))

    def _longest_hit(self, steps: list[_Step], marked: list[int]) -> int | None:
        now = self._now()
        for mark in reversed(marked):
            for at in range(mark, max(mark - LOOK_BACK, -1), -1):
                if self._prefixes.get(steps[at].digest, (now, ""))[0] > now:
                    return at
        return None


def has_marks(members: dict[str, Any]) -> bool:
    """Whether anything is marked for the cache."""
    return bool(members.get("cache_control")) or any(block.get("cache_control") for _, block in blocks(members))


def _steps(members: dict[str, Any], model: str, attached: dict[int, int]) -> Iterator[_Step]:
    hasher = hashlib.blake2b(model.encode(), digest_size=16)
    tokens = 0
    parts = list(_parts(members, attached))
    whole = members.get("cache_control")
    for nth, (what, cost, own) in enumerate(parts):
        packed = _encode(what)
        hasher.update(len(packed).to_bytes(8, "big") + packed)
        tokens += cost
        mark = own or (whole if nth == len(parts) - 1 else None)
        yield _Step(hasher.copy().digest(), tokens, (mark.get("ttl") or "5m") if mark else None)


def _parts(members: dict[str, Any], attached: dict[int, int]) -> Iterator[tuple[Any, int, Block | None]]:
    """Yield what is hashed of each block, what it costs and its mark, in the order of the cache."""
    for tool in members.get("tools") or []:
        yield _bare(tool), count_tool(tool), tool.get("cache_control")
    yield from _content("system", members.get("system") or "", 0, attached)
    for message in members["messages"]:
        yield from _content(message["role"], message["content"], MESSAGE_TOKENS, attached)


def _content(
    role: str, content: str | list[Block], opening: int, attached: dict[int, int]
) -> Iterator[tuple[Any, int, Block | None]]:
    if isinstance(content, str):
        if content:
            yield (role, {"type": "text", "text": content}), opening + count_text(content), None
        return
    for nth, block in enumerate(content):
        cost = count_block(block, attached) + (opening if nth == 0 else 0)
        yield (role, _bare(block)), cost, _mark(block)


def _mark(block: Block) -> Block | None:
    """The block's own mark, or the last one inside of it."""
    inner = block.get("content") if block["type"] == "tool_result" else None
    marks = [part.get("cache_control") for part in inner if isinstance(part, dict)] if isinstance(inner, list) else []
    return block.get("cache_control") or next((mark for mark in reversed(marks) if mark), None)


def _bare(block: Block) -> Block:
    """The block without marks: where they stand changes no prefix."""
    bare = {key: value for key, value in block.items() if key != "cache_control"}
    if isinstance(bare.get("content"), list):
        bare["content"] = [_bare(part) if isinstance(part, dict) else part for part in bare["content"]]
    return bare
