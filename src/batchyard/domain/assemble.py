"""A streamed Message put together again: events in, the Message out, as one call without a stream would have told it.

message_start ──> content_block_start ──> content_block_delta … ──> content_block_stop ──> message_delta ──> stop

Pure. What is not understood is never dropped: a delta of an unknown kind makes the answer a broken one. Events of an
unknown kind carry no content by the API's own rule and are passed over.
"""

from typing import Any

import msgspec

from batchyard.domain.answer import judge_message
from batchyard.domain.blocks import RAW, Block, Delta, NotWhole
from batchyard.domain.outcome import Hostile, Outcome, Unknown
from batchyard.domain.result import RequestError
from batchyard.domain.servers import ANTHROPIC, Server
from batchyard.domain.sse import EventReader, TooLong

OVERHEAD = 256
"""Bytes of events for each byte of a Message, at most: a token of four letters comes in one of 120 to 400 bytes."""
_CUT = frozenset({"max_tokens", "model_context_window_exceeded"})
"""Reasons that may leave a tool call incomplete."""


class _Event(msgspec.Struct):
    type: str = ""
    index: int = -1
    message: msgspec.Raw = RAW
    content_block: msgspec.Raw = RAW
    delta: msgspec.Raw = RAW
    usage: msgspec.Raw = RAW


class _Model(msgspec.Struct):
    model: msgspec.Raw


class _Fallback(msgspec.Struct):
    to: _Model


_EVENT = {"type", "delta", "usage"}
_events = msgspec.json.Decoder(_Event)
_deltas = msgspec.json.Decoder(Delta)
_fallbacks = msgspec.json.Decoder(_Fallback)
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


class Assembly:
    """Fed with all bytes of the stream in any pieces.

    ``flaw`` is set once it can be no Message; ``error`` is the data of an error event, ``begun`` whether content came
    before it. ``moved`` counts the events that told something: pings and comments do not.
    """

    def __init__(self, max_bytes: int, server: Server = ANTHROPIC) -> None:
        self._max_bytes, self._server = max_bytes, server
        self._reader = EventReader()
        self._message: dict[str, Any] = {}
        self._usage: dict[str, msgspec.Raw] = {}
        self._blocks: list[Block] = []
        self._at: dict[int, Block] = {}
        self._size = self._told = 0
        self._ended = self._counted = False
        self.begun = False
        self.moved = 0
        self.flaw: Outcome | None = None
        self.error = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._size += len(chunk)
        try:
            for kind, data in self._reader.feed(chunk):
                if self.flaw is None and not self.error:
                    self._event(kind, data)
        except TooLong:
            self.flaw = _hostile("sent an event that does not end")
        except NotWhole as why:
            self.flaw = _unknown(f"{why}")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.flaw = _unknown("has an event that is none of a Message")
        if self._told > self._max_bytes or self._size > OVERHEAD * self._max_bytes:
            self.flaw = _hostile(f"sent an answer of more than {self._max_bytes} bytes")

    def message(self) -> Outcome:
        """Return what the stream comes to, now that it has ended."""
        if self.flaw is not None:
            return self.flaw
        try:
            return judge_message(self._whole(), self._server)
        except NotWhole as why:
            return _unknown(f"{why}")
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return _unknown("has an event that is none of a Message")

    # --- events

    def _event(self, kind: bytes, data: bytes) -> None:
        if kind == b"ping" or not data or data.strip() == b"[DONE]":  # the last is vLLM's, behind its message_stop
            return
        if kind == b"error":
            self.error = data
            return
        event = _events.decode(data)
        what = event.type or kind.decode()
        if what == "error":
            self.error = data
        elif what == "message_start":
            self._begin(event)
        elif what.startswith(("content_block_", "message_")):
            self._go_on(what, event, data)

    def _begin(self, event: _Event) -> None:
        if self._message:
            raise NotWhole("began twice")
        self._message = dict(_objects.decode(event.message))
        self._usage = _objects.decode(self._message.get("usage", b"{}"))
        self.moved += 1

    def _go_on(self, what: str, event: _Event, data: bytes) -> None:
        if not self._message:
            raise NotWhole("has no beginning")
        if self._ended:
            raise NotWhole("goes on behind its end")
        match what:
            case "content_block_start":
                self._open(event)
            case "content_block_delta":
                self._delta(event)
                return
            case "content_block_stop":
                self._at.pop(event.index, None)
            case "message_delta":
                self._message_delta(event, data)
            case "message_stop":
                self._ended = True
            case _:
                return
        self.moved += 1

    def _open(self, event: _Event) -> None:
        """A block goes behind those before it; its index only says which deltas are its own (Ollama repeats one)."""
        block = Block(event.content_block)
        if not 0 <= event.index <= len(self._blocks):
            raise NotWhole("lacks a block of its content")
        if block.kind == "fallback":  # another model took over: the Message names the one that answered
            self._message["model"] = _fallbacks.decode(event.content_block).to.model
        self._blocks.append(block)
        self._at[event.index] = block
        self._told += len(bytes(event.content_block))
        self.begun = True

    def _delta(self, event: _Event) -> None:
        block = self._at.get(event.index)
        if block is None:
            raise NotWhole("goes on with a block that is not open")
        told = block.go_on(_deltas.decode(event.delta))
        self._told += told
        self.moved += told > 0

    def _message_delta(self, event: _Event, data: bytes) -> None:
        """Members of the delta, and of the event itself, are the Message's from now on; usage is a running total."""
        self._message |= _objects.decode(event.delta)
        beside = _objects.decode(data)
        self._message |= {name: beside[name] for name in beside.keys() - _EVENT if bytes(beside[name]) != b"null"}
        if event.usage is not RAW:
            usage = _objects.decode(event.usage)
            self._usage |= {name: value for name, value in usage.items() if bytes(value) != b"null"}
            self._counted = self._counted or bytes(usage.get("output_tokens", b"null")) != b"null"

    # --- the end

    def _whole(self) -> bytes:
        if not self._ended:
            raise NotWhole("ended its stream before the Message was whole")
        if not self._counted and not self._server.guesses_usage:
            raise NotWhole("has no usage")
        reason = msgspec.json.decode(self._message.get("stop_reason", b"null"))
        content = [block.whole(cut=reason in _CUT) for block in self._blocks]
        return _encode({**self._message, "content": content, "usage": self._usage})


def _unknown(why: str) -> Unknown:
    return Unknown(RequestError("api_error", f"The upstream's answer {why}."))


def _hostile(what: str) -> Hostile:
    return Hostile(RequestError("api_error", f"The upstream {what}."))
