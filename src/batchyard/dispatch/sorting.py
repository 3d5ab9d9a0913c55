"""A lane for requests whose model the store does not tell: it is read with the params, and then the way is known.

A batch's first 255 models are stored with its requests; those of further ones are told apart here alone. Such a
request holds a slot of this lane from its lease to its commit, and one of the lane that it is for while it is there.

    lease ──> slot here ──> params ──> model ──> slot of its lane, waited for ──> call
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from batchyard.dispatch.beside import model_of
from batchyard.domain.catalog import ModelInfo
from batchyard.domain.events import Emit, LaneHeld
from batchyard.domain.limiter import Hold, Limiter
from batchyard.domain.outcome import NotStarted, Outcome
from batchyard.domain.result import RequestError
from batchyard.ports import Call, Clock, Stream

LONGEST_WAIT = 10.0
"""Seconds that a request waits for a slot of its lane before it makes way for the others here."""
LOOK_SECONDS = 0.1
PUT_OFF = NotStarted(RequestError("overloaded_error", "put off: no slot for its model came free"), 5.0)


class Taken(Protocol):
    """A lane with a slot of it taken."""

    name: str

    async def run(self, call: Call, model: str, clock: Clock) -> tuple[Outcome, Hold | None]: ...


class Sorting:
    """Implements ``Upstream`` before all others. ``pick`` takes a slot for a model, or returns None for now."""

    def __init__(self, pick: Callable[[str, float], Taken | None], clock: Clock, emit: Emit) -> None:
        self._pick, self._clock, self._emit = pick, clock, emit

    async def attempt(self, call: Call) -> Outcome:
        """Wait for a slot where the call's model leads to, and make the call there."""
        model = await model_of(call.params)
        gives_up_at = self._clock.monotonic() + LONGEST_WAIT
        while (lane := self._pick(model, self._clock.monotonic())) is None:
            if self._clock.monotonic() >= gives_up_at or not call.is_wanted():
                return PUT_OFF
            await asyncio.sleep(LOOK_SECONDS)
        outcome, hold = await lane.run(call, model, self._clock)
        if hold is not None:
            self._emit(LaneHeld(lane.name, hold.seconds, hold.reason))
        return outcome

    async def stream(self, call: Call) -> Stream | Outcome:  # noqa: ARG002 (the port's parameter)
        """Nobody who waits comes here."""
        return PUT_OFF

    async def count(self, call: Call) -> int | Outcome:  # noqa: ARG002 (the port's parameter)
        """Nobody who waits comes here."""
        return PUT_OFF

    async def models(self) -> Sequence[ModelInfo] | Outcome:
        """List none: those of the lanes behind are listed there."""
        return []

    async def close(self) -> None:
        """Nothing is held."""


class Unlearning(Limiter):
    """What comes of calls here says nothing of this lane: those behind learn from it."""

    def observe(self, outcome: Outcome, now: float, **_: object) -> None:
        """Learn nothing."""
