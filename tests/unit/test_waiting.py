"""Why requests of a model are not sent: their lanes are held, or outside their hours, all of them."""

from datetime import datetime, timedelta

from batchyard.dispatch.lanes import Lanes, Place
from batchyard.dispatch.waiting import Waiting
from batchyard.domain.forecast import Wait
from batchyard.domain.outcome import Held
from batchyard.domain.result import RequestError
from batchyard.domain.routes import Route, Target
from batchyard.testing.upstreams import ScriptedUpstream
from tests.wire.world import NOW, SetClock

OPENS_AT = NOW + timedelta(hours=3)


class Yard:
    """Two upstreams: `near`, in its hours or not, and `far`. Model `m` may take either, `n` the near one alone."""

    def __init__(self) -> None:
        self.near_is_open = True
        clock = SetClock()
        places = [
            Place("near", ScriptedUpstream(), 4, is_open=lambda: self.near_is_open, opens_at=self._opens_at),
            Place("far", ScriptedUpstream(), 4),
        ]
        routes = [Route(("m",), (Target("near"), Target("far"))), Route(("n",), (Target("near"),))]
        self.lanes = Lanes(places, routes, clock, lambda _event: None)
        self.why = Waiting(self.lanes, places, clock).why

    def _opens_at(self) -> datetime | None:
        return None if self.near_is_open else OPENS_AT

    def hold(self, model: str, place: str) -> None:
        [lane] = [lane for lane in self.lanes.of_model(model) if lane.place == place]
        lane.slots.limiter.observe(Held(RequestError("authentication_error", "no"), 60.0), 0.0)


def test_nothing_waits_while_a_lane_is_open() -> None:
    yard = Yard()
    assert yard.why("m") is None

    yard.near_is_open = False
    assert yard.why("m") is None
    assert yard.why("n") == Wait("near is outside its hours", OPENS_AT)


def test_a_lane_that_is_held_is_named_with_its_end_and_other_models_do_not_wait_for_it() -> None:
    yard = Yard()
    yard.hold("n", "near")

    wait = yard.why("n")

    assert wait is not None
    assert wait.reason == "near/n failed and is left alone for a while"
    assert wait.until is not None
    assert NOW < wait.until <= NOW + timedelta(seconds=90)
    assert yard.why("m") is None


def test_where_all_are_away_each_is_named_and_the_first_to_come_back_counts() -> None:
    yard = Yard()
    yard.near_is_open = False
    yard.hold("m", "far")

    wait = yard.why("m")

    assert wait is not None
    assert wait.reason == "near is outside its hours; far/m failed and is left alone for a while"
    assert wait.until is not None
    assert wait.until < OPENS_AT


def test_a_model_without_a_route_waits_for_nothing() -> None:
    assert Yard().why("unheard of") is None


def test_what_the_operator_paused_is_named_as_it_was_paused() -> None:
    yard = Yard()
    yard.lanes.pause(["near/n"])
    assert yard.why("n") == Wait("the operator has paused near/n")
    assert yard.why("m") is None

    yard.lanes.pause(["near"])
    assert yard.why("n") == Wait("the operator has paused near")
