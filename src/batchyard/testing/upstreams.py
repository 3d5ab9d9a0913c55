"""An upstream that does what a script says, on whatever event loop runs, virtual time too.

It knows nothing about HTTP. A script is a function from the number of the call (0, 1, 2 …) and the call itself to how
long it takes and what comes of it. What was called, when, and how much at once is kept for the test to read.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batchyard.domain.catalog import ModelInfo
from batchyard.domain.outcome import Answered, Outcome
from batchyard.ports import Call, Stream

Step = tuple[float, Outcome]
"""Seconds until the outcome, and the outcome."""
Script = Callable[[int, Call], Step]


@dataclass(slots=True)
class Seen:
    """One call as the upstream saw it. ``ended_at`` stays None while it runs; ``cut`` means that it was cancelled."""

    number: int
    call: Call
    started_at: float
    ended_at: float | None = None
    outcome: Outcome | None = None
    cut: bool = False


class ScriptedUpstream:
    """Implements ``Upstream``. Times are the running loop's ``time()``."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or always(answered())
        self.calls: list[Seen] = []
        self.by_params: Counter[bytes] = Counter()
        self.in_flight = 0
        self.most_in_flight = 0
        self.closed = False
        self.listed: Sequence[ModelInfo] = ()

    async def attempt(self, call: Call) -> Outcome:
        """Wait as long as the script says and return its outcome."""
        seen = self._begin(call)
        try:
            seconds, outcome = self.script(seen.number, call)
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            seen.cut = True
            raise
        else:
            seen.outcome = outcome
            return outcome
        finally:
            self._end(seen)

    async def stream(self, call: Call) -> Stream | Outcome:
        """Begin half-way through the script's time where its outcome is an answer; else as ``attempt``."""
        seconds, outcome = self.script(len(self.calls), call)
        if not isinstance(outcome, Answered):
            return await self.attempt(call)
        seen = self._begin(call)
        try:
            await asyncio.sleep(seconds / 2)
        except asyncio.CancelledError:
            seen.cut = True
            self._end(seen)
            raise
        return _ScriptedStream(seen, outcome, seconds / 2, self._end)

    async def count(self, call: Call) -> int | Outcome:
        """Return the length of the body."""
        return len(call.params)

    async def models(self) -> Sequence[ModelInfo] | Outcome:
        """Return ``self.listed``."""
        return self.listed

    def _begin(self, call: Call) -> Seen:
        assert not self.closed, "a call after close"
        seen = Seen(len(self.calls), call, asyncio.get_running_loop().time())
        self.calls.append(seen)
        self.by_params[call.params] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        return seen

    def _end(self, seen: Seen) -> None:
        seen.ended_at = asyncio.get_running_loop().time()
        self.in_flight -= 1

    async def close(self) -> None:
        """Take no more calls. Closing twice is allowed."""
        self.closed = True

    @property
    def repeated(self) -> dict[bytes, int]:
        """Params that were sent more than once, and how often beyond the first."""
        return {params: count - 1 for params, count in self.by_params.items() if count > 1}


class _ScriptedStream:
    """Two events: one at once, one after so many seconds."""

    def __init__(self, seen: Seen, answer: Answered, seconds: float, ended: Callable[[Seen], None]) -> None:
        start = b'event: message_start\ndata: {"type":"message_start","message":%b}\n\n' % answer.message
        stop = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
        self._steps = iter([(0.0, start), (seconds, stop)])
        self._seen, self._answer, self._ended = seen, answer, ended

    async def read(self) -> bytes | Outcome:
        seconds, event = next(self._steps, (0.0, b""))
        await asyncio.sleep(seconds)
        if not event and self._seen.ended_at is None:
            self._seen.outcome = self._answer
            self._ended(self._seen)
        return event

    async def close(self) -> None:
        if self._seen.ended_at is None:
            self._seen.cut = True
            self._ended(self._seen)


def always(outcome: Outcome, *, seconds: float = 0.0) -> Script:
    """Return a script in which every call ends alike."""
    return lambda _number, _call: (seconds, outcome)


def in_turn(steps: Sequence[Step], then: Step) -> Script:
    """Return a script that gives each call its step, in the order of the calls, and ``then`` to all later ones."""
    return lambda number, _call: steps[number] if number < len(steps) else then


def per_request(scripts: Callable[[bytes, int], Step]) -> Script:
    """Return a script that knows a request by its params: ``scripts(params, attempt)``, attempts from 1."""
    attempts: Counter[bytes] = Counter()

    def script(_number: int, call: Call) -> Step:
        attempts[call.params] += 1
        return scripts(call.params, attempts[call.params])

    return script


def answered(text: str = "hello", *, input_tokens: int = 3, output_tokens: int = 5) -> Answered:
    """Return a whole, well-formed answer with this text."""
    message = {
        "id": "msg_01scripted",
        "type": "message",
        "role": "assistant",
        "model": "scripted",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": input_tokens, "output_tokens": output_tokens},
    }
    return Answered(json.dumps(message).encode(), input_tokens, output_tokens)
