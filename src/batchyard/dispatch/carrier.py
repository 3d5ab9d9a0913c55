"""The runner of carriers: requests whose upstream takes batches travel together, and none of them twice without need.

    backlog ── gather ──> make (stored) ── errand: create, follow, collect ──> finish
                            ^                          │
     a dead owner's ── adopt┘<── our own death ────────┘

It works beside the dispatcher, as the same owner: whose heartbeat is too old loses its carriers to another.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from batchyard.dispatch.carrier_body import ENVELOPE_BYTES
from batchyard.dispatch.carrier_errand import Errand
from batchyard.dispatch.carrier_place import BatchPlace, Standby
from batchyard.dispatch.carrier_tender import CarrierStore, Tender, woken
from batchyard.dispatch.stopped import Stopped
from batchyard.domain.carrier import Course, Group, ends_by, full_size, next_group
from batchyard.domain.errors import StoreDamaged, StoreUnavailable
from batchyard.domain.events import CarrierAdopted, CarrierMade, CarrierStranded, Emit, StoreFailed
from batchyard.domain.request import Lease
from batchyard.ports import Blobs, Carrier, Clock, NewCarrier, Pick, Ready

LOOK_SECONDS = 5.0
"""How old our view of our carriers may grow: what was cancelled elsewhere shows by then."""
ADOPT_SECONDS = 10.0
GATHER_SECONDS = 1.0


class CarrierRunner:
    """All carriers of one owner. ``place_of`` names the place that takes a model, None where none does; ``ceiling`` is
    how many carriers this owner may have under way there."""

    def __init__(
        self,
        store: CarrierStore,
        blobs: Blobs,
        places: Sequence[BatchPlace],
        clock: Clock,
        emit: Emit,
        *,
        owner: str,
        place_of: Callable[[str], str | None],
        ceiling: Callable[[str], int],
        jitter: Callable[[], float],
        new_id: Callable[[], str],
        may_send: Callable[[], bool],
        ripened: Callable[[], None] = lambda: None,
        holds: Callable[[], bool] = lambda: False,
        stopped: Stopped | None = None,
        weight: Callable[[str], float] = lambda _workspace: 1.0,
        may_start: Callable[[str], bool] = lambda _workspace: True,
    ) -> None:
        stopped = stopped or Stopped(emit)
        self._tender = Tender(owner, store, blobs, clock, emit, jitter, may_send, ripened, holds, stopped)
        self._standbys = {place.name: Standby(place, clock, emit) for place in places}
        self._place_of, self._ceiling, self._new_id, self._weight = place_of, ceiling, new_id, weight
        self._may_start = may_start
        self._errands: dict[str, Errand] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._workspaces: dict[str, str] = {}
        self._made: set[str] = set()
        self._stranded: set[str] = set()
        self._done: set[str] = set()
        self._wake = asyncio.Event()
        self._look_at = self._adopt_at = float("-inf")

    async def run(self) -> None:
        """Work until drained; what is under way is left to whoever adopts it. Raises only for bugs."""
        try:
            while not self._tender.draining:
                for duty in (self._adopt, self._look, self._gather):
                    try:
                        await duty()
                    except StoreUnavailable as error:  # tried again on the next round
                        self._tender.emit(StoreFailed("carriers", str(error)))
                await self._rest()
            await asyncio.gather(*self._tasks.values())
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """A batch came, or was canceled."""
        self._look_at = float("-inf")
        self._wake.set()

    def drain(self) -> None:
        """Begin nothing more; ``run`` returns when the steps under way are done."""
        self._tender.draining = True
        for errand in self._errands.values():
            errand.hurry()
        self._wake.set()

    async def close(self) -> None:
        """Let go of every upstream."""
        for standby in self._standbys.values():
            await standby.place.upstream.close()

    @property
    def under_way(self) -> int:
        """Carriers that are followed."""
        return len(self._tasks)

    def under_way_at(self, place: str) -> int | None:
        """Carriers that are followed there; None where none are taken."""
        standby = self._standbys.get(place)
        return None if standby is None else len(self._at(standby))

    def _at(self, standby: Standby) -> list[str]:
        return [id_ for id_, errand in self._errands.items() if errand.standby is standby]

    async def _rest(self) -> None:
        busy = bool(self._standbys or self._tasks)
        await woken(self._wake, GATHER_SECONDS if busy else ADOPT_SECONDS)

    # --- carriers that are there

    async def _adopt(self) -> None:
        now = self._tender.clock.monotonic()
        if now < self._adopt_at or not self._tender.may_send():
            return
        self._adopt_at = now + ADOPT_SECONDS
        for carrier in await self._tender.store.adopt(self._tender.owner, self._tender.clock.now()):
            self._tender.emit(CarrierAdopted(carrier.id, carrier.lane, carrier.members))
            self._look_at = float("-inf")

    async def _look(self) -> None:
        """Follow every carrier that is ours, and none that is not."""
        now = self._tender.clock.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        before, self._done = set(self._tasks), set()
        tended = {carrier.id: carrier for carrier in await self._tender.store.tended(self._tender.owner)}
        for id_ in before - tended.keys():
            if id_ in self._tasks:  # somebody adopted it while we were frozen
                self._tasks[id_].cancel()
        for carrier in tended.values():
            if carrier.id in self._done or self._tender.has_stopped(carrier):  # done: while we read
                continue
            try:
                await self._follow(carrier)
            except (StoreDamaged, AssertionError) as broken:
                self._tender.stop(carrier, broken)

    async def _follow(self, carrier: Carrier) -> None:
        if carrier.id in self._errands:
            self._errands[carrier.id].learn(carrier)
        elif self._standby(carrier) is None:
            await self._strand(carrier)
        else:
            leases = await self._tender.store.members(carrier.id)
            self._begin(carrier, leases, adopted=carrier.id not in self._made)

    async def _strand(self, carrier: Carrier) -> None:
        """Its upstream is no longer among the settings: nobody can ask about it; it waits for them or for its end."""
        if carrier.closing:
            now = self._tender.clock.now()
            await self._tender.store.finish(self._tender.owner, carrier.id, lost=False, now=now)
        elif carrier.id not in self._stranded:
            self._stranded.add(carrier.id)
            self._tender.emit(CarrierStranded(carrier.id, carrier.lane, carrier.members))

    def _standby(self, carrier: Carrier) -> Standby | None:
        return self._standbys.get(carrier.lane.partition("/")[0])

    def _begin(self, carrier: Carrier, leases: Sequence[Lease], *, adopted: bool) -> None:
        standby = self._standby(carrier)
        assert standby is not None, "an errand to no place"
        gathering = standby.place.gathering
        course = Course(
            upstream_id=carrier.upstream_id,
            closing=carrier.closing,
            ends_by=carrier.ends_by,
            expires_at=carrier.expires_at,
            open=len(leases),
            keyed=gathering.keyed,
            deletes=gathering.deletes,
            settle_for=gathering.settle_for,
            # whether its last tender sent it nobody knows, unless it noted so
            lost_at=self._tender.clock.now() if adopted and carrier.upstream_id is None else None,
        )
        errand = Errand(self._tender, standby, carrier, course, leases=None if adopted else leases, known=self._known)
        self._errands[carrier.id] = errand
        task = asyncio.create_task(errand.run(), name=f"carrier {carrier.id}")
        self._tasks[carrier.id] = task
        task.add_done_callback(lambda _task: self._ended(carrier.id))

    def _ended(self, carrier: str) -> None:
        self._tasks.pop(carrier, None)
        self._errands.pop(carrier, None)
        self._workspaces.pop(carrier, None)
        self._made.discard(carrier)
        self._done.add(carrier)
        self._wake.set()

    def _known(self) -> frozenset[str]:
        """Upstream batches of our own that are somebody's already."""
        return frozenset(
            errand.course.upstream_id for errand in self._errands.values() if errand.course.upstream_id is not None
        )

    # --- carriers to be made

    async def _gather(self) -> None:
        if not self._standbys or not self._tender.may_send():
            return
        now = self._tender.clock.now()
        backlog = await self._tender.store.backlog(now)
        workspaces = {ready.batch: ready.workspace for ready in backlog}
        for id_, errand in self._errands.items():  # of adopted ones the store told only the batch
            self._workspaces.setdefault(id_, workspaces.get(errand.carrier.batch, ""))
        for name, standby in self._standbys.items():
            await self._fill(standby, [_group(ready) for ready in backlog if self._place_of(ready.model) == name], now)

    async def _fill(self, standby: Standby, groups: list[Group], now: datetime) -> None:
        """Send carriers on their way for as long as there is one to be sent, and room for it."""
        place, stopped = standby.place, self._tender.stopped
        while standby.held_for() == 0.0 and place.is_open() and not self._tender.draining:
            at_work = self._at(standby)
            slots = self._ceiling(place.name)
            group = next_group(
                [one for one in groups if one.batch not in stopped and self._may_start(one.workspace)],
                now,
                most=standby.most,
                seconds=place.gathering.seconds,
                under_way=Counter(self._workspaces[id_] for id_ in at_work),
                free=slots - len(at_work),
                slots=slots,
                weight=self._weight,
            )
            if group is None:
                return
            try:
                made = await self._make(standby, group, now)
            except (StoreDamaged, AssertionError) as broken:
                stopped.stop(group.batch, "carrier", broken)
                made = 0
            left = group.pending - made if made else 0
            groups[groups.index(group)] = replace(group, pending=left)

    async def _make(self, standby: Standby, group: Group, now: datetime) -> int:
        """Make one carrier, and send it on its way; return how many requests are in it."""
        place, most_bytes = standby.place, standby.place.gathering.bytes
        most = max(1, min(standby.most, most_bytes // (2 * ENVELOPE_BYTES)))
        taken = {errand.carrier.members for errand in self._errands.values()}
        limit = min(group.pending, full_size(most, taken, self._tender.jitter()))
        room = max(1, most_bytes - limit * ENVELOPE_BYTES)
        new = NewCarrier(self._new_id(), f"{place.name}/{place.names.of(group.model)}", now, group.ends_by, room)
        self._made.add(new.id)
        made = await self._tender.store.make(self._tender.owner, new, Pick(group.batch, group.model, limit))
        if made is None:
            self._made.discard(new.id)
            return 0
        carrier, leases = made
        self._workspaces[carrier.id] = group.workspace
        self._tender.emit(CarrierMade(carrier.id, carrier.lane, carrier.batch, carrier.members))
        self._begin(carrier, leases, adopted=False)
        return len(leases)


def _group(ready: Ready) -> Group:
    return Group(
        batch=ready.batch,
        workspace=ready.workspace,
        model=ready.model,
        pending=ready.pending,
        since=ready.next_ready_at,
        ends_by=ends_by(ready.created_at, ready.expires_at),
    )
