"""Lanes: one for each upstream and model, with slots and a limiter of its own; and the way from a model to its lanes.

model ── route ──> targets: of those with a free slot the one with the fewest taken for its weight
            └────> fallback, while every target is away: held, paused, outside its hours
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from batchyard.dispatch.beside import beside
from batchyard.dispatch.interactive import Interactive
from batchyard.dispatch.nowhere import Nowhere
from batchyard.dispatch.slots import Server, Slots
from batchyard.dispatch.sorting import Sorting, Unlearning
from batchyard.domain.events import Emit
from batchyard.domain.limiter import Hold
from batchyard.domain.outcome import Outcome
from batchyard.domain.routes import Names, Route, Target, route
from batchyard.domain.splice import splice
from batchyard.ports import Call, Clock, EngineGauge, Upstream

MOST_LANES = 256
"""Lanes of one upstream, so that models which clients make up cannot fill the memory; all further models share one."""
OTHERS = "(others)"
"""What stands for the model in the name of that lane."""
MOST_WAYS = 4096
"""Models whose way is remembered."""
NOWHERE_SLOTS = 64
"""Slots of the lane for models without a route: its refusals cost nothing."""


@dataclass(frozen=True, slots=True)
class Place:
    """An upstream as lanes use it: its name, most calls in flight over all our processes, what it calls its models,
    and whether batches may use it at this hour. ``by_batch``: it takes batches itself, so requests of ours travel there
    in carriers, and only calls that somebody waits for use its lanes.
    ``gauge`` tells how many calls wait inside it; batches keep that within ``line``."""

    name: str
    upstream: Upstream
    limit: int
    names: Names = field(default_factory=Names)
    is_open: Callable[[], bool] = lambda: True
    by_batch: bool = False
    opens_at: Callable[[], datetime | None] = lambda: None
    """When its hours begin; None while they are now."""
    gauge: EngineGauge | None = None
    line: int = 0
    first_token: float | None = None
    """Seconds to an answer's first token that batches keep within, lane by lane; None: any."""


class Lane:
    """One upstream and model; ``model`` is what the upstream calls it, nothing where many share the lane."""

    def __init__(self, name: str, place: Place, server: Server, clock: Clock, emit: Emit, *, model: str = "") -> None:
        self.name = name
        self.place = place.name
        self.model = model
        self.upstream = place.upstream
        self.slots = Slots(server, canary=bool(model), first_token=place.first_token)
        self._names = place.names
        self.calls = Interactive(name, self.upstream, self.slots, clock, emit, place=place.name, model=model)

    async def run(self, call: Call, model: str, clock: Clock) -> tuple[Outcome, Hold | None]:
        """Make a call of a batch in a slot that was picked for it; return what came of it, and a hold that follows."""
        slots = self.slots
        slots.send()
        try:
            outcome = await self.upstream.attempt(await beside(len(call.params), self.asks, call, model))
        finally:
            slots.land()
            slots.end()
            slots.commit()
        return outcome, slots.limiter.observe(outcome, clock.monotonic(), others=slots.flying)

    def asks(self, call: Call, model: str) -> Call:
        """Return the call as this upstream is asked: with its own name for the model, else byte for byte."""
        name = self._names.of(model)
        if name == model:
            return call
        return msgspec.structs.replace(call, params=splice(call.params, "model", msgspec.json.encode(name)))


@dataclass(frozen=True, slots=True)
class Ways:
    """The lanes that a model may take, each with its weight; ``fallback`` is for when all ``targets`` are away."""

    targets: Sequence[tuple[Lane, float]]
    fallback: Sequence[tuple[Lane, float]]
    carried_by: str | None = None


