"""After a lane was held, one small call of our own goes ahead: no request of a batch is spent on finding out.

A server that has failed for hours would else eat up three attempts of one request after another. Progress is believed,
not a health check: the canary asks the lane's own model for one token.
"""

import asyncio
from collections.abc import Callable

import msgspec

from batchyard.dispatch.lanes import Lane, Lanes
from batchyard.domain.call_events import CanaryFinished
from batchyard.domain.events import BugFound, Emit, LaneHeld
from batchyard.domain.outcome import Outcome, Unknown
from batchyard.domain.result import RequestError
from batchyard.ports import Call, Clock

VERSION = "2023-06-01"
"""What every server of the dialect knows."""


class Canaries:
    """Sends them, one for each lane at a time. ``done`` is told when one is back."""

    def __init__(self, lanes: Lanes, clock: Clock, emit: Emit, done: Callable[[], None]) -> None:
        self._lanes, self._clock, self._emit, self._done = lanes, clock, emit, done
        self._flying: dict[Lane, asyncio.Task[None]] = {}

    def look(self) -> None:
        """Send one to each lane that somebody wants to use and nobody knows to be well."""
        now = self._clock.monotonic()
        for lane in self._lanes:
            if lane not in self._flying and lane.slots.takes_canary(now):
                self._flying[lane] = asyncio.create_task(self._fly(lane))

    async def abandon(self) -> None:
        """Cut those that are out."""
        for task in self._flying.values():
            task.cancel()
        await asyncio.gather(*self._flying.values(), return_exceptions=True)

    async def _fly(self, lane: Lane) -> None:
        began = self._clock.monotonic()
        try:
            outcome = await lane.upstream.attempt(_call(lane.model))
        except Exception as bug:  # noqa: BLE001 the lane must be tried again, whatever happened
            self._emit(BugFound("canary", bug))
            outcome = Unknown(RequestError("api_error", "The server met a fault of its own while it made this call."))
        finally:
            del self._flying[lane]
        self._learn(lane, outcome, began)

    def _learn(self, lane: Lane, outcome: Outcome, began: float) -> None:
        now = self._clock.monotonic()
        self._emit(CanaryFinished(lane.name, type(outcome).__name__.lower(), now - began))
        hold = lane.slots.limiter.observe(outcome, now)
        if hold is not None:
            self._emit(LaneHeld(lane.name, hold.seconds, hold.reason))
        lane.slots.server.admit()
        self._done()


def _call(model: str) -> Call:
    params = {"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "ping"}]}
    return Call(msgspec.json.encode(params), VERSION)
