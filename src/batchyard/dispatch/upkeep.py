"""Upkeep: what must happen to batches though nobody asks. Expire, reclaim, seal, sweep, archive, purge.

Each duty is idempotent and safe to run beside another owner's: the store decides who did it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from batchyard.dispatch.sealer import seal
from batchyard.dispatch.stopped import DATABASE, Stopped
from batchyard.domain.batch import Batch
from batchyard.domain.errors import StoreDamaged, StoreUnavailable
from batchyard.domain.events import (
    BatchArchived,
    BatchEnded,
    BatchExpired,
    BugFound,
    DamageFound,
    Emit,
    LeasesReclaimed,
    StoreFailed,
)
from batchyard.domain.result import Result
from batchyard.ports import Blobs, Clock, Upkeep

SWEEP_ROWS = 2_000
"""Rows deleted at once: 100,000 would hold the only writer for seconds."""
SEALED_AT_ONCE = 32
"""Batches that are sealed before it is looked what else became ripe, and one of each workspace at least."""
LEFTOVER_SECONDS = 3600.0
"""A file that no batch names may still be on its way to one for so long: a slow upload, a seal."""


@dataclass(frozen=True, slots=True)
class Duties:
    """How often upkeep looks, in seconds, and how long results are kept from their batch's creation.

    ``patience``: whom we find dead gets so long to beat, where the store was away just before, or we have just begun.
    """

    every: float = 1.0
    patience: float = 10.0
    leftovers_every: float = 600.0
    retain_results_for: timedelta = timedelta(days=29)


class Keeper:
    """Runs the duties until cancelled. While ``holds``, nothing ends by a deadline and nothing goes by its age.

    ``own`` is the owner that works in this process. Whatever its heartbeats say, it lives.
    """

    def __init__(
        self,
        store: Upkeep,
        blobs: Blobs,
        clock: Clock,
        emit: Emit,
        *,
        result_line: Callable[[str, Result], bytes],
        duties: Duties | None = None,
        cut_overdue: Callable[[], None] = lambda: None,
        freed: Callable[[], None] = lambda: None,
        holds: Callable[[], bool] = lambda: False,
        each_round: Callable[[], None] = lambda: None,
        stopped: Stopped | None = None,
        own: str = "",
    ) -> None:
        self._own = own
        self._store, self._blobs, self._clock, self._emit = store, blobs, clock, emit
        self._result_line = result_line
        self._duties = duties or Duties()
        self._cut_overdue = cut_overdue
        self._freed = freed
        self._holds = holds
        self._each_round = each_round
        self._stopped = stopped or Stopped(emit)
        self._damage_told: set[str] = set()
        self._wake = asyncio.Event()
        self._was_away, self._spared_until = True, float("-inf")
        self._leftovers_at = clock.monotonic() + self._duties.leftovers_every

    def wake(self) -> None:
        """Something is ripe: look now."""
        self._wake.set()

    async def run(self) -> None:
        """Do what is due, for ever. One duty's failure does not keep the others from theirs."""
        while True:
            self._each_round()
            for duty in (self._reclaim, self._expire, self._seal, self._sweep, self._archive, self._leftovers):
                try:
                    await duty()
                except StoreDamaged as damage:
                    self._tell_once(duty.__name__.strip("_"), damage)
                except StoreUnavailable as error:  # tried again on the next round
                    self._emit(StoreFailed(duty.__name__.strip("_"), str(error)))
                except Exception as bug:  # noqa: BLE001 the next round tries again; other batches go on
                    self._emit(BugFound(duty.__name__.strip("_"), bug))
            timer = asyncio.get_running_loop().call_later(self._duties.every, self._wake.set)
            await self._wake.wait()
            self._wake.clear()
            timer.cancel()

    def _tell_once(self, duty: str, damage: StoreDamaged) -> None:
        """Tell of damage that keeps a duty from its end: it is tried again, and fails again, until a restart."""
        told = f"{duty}: {damage}"
        if told not in self._damage_told:
            self._damage_told.add(told)
            self._emit(DamageFound(DATABASE, told))

    async def settle_down(self) -> None:
        """Seal what is ripe: the last duty before a stop."""
        await self._seal(all_of_them=True)

    async def _reclaim(self) -> None:
        for owner in await self._found_dead():
            if owner == self._own:  # we were frozen, or could not say that we live; our calls may still be answered
                continue
            leases = await self._store.reclaim(owner, self._clock.now())
            self._emit(LeasesReclaimed(owner, leases))
            self._freed()

    async def _found_dead(self) -> Sequence[str]:
        """Return who is dead. Where the store was away, or hung, it was so for others too: their heartbeats are old,
        yet they live, with answers to be stored. They get time to beat before they are judged. How long ago we looked
        says nothing: our own rounds may be long."""
        asked = self._clock.monotonic()
        try:
            dead = await self._store.dead(self._clock.now())
        except StoreUnavailable:
            self._was_away = True
            raise
        now = self._clock.monotonic()
        if self._was_away or now - asked > self._duties.patience:
            self._was_away = False
            self._spared_until = now + self._duties.patience
        return dead if now >= self._spared_until else []

    async def _expire(self) -> None:
        if not self._holds():
            self._cut_overdue()  # whatever the store can do
            for batch in await self._store.expire(self._clock.now()):
                self._emit(BatchExpired(batch))

    async def _seal(self, *, all_of_them: bool = False) -> None:
        """Seal what is ripe. A client may cancel thousands of batches at once: after a while it is looked again whose
        are ripe now, and the other duties have their turn."""
        ripe = _in_turns([batch for batch in await self._store.ripe() if batch.id not in self._stopped])
        least = max(SEALED_AT_ONCE, len({batch.workspace for batch in ripe}))
        until = self._clock.monotonic() + self._duties.every
        for number, batch in enumerate(ripe):
            if number >= least and not all_of_them and (self._wake.is_set() or self._clock.monotonic() >= until):
                self._wake.set()
                return
            await self._seal_one(batch)

    async def _seal_one(self, batch: Batch) -> None:
        try:
            ended = await seal(self._store, self._blobs, self._clock, batch, self._result_line)
        except (StoreDamaged, AssertionError) as broken:  # it stays as it is, the others are sealed
            self._stopped.stop(batch.id, "seal", broken)
            return
        if ended is not None and ended.ended_at is not None:
            seconds = (ended.ended_at - ended.created_at).total_seconds()
            self._emit(BatchEnded(ended.id, ended.workspace, ended.counts, seconds))

    async def _sweep(self) -> None:
        until = self._clock.monotonic() + self._duties.every
        while await self._store.sweep(SWEEP_ROWS):
            if self._wake.is_set() or self._clock.monotonic() >= until:
                self._wake.set()  # a batch may wait to be sealed, or be past its deadline; the next round sweeps on
                return

    async def _archive(self) -> None:
        if self._holds():
            return
        now = self._clock.now()
        for batch in await self._store.archive(now - self._duties.retain_results_for, now):
            await self._forget(batch)
            self._emit(BatchArchived(batch.id))

    async def _forget(self, batch: Batch) -> None:
        sealed = batch.sealed
        names = [batch.body, *((sealed.results, sealed.index, sealed.ledger) if sealed else ())]
        for name in names:
            await self._blobs.delete(name)

    async def _leftovers(self) -> None:
        """Delete files that no batch names and that nobody wrote to for long: a crash left them."""
        if self._clock.monotonic() < self._leftovers_at:
            return
        self._leftovers_at = self._clock.monotonic() + self._duties.leftovers_every
        old = await self._blobs.old(LEFTOVER_SECONDS)
        needed = await self._store.blobs()
        for name in old:
            if name not in needed:
                await self._blobs.delete(name)


def _in_turns(batches: Sequence[Batch]) -> list[Batch]:
    """Return the first of each workspace, then the second of each, and so on; of several the smallest first, for nobody
    waits for a large one."""
    before: Counter[str] = Counter()
    turns: list[tuple[int, Batch]] = []
    for batch in sorted(batches, key=lambda batch: batch.counts.total):
        turns.append((before[batch.workspace], batch))
        before[batch.workspace] += 1
    return [batch for _, batch in sorted(turns, key=lambda turn: turn[0])]