class Lanes:
    """All lanes. A lane is made when a model first asks for it."""

    def __init__(self, places: Sequence[Place], routes: Sequence[Route], clock: Clock, emit: Emit) -> None:
        self._places = {place.name: place for place in places}
        self._routes, self._clock, self._emit = routes, clock, emit
        self._servers = {place.name: Server(place.limit, place.is_open, place.gauge, place.line) for place in places}
        self._lanes: dict[str, dict[str, Lane]] = {place.name: {} for place in places}
        self._ways: dict[str, Ways] = {}
        nowhere = Place("(no route)", Nowhere(), NOWHERE_SLOTS)
        self._nowhere = Lane(nowhere.name, nowhere, Server(NOWHERE_SLOTS), clock, emit)
        sorting = Place("(any)", Sorting(self._pick_named, clock, emit), NOWHERE_SLOTS)
        self._sorting = Lane(sorting.name, sorting, Server(NOWHERE_SLOTS), clock, emit)
        self._sorting.slots.limiter = Unlearning(NOWHERE_SLOTS)
        self._sorts = any(place.names.instead for place in places) or [one.models for one in routes] != [("*",)]
        """Whether the way of a request depends on its model: then it must be known, or read from its params."""
        self._draining = False
        self._paused: frozenset[str] = frozenset()

    @classmethod
    def of_one(cls, upstream: Upstream, limit: int, clock: Clock, emit: Emit, *, name: str = "upstream") -> "Lanes":
        """Return the lanes of a single upstream that takes every model."""
        return cls([Place(name, upstream, limit)], [Route(("*",), (Target(name),))], clock, emit)

    def __iter__(self) -> Iterator[Lane]:
        for lanes in self._lanes.values():
            yield from lanes.values()
        yield self._nowhere
        yield self._sorting

    def when_freed(self, tell: Callable[[], None]) -> None:
        """Let somebody know of each slot that a call leaves."""
        for server in self._servers.values():
            server.freed = tell

    def share(self, owners: int) -> None:
        """Take our part of every upstream's limit, of so many owners."""
        for server in self._servers.values():
            server.share(owners)
            server.admit()

    def drain(self) -> None:
        """Take no more calls; those that wait are told so."""
        self._draining = True
        for lane in self:
            lane.calls.drain()

    def pause(self, names: Iterable[str]) -> None:
        """Let batches use no lane of these upstreams, nor these lanes (``upstream/model``); all others again."""
        self._paused = frozenset(names)
        for lane in self:
            lane.slots.paused = self.is_paused(lane.place) or lane.name in self._paused

    def is_paused(self, upstream: str, model: str | None = None) -> bool:
        """Whether an upstream is paused; with a model (as clients name it), whether that one or all of it is."""
        if upstream in self._paused:
            return True
        return model is not None and _lane_name(upstream, self._places[upstream].names.of(model)) in self._paused

    def carried_by(self, model: str) -> str | None:
        """Return the upstream that takes requests of the model in carriers, None where they are called one by one."""
        return (self._ways.get(model) or self._find(model)).carried_by

    def gathered_by(self, model: str) -> str | None:
        """Return the upstream for which carriers of the model may be made now; None also while it is paused."""
        place = self.carried_by(model)
        return None if place is None or self.is_paused(place, model) else place

    def ceiling(self, upstream: str) -> int:
        """Return our share of an upstream's limit."""
        return self._servers[upstream].ceiling

    @property
    def servers(self) -> Mapping[str, Server]:
        """The slots of every upstream."""
        return self._servers

    @property
    def calls(self) -> int:
        """Calls in flight that somebody waits for."""
        return sum(lane.slots.calls for lane in self)

    def pick(self, model: str, most: int, now: float) -> Sequence[Lane]:
        """Return the lanes where requests of the model may run now, up to so many, with a slot of each taken.

        None: nowhere, yet. Fewer than asked for: ask again.
        """
        ways = self._ways.get(model) or self._find(model)
        if len(ways.targets) == 1:  # the common case, thousands of times a second
            lane = ways.targets[0][0]
            if picked := lane.slots.pick(most, now):
                return [lane] * picked
        free = self._free(ways.targets, now)
        if free is None and ways.fallback and self._all_away(ways.targets, now):
            free = self._free(ways.fallback, now)
        return [free] * free.slots.pick(1, now) if free is not None else ()

    def _pick_named(self, model: str, now: float) -> Lane | None:
        """Return the lane of a request whose params were read, with a slot taken; they may name no model at all."""
        if model:
            return next(iter(self.pick(model, 1, now)), None)
        lane = self._free(self._routed("").targets, now)
        return lane if lane is not None and lane.slots.pick(1, now) else None

    def has_room(self, model: str, now: float) -> bool:
        """Whether ``pick`` would find a lane."""
        ways = self._ways.get(model) or self._find(model)
        if self._free(ways.targets, now) is not None:
            return True
        return self._all_away(ways.targets, now) and self._free(ways.fallback, now) is not None

    def opens_at(self, now: float) -> float | None:
        """Return when the first of the lanes that are held, or start no more for a moment, opens by itself."""
        shut = [at for lane in self if (at := lane.slots.limiter.opens_at(now)) is not None]
        return min(shut, default=None)

    def of_model(self, model: str) -> Sequence[Lane]:
        """Return the lanes where requests of the model may run."""
        ways = self._ways.get(model) or self._find(model)
        return [lane for lane, _ in (*ways.targets, *ways.fallback)]

    def leads_to(self, model: str, lane: Lane) -> bool:
        """Whether requests of the model may run there."""
        return lane in self.of_model(model)

    def for_call(self, model: str) -> Lane:
        """Return the lane of a call that somebody waits for: it may have to wait there."""
        now = self._clock.monotonic()
        ways = self._routed("") if not model else self._ways.get(model) or self._find(model)
        open_ways = ways.fallback if ways.fallback and self._all_held(ways.targets, now) else ways.targets
        return min(open_ways, key=lambda way: (way[0].slots.room_for_calls(now) <= 0, _fill(way)))[0]

    @property
    def upstreams(self) -> Sequence[Upstream]:
        """Every upstream, in the operator's order."""
        return [place.upstream for place in self._places.values()]

    @staticmethod
    def _free(ways: Sequence[tuple[Lane, float]], now: float) -> Lane | None:
        if len(ways) == 1:  # the common case, thousands of times a second
            lane = ways[0][0]
            return lane if lane.slots.room(now) > 0 else None
        return min((way for way in ways if way[0].slots.room(now) > 0), key=_fill, default=(None, 0.0))[0]

    @staticmethod
    def _all_held(ways: Sequence[tuple[Lane, float]], now: float) -> bool:
        return all(lane.slots.limiter.resumes_at(now) is not None for lane, _ in ways)

    @staticmethod
    def _all_away(ways: Sequence[tuple[Lane, float]], now: float) -> bool:
        return all(lane.slots.is_away(now) for lane, _ in ways)

    def _routed(self, model: str) -> Ways:
        found = route(self._routes, model)
        if found is None:
            return Ways([(self._nowhere, 1.0)], [])
        carried_by = next((to.upstream for to in found.targets if self._places[to.upstream].by_batch), None)
        return Ways(self._lanes_of(found.targets, model), self._lanes_of(found.fallback, model), carried_by)

    def _find(self, model: str) -> Ways:
        ways = Ways([(self._sorting, 1.0)], []) if self._sorts and not model else self._routed(model)
        if len(self._ways) >= MOST_WAYS:
            self._ways.clear()
        self._ways[model] = ways
        return ways

    def _lanes_of(self, targets: Sequence[Target], model: str) -> Sequence[tuple[Lane, float]]:
        return [(self._lane(target.upstream, model), target.weight) for target in targets]

    def _lane(self, upstream: str, model: str) -> Lane:
        place, lanes = self._places[upstream], self._lanes[upstream]
        key = place.names.of(model)
        if key not in lanes and len(lanes) >= MOST_LANES:
            key = OTHERS
        if key not in lanes:
            name, asked = _lane_name(upstream, key), "" if key == OTHERS else key
            lanes[key] = Lane(name, place, self._servers[upstream], self._clock, self._emit, model=asked)
            lanes[key].slots.paused = upstream in self._paused or name in self._paused
            if self._draining:
                lanes[key].calls.drain()
        return lanes[key]


def _lane_name(upstream: str, model: str) -> str:
    return f"{upstream}/{model}" if model else upstream


def _fill(way: tuple[Lane, float]) -> float:
    lane, weight = way
    return (lane.slots.running + lane.slots.calls) / weight
