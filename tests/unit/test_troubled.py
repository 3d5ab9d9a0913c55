"""How long a request that stalled stays behind the others: as long as the lane needs for them while it is well."""

from datetime import timedelta

from batchyard.dispatch.lanes import Lane, Lanes, Place
from batchyard.dispatch.running import Attempt, Running
from batchyard.dispatch.troubled import Troubled
from batchyard.domain.outcome import Answered, Retry, Trace
from batchyard.domain.request import Lease, ParamsAt
from batchyard.domain.routes import Route, Target
from batchyard.ports import Ready
from batchyard.testing.upstreams import ScriptedUpstream
from tests.wire.world import NOW, SetClock

BATCH = Ready("b", "w", NOW, NOW + timedelta(hours=24), "2023-06-01", (), "m", 1_000, NOW)
LEASE = Lease("b", 0, 1, ParamsAt("blob", 0, 2, 0), "m")


class Waiting:
    """``Claims`` of so many requests."""

    def __init__(self, requests: int) -> None:
        self._requests = requests

    def is_wanted(self, lane: Lane) -> bool:
        return True

    def waiting_for(self, lane: Lane) -> int:
        return self._requests


def lane_of_twenty() -> Lane:
    lanes = Lanes(
        [Place("near", ScriptedUpstream(), 20)], [Route(("m",), (Target("near"),))], SetClock(), lambda _event: None
    )
    [lane] = lanes.of_model("m")
    return lane


def answered(lane: Lane, seconds: float, now: float) -> None:
    lane.slots.patience.answered(seconds)
    lane.slots.limiter.observe(Answered(b"{}"), now)


def behind(lane: Lane, requests: int) -> float:
    """Return the seconds by which a request that stalled comes later because of those that wait."""
    attempt = Attempt(LEASE, BATCH, lane, NOW, 0.0, 86400.0, stalled=True)
    retry = Retry(LEASE, NOW, Trace("unknown", NOW, NOW, "stalled"), paid=1, failures=1, unknowns=1)
    in_time = Troubled(Running(), Waiting(requests)).in_time(attempt, retry, 1_000.0)
    return (in_time.ready_at - NOW).total_seconds()


def test_a_server_that_stood_still_counts_as_quick_as_it_is_else() -> None:
    lane = lane_of_twenty()
    for number in range(400):
        answered(lane, 0.5, number / 40)  # twenty at a time
    for _ in range(20):  # these were at the server when it stood still: it broke none, so the lane was never held
        answered(lane, 600.0, 610.0)

    assert 22.5 <= behind(lane, 1_000) <= 27.5  # 25 s, to the tenth that the lane remembers latencies to


def test_a_stalled_request_waits_five_minutes_at_most() -> None:
    lane = lane_of_twenty()
    answered(lane, 0.5, 0.0)

    assert behind(lane, 10**6) == 300.0
