"""What requests begin with, as a number: the same number means the same tools, system prompt and first messages.

A model server keeps what prompts began with, and reads it again for less. The numbers only order a batch: two
beginnings with the same number by chance cost nothing but a cache hit.
"""

import re
import zlib

import msgspec

LONG = 1024
"""Bytes of tools and system from which they are worth keeping though nothing marks them: some 250 tokens. Servers
with caches of their own (vLLM, SGLang, llama.cpp) need no marks."""
MARK = b'"cache_control"'
MOST_SEARCHED = 4 * 1024 * 1024
MOST_OPENERS = 20_000
FEWEST_BYTES = 50
"""Messages beyond this, or with more braces, or more of them than one in so many bytes, are not searched for marks:
each block costs 2 µs."""

_MARK = re.compile(MARK)
_Raws = list[msgspec.Raw]
_lists = msgspec.json.Decoder(_Raws)


class Beginning(msgspec.Struct, gc=False):
    """The members of params that a prompt is made of, in the order in which a server reads them: tools first."""

    model: object = ""
    tools: msgspec.Raw = msgspec.Raw()
    system: msgspec.Raw = msgspec.Raw()
    messages: msgspec.Raw = msgspec.Raw()


class _Block(msgspec.Struct, gc=False):
    """Any object. What is no list of these is refused at the first that is none, however many come after it."""


class _Turn(msgspec.Struct, gc=False):
    content: msgspec.Raw = msgspec.Raw()


_turns = msgspec.json.Decoder(_Turn)
_objects = msgspec.json.Decoder(list[_Block])


def prefix(params: Beginning, *, marked: bool) -> int:
    """Return the number of what these params begin with, 0 if that is too short to matter.

    ``marked``: a mark for a cache may be among them. Where the last of these is at the very end, what is before it
    was meant for the next turn of the same talk, not for other requests: it does not count.
    """
    shared = _marked_messages(params.messages) if marked else b""
    if not shared and len(params.tools) + len(params.system) < LONG and not (marked and _has_mark(params)):
        return 0
    return zlib.crc32(shared, zlib.crc32(params.system, zlib.crc32(params.tools))) or 1


def _has_mark(params: Beginning) -> bool:
    return any(_MARK.search(memoryview(each)) for each in (params.tools, params.system))


def _marked_messages(messages: msgspec.Raw) -> bytes:
    """Return the leading messages, up to the block with the last mark that something follows."""
    if len(messages) > MOST_SEARCHED or MARK not in bytes(messages):
        return b""
    if bytes(messages).count(b"{") > min(MOST_OPENERS, 100 + len(messages) // FEWEST_BYTES):
        return b""
    try:
        blocks = [block for turn in _objects_of(messages) for block in _blocks(turn)]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return b""  # whatever it is, it is judged later
    marks = [place for place, block in enumerate(blocks[:-1]) if MARK in block]
    return b"".join(blocks[: marks[-1] + 1]) if marks else b""


def _blocks(turn: msgspec.Raw) -> list[bytes]:
    content = _turns.decode(turn).content
    if bytes(content)[:1] != b"[":
        return [bytes(turn)]
    return [bytes(block) for block in _objects_of(content)]


def _objects_of(json: msgspec.Raw) -> _Raws:
    """Return the objects of a list; raise ``ValidationError`` where it is something else."""
    _objects.decode(json)
    return _lists.decode(json)
