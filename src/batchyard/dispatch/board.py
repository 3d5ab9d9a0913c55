"""What the lanes of this process are doing, for the operator, and the handle to pause them."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta

from batchyard.dispatch.lanes import Lane, Lanes
from batchyard.dispatch.slots import Server, Slots
from batchyard.domain.errors import NotFound
from batchyard.domain.events import Emit
from batchyard.domain.lane_state import Board, LanePaused, LaneState, Trouble, UpstreamState
from batchyard.ports import Clock, LanePauses

USUAL, SLOW = 0.5, 0.01
"""Shares of the answers that took longer than what is listed as usual, and as slow."""


class LaneBoard:
    """Implements ``LaneDesk``. ``pending`` tells how many requests wait, by model; ``changed``: something may go on."""

    def __init__(
        self,
        lanes: Lanes,
        pauses: LanePauses,
        clock: Clock,
        emit: Emit,
        *,
        pending: Callable[[], Mapping[str, int]],
        changed: Callable[[], None],
    ) -> None:
        self._lanes, self._pauses, self._clock, self._emit = lanes, pauses, clock, emit
        self._pending, self._changed = pending, changed
        self.carriers: Callable[[str], int | None] = lambda _upstream: None
        """Asked for the carriers under way at an upstream; None where it takes none."""

    async def learn(self) -> None:
        """Read which lanes are paused: another owner may have done it."""
        self._lanes.pause(await self._pauses.paused_lanes())

    async def pause(self, upstream: str, model: str | None, *, paused: bool) -> str:
        if upstream not in self._lanes.servers:
            known = ", ".join(self._lanes.servers)
            raise NotFound(f"There is no upstream {upstream[:100]!r}: there are {known}.")
        name = upstream if model is None else f"{upstream}/{model}"
        if paused and model is not None and name not in {lane.name for lane in self._lanes}:
            raise NotFound(
                f"There is no lane {name[:200]!r}: a lane is there from the first request for its model on. "
                f"Pause the upstream {upstream!r} as a whole, or see the listing."
            )
        await self._pauses.pause_lane(name, paused=paused)
        await self.learn()
        self._emit(LanePaused(name, paused))
        self._changed()
        return name

    def board(self) -> Board:
        waiting: Counter[Lane] = Counter()
        for model, requests in self._pending().items():
            for lane in self._lanes.of_model(model):
                waiting[lane] += requests
        upstreams = [self._upstream(name, server) for name, server in self._lanes.servers.items()]
        lanes = [self._lane(lane, waiting[lane]) for lane in self._lanes if lane.place in self._lanes.servers]
        return Board(upstreams, lanes)

    def _upstream(self, name: str, server: Server) -> UpstreamState:
        load = server.line.load
        return UpstreamState(
            upstream=name,
            limit=server.limit,
            share=server.ceiling,
            taken=server.taken,
            open=server.is_open(),
            paused=self._lanes.is_paused(name),
            carriers=self.carriers(name),
            waiting=None if load is None else load.waiting,
            running=None if load is None else load.running,
            room=server.line.cap,
        )

    def _lane(self, lane: Lane, pending: int) -> LaneState:
        now = self._clock.monotonic()
        slots, limiter = lane.slots, lane.slots.limiter
        state, opens_at, setback = _state(slots, now), limiter.opens_at(now), limiter.setback
        trouble = None
        if setback is not None:
            trouble = Trouble(setback.reason, self._clock.now() - timedelta(seconds=now - setback.at))
        return LaneState(
            lane=lane.name,
            upstream=lane.place,
            model=lane.model,
            state=state,
            waiting=_waiting(slots, state, now) if pending else None,
            pending=pending,
            limit=slots.limit,
            bounded_by=slots.bounded_by,
            requests=slots.running,
            calls=slots.calls,
            committing=slots.settled,
            opens_in=None if opens_at is None else max(0.0, opens_at - now),
            answers_per_second=limiter.good_rate,
            seconds_usual=slots.patience.all_but(USUAL),
            seconds_slow=slots.patience.all_but(SLOW),
            last_trouble=trouble,
            seconds_first=None if slots.first is None else slots.first.known,
        )


def _state(slots: Slots, now: float) -> str:
    limiter = slots.limiter
    if slots.paused:
        return "paused"
    if not slots.server.is_open():
        return "closed"
    if limiter.resumes_at(now) is not None:
        return "held"
    if limiter.is_probing:
        return "probing"
    return "recovering" if limiter.is_recovering else "open"


def _waiting(slots: Slots, state: str, now: float) -> str | None:
    """Why requests that are due would get no slot now. What waits for its own time is nobody's fault."""
    if slots.room(now) > 0:
        return None
    if state not in ("open", "recovering"):
        return state
    if slots.server.taken >= slots.server.ceiling:
        return "slots"
    if slots.server.line.cap is not None and slots.server.running + slots.server.calls >= slots.server.line.cap:
        return "line"
    if slots.first is not None and slots.running >= slots.first.cap:
        return "first_token"
    return "limit" if slots.taken >= slots.limiter.limit else "pace"
