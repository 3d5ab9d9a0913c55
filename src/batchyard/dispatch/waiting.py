"""Why requests of a model are not sent now, for people who wait for them: as this process knows its lanes."""

from collections.abc import Sequence
from datetime import timedelta

from batchyard.dispatch.lanes import Lane, Lanes, Place
from batchyard.domain.forecast import Wait
from batchyard.ports import Clock


class Waiting:
    """Looks at the lanes of a model. Only where none of them takes a request does it wait."""

    def __init__(self, lanes: Lanes, places: Sequence[Place], clock: Clock) -> None:
        self._lanes, self._clock = lanes, clock
        self._places = {place.name: place for place in places}

    def why(self, model: str) -> Wait | None:
        """Return what keeps requests of the model, and until when: the first of its lanes that opens again."""
        waits = [self._wait(lane) for lane in self._lanes.of_model(model)]
        kept = [wait for wait in waits if wait is not None]
        if not kept or len(kept) < len(waits):
            return None
        until = min((wait.until for wait in kept if wait.until is not None), default=None)
        return Wait("; ".join(dict.fromkeys(wait.reason for wait in kept)), until)

    def _wait(self, lane: Lane) -> Wait | None:
        place = self._places.get(lane.place)
        if place is not None and not place.is_open():
            return Wait(f"{lane.place} is outside its hours", place.opens_at())
        if lane.slots.paused:
            return Wait(f"the operator has paused {lane.place if self._lanes.is_paused(lane.place) else lane.name}")
        limiter, now = lane.slots.limiter, self._clock.monotonic()
        held_until = limiter.resumes_at(now)
        if held_until is not None:
            left = timedelta(seconds=held_until - now)
            return Wait(f"{lane.name} failed and is left alone for a while", self._clock.now() + left)
        return None
