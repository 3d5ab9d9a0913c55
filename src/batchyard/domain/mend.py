"""Mending a Message that a model server wrote almost right: one member at a time, every other byte stays.

What cannot be known is not made up. An answer that shows nothing to mend is not read again.
"""

from typing import Any

import msgspec

from batchyard.domain.servers import Server, own_id
from batchyard.domain.splice import splice

_OWN = "msg_"
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def mend_shape(body: bytes, server: Server) -> bytes | None:
    """Return the body with what keeps it from being a Message mended, or None where that is not known how.

    ``content: null`` says that the model said nothing (a Go server's empty list). Usage without numbers is guessed
    only where the kind of server says so.
    """
    if not server.mends:
        return None
    try:
        members = _objects.decode(body)
        usage = _objects.decode(members.get("usage", b"{}")) if server.guesses_usage else {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    mended = body
    if bytes(members.get("content", b"")) == b"null":
        mended = splice(mended, "content", b"[]")
    if server.guesses_usage:
        missing = [name for name in ("input_tokens", "output_tokens") if bytes(usage.get(name, b"null")) == b"null"]
        if missing:
            mended = splice(mended, "usage", _encode(usage | dict.fromkeys(missing, msgspec.Raw(b"0"))))
    return mended if mended is not body else None


def mend(line: bytes, id_: str, stop_reason: str, stop_sequence: Any, server: Server) -> bytes:
    """Return the Message with an id and a stop reason of this API's form."""
    if not server.mends:
        return line
    if not id_.startswith(_OWN):
        line = splice(line, "id", _encode(own_id(id_.encode())))
    if stop_reason == "end_turn" and isinstance(stop_sequence, str):
        line = splice(line, "stop_reason", b'"stop_sequence"')
    return line


def mend_usage(line: bytes, input_tokens: int, cached: int) -> bytes:
    """Return the Message with what came from a cache taken out of ``input_tokens``, where it is counted again."""
    usage = _objects.decode(_objects.decode(line)["usage"])
    usage["input_tokens"] = msgspec.Raw(b"%d" % (input_tokens - cached))
    return splice(line, "usage", _encode(usage))
