"""What is so at the moment when somebody asks for the metrics: of this process, and of the store that all share.

What the store says is the same from every process of it: a query takes the largest, and adds up nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from batchyard import __version__
from batchyard.blobs.space import EndlessSpace
from batchyard.dispatch.dispatcher import Dispatcher
from batchyard.dispatch.herald import Herald
from batchyard.domain.errors import StoreUnavailable
from batchyard.domain.pricing import Cost, cost
from batchyard.domain.standing import Standing
from batchyard.metrics import Gauge
from batchyard.ports import Clock, LaneDesk, Prices, Space, Views

FRESH_SECONDS = 5.0
"""For how long what the store said is said again: several may watch, and its readers have other work."""


@dataclass(slots=True)
class Gauges:
    """Reads them. ``now`` is of this process, ``kept`` of the store."""

    dispatcher: Dispatcher
    desk: LaneDesk
    views: Views
    prices: Prices
    space: Space
    clock: Clock
    not_ready: Callable[[], str]
    herald: Herald | None = None
    _kept: Sequence[Gauge] = ()
    _read_at: float = field(default=float("-inf"))

    async def read(self) -> Sequence[Gauge]:
        """Return all of them; a store that does not answer is one of them."""
        if self.clock.monotonic() - self._read_at >= FRESH_SECONDS:
            try:
                self._kept = [*await self._of_the_store(), _readable(1)]
                self._read_at = self.clock.monotonic()
            except StoreUnavailable:
                self._kept = [_readable(0)]
        return [*self._of_the_process(), *self._of_lanes(), *self._kept]

    def _of_the_process(self) -> Iterator[Gauge]:
        yield Gauge("batchyard_build_info", "What runs.", 1, {"version": __version__})
        yield Gauge("batchyard_ready", "Whether batches can be taken: 1 or 0.", not self.not_ready())
        yield Gauge("batchyard_attempts_in_flight", "Attempts being made.", self.dispatcher.in_flight)
        yield Gauge("batchyard_owners", "Dispatchers that live, over all processes.", self.dispatcher.owners)
        if not isinstance(self.space, EndlessSpace):
            yield Gauge(
                "batchyard_disk_spare_bytes",
                "Room on the disk before nothing more is sent or taken; below 0 that is so.",
                self.space.spare(),
            )

    def _of_lanes(self) -> Iterator[Gauge]:
        board = self.desk.board()
        for up in board.upstreams:
            of = {"upstream": up.upstream}
            yield Gauge("batchyard_upstream_slots", "Slots that this process may use.", up.share, of)
            yield Gauge("batchyard_upstream_slots_taken", "Slots in use.", up.taken, of)
            yield Gauge("batchyard_upstream_open", "Whether it is in its hours: 1 or 0.", up.open, of)
            yield Gauge("batchyard_upstream_paused", "Whether the operator has paused it: 1 or 0.", up.paused, of)
            if up.carriers is not None:
                yield Gauge("batchyard_carriers_open", "Batches of ours that are under way there.", up.carriers, of)
        for lane in board.lanes:
            of = {"upstream": lane.upstream, "lane": lane.lane}
            taken = lane.requests + lane.calls + lane.committing
            held = (lane.opens_in or 0) if lane.state == "held" else 0
            yield Gauge("batchyard_lane_limit", "Slots given out now.", lane.limit, of)
            yield Gauge("batchyard_lane_taken", "Slots in use.", taken, of)
            yield Gauge("batchyard_lane_pending", "Requests that may be sent there, and wait.", lane.pending, of)
            yield Gauge("batchyard_lane_held_seconds", "Seconds that nothing is sent there; 0: not held.", held, of)
            yield Gauge("batchyard_lane_paused", "Whether it is paused: 1 or 0.", lane.state == "paused", of)
            yield Gauge("batchyard_lane_probing", "Whether it is being tried: 1 or 0.", lane.state == "probing", of)

    async def _of_the_store(self) -> Sequence[Gauge]:
        now = self.clock.now()
        found: list[Gauge] = []
        for standing in await self.views.standing():
            found += _of_workspace(standing, now)
        for workspace, paid in (await self._cost_today(now)).items():
            for price, dollars in (("standard", paid.standard), ("batch", paid.batch)):
                labels = {"workspace": workspace, "price": price}
                words = "US dollars that today's answers (UTC) come to."
                found.append(Gauge("batchyard_cost_today_dollars", words, dollars, labels))
            found.append(
                Gauge(
                    "batchyard_unpriced_today",
                    "Today's answers of models without a known price.",
                    paid.unpriced,
                    {"workspace": workspace},
                )
            )
        for webhook, count in (await self.herald.waiting() if self.herald else {}).items():
            found.append(
                Gauge("batchyard_webhooks_waiting", "Deliveries that wait for a try.", count, {"webhook": webhook})
            )
        return found

    async def _cost_today(self, now: datetime) -> Mapping[str, Cost]:
        rows = await self.views.usage(None, now.date(), now.date(), by_batch=False)
        prices = await self.prices.of({row.model for row in rows})
        sums: dict[str, Cost] = {}
        for row in rows:
            paid = cost(row.requests, row.usage, prices[row.model])
            sums[row.workspace] = sums.get(row.workspace, Cost()) + paid
        return sums


def _of_workspace(standing: Standing, now: datetime) -> Iterator[Gauge]:
    of = {"workspace": standing.workspace}
    for state in ("running", "paused", "canceling"):
        count = getattr(standing, state)
        yield Gauge("batchyard_batches_open", "Batches that have not ended.", count, {**of, "state": state})
    yield Gauge("batchyard_requests_open", "Requests without a result.", standing.open, of)
    yield Gauge("batchyard_requests_leased", "Those of them in flight.", standing.leased, of)
    yield Gauge("batchyard_batches_kept", "Ended batches with results.", standing.kept, of)
    yield Gauge("batchyard_stored_bytes", "Bodies and results.", standing.bytes, of)
    if standing.oldest is not None and standing.soonest is not None:
        age, left = now - standing.oldest, standing.soonest - now
        yield Gauge("batchyard_oldest_batch_seconds", "Age of the oldest open batch.", age.total_seconds(), of)
        yield Gauge("batchyard_next_expiry_seconds", "Until the first open batch expires.", left.total_seconds(), of)


def _readable(value: int) -> Gauge:
    return Gauge("batchyard_store_readable", "Whether the store answered: 1 or 0.", value)
