"""One carrier on its way: the domain says what is next, the errand does it and learns, until nothing is left to do.

Any step may be the last before a death. What it changed upstream is found again by the next tender, from what the store
holds: a carrier is stored before its create, its upstream id as soon as it is known, results before they are deleted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from batchyard.dispatch.carrier_collect import Collection, Ended
from batchyard.dispatch.carrier_creating import Creating, blamed
from batchyard.dispatch.carrier_place import Standby
from batchyard.dispatch.carrier_tender import Tender, woken
from batchyard.domain.carrier import GRACE, Course, Standing, Step, UpstreamBatch, candidates, next_step, poll_seconds
from batchyard.domain.errors import StoreDamaged, StoreUnavailable
from batchyard.domain.events import BugFound, CarrierEnded, CarrierSent, CarrierTrouble, StoreFailed
from batchyard.domain.outcome import Held, Hostile, NotStarted, Outcome, Refused
from batchyard.domain.request import Lease
from batchyard.domain.retry import delay_seconds
from batchyard.ports import Carrier
from batchyard.ports.batch_upstreams import Absent, Listed, TooMuch

STORE_PAUSE = 1.0
"""Seconds between tries of a step that the store could not take."""
LOCAL = frozenset({Step.RELEASE, Step.GIVE_UP, Step.FINISH, Step.LOSE})
"""Steps that need no upstream: a place that is held does not keep them waiting."""
_DONE = -1.0
"""In place of a pause: nothing is left to do."""


class Errand:
    """``leases`` are the members as far as they are known; ``known`` names upstream batches that are none of ours."""

    def __init__(
        self,
        tender: Tender,
        standby: Standby,
        carrier: Carrier,
        course: Course,
        *,
        leases: Sequence[Lease] | None,
        known: Callable[[], frozenset[str]],
    ) -> None:
        self.carrier, self.course, self.standby = carrier, course, standby
        self.strangers: frozenset[str] = frozenset()
        self._tender, self._leases, self._known = tender, leases, known
        self._stored_id = carrier.upstream_id
        self._since = tender.clock.monotonic()
        self._failures = 0
        self._changed = asyncio.Event()
        self._steps: Mapping[Step, Callable[[], Awaitable[float]]] = {
            Step.CREATE: self._create,
            Step.LOOK: self._look,
            Step.RETRIEVE: self._retrieve,
            Step.CANCEL: self._cancel,
            Step.COLLECT: self._collect,
            Step.RELEASE: self._release,
            Step.GIVE_UP: self._give_up,
            Step.DELETE: self._delete,
            Step.FINISH: lambda: self._finish(lost=False),
            Step.LOSE: lambda: self._finish(lost=True),
        }

    def learn(self, carrier: Carrier) -> None:
        """The store tells of the carrier anew: its batch may be closing by now."""
        if carrier.closing and not self.course.closing:
            self.course = replace(self.course, closing=True)
            self._changed.set()

    def hurry(self) -> None:
        """Do not wait: look what is next."""
        self._changed.set()

    async def run(self) -> None:
        """Go on until the carrier is finished, is somebody else's, or broken, or we drain."""
        pause = 0.0
        while pause != _DONE:
            if pause > 0.0:
                await self._wait(pause)
            if self._tender.draining or self._tender.has_stopped(self.carrier):
                return
            try:
                pause = await self._step()
            except (StoreDamaged, AssertionError) as broken:
                self._tender.stop(self.carrier, broken)
                return
            except StoreUnavailable as error:
                self._tender.emit(StoreFailed("carrier", str(error)))
                pause = STORE_PAUSE
            except Exception as bug:  # noqa: BLE001 the other carriers go on, and so does this one, from what is stored
                self._tender.emit(BugFound("carrier", bug))
                pause = self._again()

    async def _step(self) -> float:
        now = self.carrier.created_at if self._tender.holds() else self._tender.clock.now()
        step = next_step(self.course, now)
        if self.course.upstream_id is not None and self._stored_id is None and not await self._note_sent():
            return _DONE
        if step not in LOCAL and (held := self.standby.waits(self.carrier.id)) > 0.0:
            return held
        try:
            return await self._steps[step]()
        finally:
            self.standby.let_go(self.carrier.id)

    async def _wait(self, pause: float) -> None:
        """Wait so long, or until something changed, or a border in time is crossed."""
        now = self._tender.clock.now()
        borders = (self.course.ends_by, self.course.expires_at, self.course.expires_at + GRACE)
        ahead = [seconds for at in borders if (seconds := (at - now).total_seconds()) > 0.0]
        await woken(self._changed, min(pause, *ahead, 3600.0))

    # --- making it

    async def _create(self) -> float:
        leases = self._leases if self._leases is not None else await self._tender.store.members(self.carrier.id)
        self._leases = None
        creating = Creating(self._tender, self.standby, self.carrier)
        created = await creating.run(leases)
        told, sent = created.told, created.sent
        self.course = replace(self.course, open=len(sent))
        if isinstance(told, UpstreamBatch):
            return await self._was_sent(told)
        if isinstance(told, TooMuch | Refused):
            return await self._was_refused(creating, told, sent)
        if told is None:
            return 0.0
        if not isinstance(told, NotStarted | Held):  # it may have been taken
            self.course = replace(self.course, lost_at=self._tender.clock.now(), looked_at=None, candidates=())
        return self._badly("create", told)

    async def _was_sent(self, told: UpstreamBatch) -> float:
        self.course = replace(self.course, upstream_id=told.id, standing=told.standing, candidates=())
        if not await self._note_sent():
            return _DONE
        self._since = self._tender.clock.monotonic()
        return self._well(told)

    async def _note_sent(self) -> bool:
        """Let the store know the upstream's id before anything else is done with it."""
        upstream_id = self._followed()
        if not await self._tender.store.sent(self._tender.owner, self.carrier.id, upstream_id):
            return False
        self._stored_id = upstream_id
        self._tender.emit(CarrierSent(self.carrier.id, self.carrier.lane, upstream_id))
        return True

    async def _was_refused(self, creating: Creating, told: TooMuch | Refused, sent: Sequence[Lease]) -> float:
        if self.course.lost_at is not None and self.course.keyed:
            # the key stands for a create that was other than this one: look for that
            self.course = replace(self.course, keyed=False)
            return self._badly("create", Refused(told.error))
        if isinstance(told, TooMuch) and len(sent) > 1:
            self.standby.shrink(len(sent))
            self._trouble("create", f"too much: {len(sent)} requests")
            return await self._finish(lost=True)
        wrong = blamed(sent, told.error)
        await creating.refuse([(lease, told.error) for lease in wrong])
        self.course = replace(self.course, open=len(sent) - len(wrong))
        return 0.0

    async def _look(self) -> float:
        listed = await self.standby.place.upstream.listed(self.carrier.created_at)
        if not isinstance(listed, Listed):
            return self._badly("look", listed)
        lost_at = self.course.lost_at
        assert lost_at is not None, "a look for a create whose answer came"
        found = candidates(
            listed.batches,
            self.course.open,
            self.carrier.created_at + listed.ahead,
            lost_at + listed.ahead,
            self._known() | self.strangers,
        )
        if found:
            self.course = replace(self.course, candidates=found, standing=None)
            return self._well()
        self.course = replace(self.course, looked_at=self._tender.clock.now())
        self.standby.went_well()
        return max(0.05, self.course.settle_for.total_seconds() / 8)

    # --- following it

    async def _retrieve(self) -> float:
        return self._learnt("retrieve", await self.standby.place.upstream.retrieve(self._followed()))

    async def _cancel(self) -> float:
        told = await self.standby.place.upstream.cancel(self._followed())
        if isinstance(told, UpstreamBatch | Refused):  # refused: it has ended already
            self.course = replace(self.course, cancel_asked=True)
            self._since = self._tender.clock.monotonic()
        return 0.0 if isinstance(told, Refused) else self._learnt("cancel", told)

    def _learnt(self, doing: str, told: UpstreamBatch | Absent | Outcome) -> float:
        if isinstance(told, UpstreamBatch):
            self.course = replace(self.course, standing=told.standing, absences=0)
            return self._well(told)
        if not isinstance(told, Absent):
            return self._badly(doing, told)
        if self.course.upstream_id is None:
            return self._strange(self._followed())
        self.course = replace(self.course, absences=self.course.absences + 1)
        self._trouble(doing, "the upstream has no such batch")
        return min(self.standby.place.gathering.poll, 5.0)

    def _strange(self, upstream_id: str) -> float:
        """A candidate is not ours: follow the next one, or look again."""
        self.strangers |= {upstream_id}
        left = [one for one in self.course.candidates if one != upstream_id]
        self.course = replace(self.course, candidates=left, standing=None)
        return 0.0

    # --- collecting it

    async def _collect(self) -> float:
        upstream_id = self._followed()
        proven = self.course.upstream_id is not None
        collection = Collection(self._tender, self.standby, self.carrier, upstream_id, proven=proven)
        ended = await collection.run()
        if collection.proven and not proven:
            self._stored_id = upstream_id
            self.course = replace(self.course, upstream_id=upstream_id, candidates=())
        match ended:
            case Ended.WHOLE:
                lacking = self.course.lacking + (1 if collection.left else 0)
                self.course = replace(self.course, open=collection.left, lacking=lacking)
                self.standby.went_well()
                if collection.left:
                    self._trouble("collect", f"{collection.left} results are missing")
                    return self._again()
                return 0.0
            case Ended.FOREIGN:
                return self._strange(upstream_id)
            case Ended.LEFT:
                return _DONE
            case Ended.ABSENT:
                self.course = replace(self.course, lacking=self.course.lacking + 1)
                self._trouble("collect", "the upstream has no results of it")
                return self._strange(upstream_id) if self.course.upstream_id is None else self._again()
            case _:
                if isinstance(ended, Hostile):  # it will be so again
                    self.course = replace(self.course, lacking=self.course.lacking + 1)
                return self._badly("collect", ended)

    async def _release(self) -> float:
        asked = self.course.upstream_id is not None or self.course.lost_at is not None
        await self._tender.release(self.carrier, paid=int(asked))
        self.course = replace(self.course, open=0)
        return 0.0

    async def _give_up(self) -> float:
        await self._tender.give_up(self.carrier)
        self.course = replace(self.course, open=0)
        return 0.0

    async def _delete(self) -> float:
        told = await self.standby.place.upstream.delete(self._followed())
        if isinstance(told, Absent | Refused):
            self.course = replace(self.course, deleted=True)
            return self._well()
        return self._badly("delete", told)

    async def _finish(self, *, lost: bool) -> float:
        now = self._tender.clock.now()
        if await self._tender.store.finish(self._tender.owner, self.carrier.id, lost=lost, now=now):
            seconds, how = (now - self.carrier.created_at).total_seconds(), "lost" if lost else "collected"
            self._tender.emit(CarrierEnded(self.carrier.id, self.carrier.lane, how, seconds))
        return _DONE

    # --- what went well or badly

    def _followed(self) -> str:
        assert self.course.followed is not None, "a question about no batch"
        return self.course.followed

    def _well(self, told: UpstreamBatch | None = None) -> float:
        """Return when to ask again: at once where it ended, or nothing is known of it."""
        self._failures = 0
        self.standby.went_well()
        if told is None or told.standing is Standing.ENDED:
            return 0.0
        age = self._tender.clock.monotonic() - self._since
        return poll_seconds(age, self.standby.place.gathering.poll, told.poll_after)

    def _badly(self, doing: str, outcome: Outcome) -> float:
        self.standby.went_badly(outcome, self.carrier.lane, searched=doing == "create")
        assert not hasattr(outcome, "message"), "what was answered is no trouble"
        if not isinstance(outcome, Held):  # that holds the whole place, with an alarm of its own
            self._trouble(doing, f"{type(outcome).__name__.lower()}: {outcome.error.type}")
        after = outcome.retry_after if isinstance(outcome, NotStarted | Held) else None
        return max(self._again(after), self.standby.held_for())

    def _again(self, after: float | None = None) -> float:
        self._failures += 1
        return delay_seconds(self._failures, after, self._tender.jitter())

    def _trouble(self, doing: str, reason: str) -> None:
        self._tender.emit(CarrierTrouble(self.carrier.id, self.carrier.lane, doing, reason))
