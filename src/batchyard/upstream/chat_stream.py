"""A streamed chat completion as the events of a streamed Message, chunk by chunk. Pure: bytes in, bytes out.

data: {"choices": [{"delta": ...}]} ──> message_start, content_block_start, content_block_delta ...
data: [DONE]                        ──> content_block_stop, message_delta, message_stop
"""

from typing import Any

import msgspec

from batchyard.domain.outcome import Failed, Hostile, Outcome, Unknown
from batchyard.domain.result import RequestError
from batchyard.upstream.chat_answer import (
    Asked,
    NotWhole,
    Part,
    Usage,
    empty_message,
    end_of,
    ending_of,
    is_cut,
    message_id,
    pieces,
    tool_id,
    tool_input,
    usage_of,
)

LONGEST_LINE = 16 * 1024 * 1024
"""A chunk longer than this is made to hurt."""
LONGEST_ARGUMENTS = 16 * 1024 * 1024
"""The arguments of one call are held until they can be judged."""


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    """A piece of a call. Some servers give no index; some begin each call with the same one."""

    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | list[Part] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    matched_stop: str | int | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: Usage | None = None
    model: str = ""
    id: str = ""
    error: msgspec.Raw = msgspec.Raw()


_CUMULATIVE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
)
"""What the last events say of usage; the rest is known at the start."""
_chunks = msgspec.json.Decoder(_Chunk)
_encode = msgspec.json.Encoder().encode


class ChatEvents:
    """Fed with all bytes of the stream in any pieces. ``outcome`` is set once it went wrong; ``ended`` once whole.

    ``error`` is the chunk that told of an error, where that is what went wrong.
    """

    def __init__(self, asked: Asked, *, batched: bool = False) -> None:
        self._asked, self._batched = asked, batched
        self._tail = b""
        self._out: list[bytes] = []
        self._id = ""  # the Message's, once it has begun
        self._block = ""  # the kind of the block that is open
        self._blocks = 0
        self._call_index: int | None = None
        self._call_id: str | None = None
        self._call_ids: set[str] = set()
        self._arguments = ""
        self._finish: tuple[str, str | int | None] | None = None
        self._usage: Usage | None = None
        self._refused = False
        self.ended = False
        self.outcome: Outcome | None = None
        self.error = b""

    @property
    def begun(self) -> bool:
        """Whether any content came."""
        return self._blocks > 0

    def feed(self, part: bytes) -> bytes:
        """Return the events that these bytes amount to."""
        *lines, self._tail = (self._tail + part).split(b"\n")
        if len(self._tail) > LONGEST_LINE:
            self.outcome = Hostile(RequestError("api_error", "The upstream sent a chunk that does not end."))
        for line in lines:
            if self.outcome is None and not self.ended and line.startswith(b"data:"):
                self._data(line[5:].strip())
        out, self._out = self._out, []
        return b"".join(out)

    def broken_off(self) -> Outcome:
        """Return what a stream that ended now amounts to."""
        self._fail("ended its stream before the answer was whole")
        assert self.outcome is not None
        return self.outcome

    def _data(self, data: bytes) -> None:
        try:
            if data == b"[DONE]":
                self._done()
                return
            chunk = _chunks.decode(data)
            if bytes(chunk.error) not in {b"", b"null"}:
                self.error = data
                self.outcome = Failed(RequestError("api_error", "The upstream told an error in its stream."))
                return
            self._chunk(chunk, data)
        except NotWhole as why:
            self._fail(str(why))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._fail("has a chunk that is none of a chat completion")

    def _chunk(self, chunk: _Chunk, data: bytes) -> None:
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices[:1]:
            if not self._id:  # Azure's first chunk has no choice, no id and no model
                self._begin(chunk, data)
            self._delta(choice.delta)
            if choice.finish_reason is not None:
                self._finish = (choice.finish_reason, choice.stop_reason or choice.matched_stop)

    def _delta(self, delta: _Delta) -> None:
        if thought := delta.reasoning_content or delta.reasoning:
            self._say("thinking", {"type": "thinking_delta", "thinking": thought}, told=self._asked.shows_thinking)
        for kind, piece in pieces(delta.content):
            told = kind == "text" or self._asked.shows_thinking
            self._say(kind, {"type": f"{kind}_delta", kind: piece}, told=told)
        if delta.refusal:
            self._refused = True
            self._say("refusal", {"type": "text_delta", "text": delta.refusal})
        for call in delta.tool_calls or ():
            self._call(call)

    def _begin(self, chunk: _Chunk, data: bytes) -> None:
        self._id = message_id(chunk.id, data)
        message = empty_message(self._id, chunk.model or self._asked.model)
        usage = usage_of(Usage(0, 0), batched=self._batched)
        self._event("message_start", {"message": {**message, "usage": usage}})

    def _say(self, kind: str, delta: dict[str, str], *, told: bool = True) -> None:
        if self._block != kind:
            empty: dict[str, Any] = {"type": "text", "text": "", "citations": None}
            if kind == "thinking":
                empty = {"type": "thinking", "thinking": "", "signature": ""}
            self._open(kind, empty)
        if told:
            self._event("content_block_delta", {"index": self._blocks - 1, "delta": delta})

    def _call(self, call: _Call) -> None:
        function = call.function or _Function()
        if self._is_another(call, function):
            if not function.name:
                raise NotWhole("has a tool call without a name")
            id_ = tool_id(call.id, len(self._call_ids), self._id)
            if id_ in self._call_ids:
                raise NotWhole("has two tool calls with one id")
            self._call_ids.add(id_)
            self._call_index, self._call_id = call.index, call.id
            self._open("call", {"type": "tool_use", "id": id_, "name": function.name, "input": {}})
        if function.arguments:
            self._arguments += function.arguments
            if len(self._arguments) > LONGEST_ARGUMENTS:
                raise NotWhole("has a tool call that is too long")
            delta = {"type": "input_json_delta", "partial_json": function.arguments}
            self._event("content_block_delta", {"index": self._blocks - 1, "delta": delta})

    def _is_another(self, call: _Call, function: _Function) -> bool:
        """Whether this piece begins a call: by its index; by a name and an id of its own; by a name where it is bare.

        A call that was left for another and is gone on with has no name, or an id that was there before.
        """
        if self._block != "call" or call.index != self._call_index:
            return True
        if not function.name:
            return False
        return call.id != self._call_id if call.id else call.index is None

    def _open(self, kind: str, block: dict[str, Any]) -> None:
        self._close()
        self._block = kind
        self._event("content_block_start", {"index": self._blocks, "content_block": block})
        self._blocks += 1

    def _close(self, *, cut: bool = False) -> None:
        if self._block == "call":
            tool_input(self._arguments, cut=cut)
        if self._block:
            self._event("content_block_stop", {"index": self._blocks - 1})
        self._block, self._arguments = "", ""

    def _done(self) -> None:
        if not self._id or self._finish is None or self._usage is None:
            raise NotWhole("ended its stream before the answer was whole")
        self._close(cut=is_cut(self._finish[0]))
        stop_reason, stop_sequence = end_of(
            *self._finish, self._asked, has_calls=bool(self._call_ids), refused=self._refused
        )
        usage = usage_of(self._usage, batched=self._batched)
        delta = {**ending_of(stop_reason, stop_sequence), "container": None}
        self._event("message_delta", {"delta": delta, "usage": {name: usage[name] for name in _CUMULATIVE}})
        self._event("message_stop", {})
        self.ended = True

    def _event(self, kind: str, members: dict[str, Any]) -> None:
        self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **members})))

    def _fail(self, why: str) -> None:
        self.outcome = Unknown(RequestError("api_error", f"The upstream's answer {why}."))
