"""Watches what workspaces spend, and lets nothing more of them start once they have spent what they may.

    answer ──> counted at once ──> committed ──> read from the store each second, with what other processes spent

An answer counts from before the next request is chosen, so that what goes beyond a cap is at most what was in flight.
It is counted here until a reading began after its commit: then it is in the reading. One that was committed while a
reading was under way may count twice until the next one: until then it may hold requests back, but it does not say
that a cap is reached.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from batchyard.domain.errors import StoreUnavailable
from batchyard.domain.events import BugFound, Emit, StoreFailed
from batchyard.domain.outcome import Finish, Settlement
from batchyard.domain.pricing import Price
from batchyard.domain.request import Drafts
from batchyard.domain.spending import Caps, SpendCapped, Spent, amount, check, least, may_spend, spent
from batchyard.domain.usage import NO_USAGE, Usage
from batchyard.ports import Clock, Prices, Ready, Views

SECONDS_BETWEEN_READINGS = 1.0
MOST_ON_LOOP = 1000
"""Rows of a month, by day and model, that are summed up on the event loop; clients choose the names of models."""


@dataclass(slots=True)
class _Own:
    """An answer of ours that no reading has yet; ``committed_at`` is monotonic."""

    workspace: str
    model: str
    usage: Usage
    committed_at: float | None = None


class Unwatched:
    """Lets everybody spend."""

    def may_start(self, workspace: str) -> bool:  # noqa: ARG002
        return True

    def settled(self, batch: Ready, settlement: Settlement) -> None:
        pass

    def committed(self, settlements: Iterable[Settlement]) -> None:
        pass


class Spending(Unwatched):
    """Implements the port for creates. The other verbs are for those who start requests.

    ``freed`` is told when a workspace may spend again, or it was first learnt that it may.
    """

    def __init__(
        self,
        views: Views,
        prices: Prices,
        clock: Clock,
        emit: Emit,
        *,
        caps: Callable[[str], Caps],
        freed: Callable[[], None] = lambda: None,
    ) -> None:
        self._views, self._prices, self._clock, self._emit = views, prices, clock, emit
        self._caps, self._freed = caps, freed
        self._read: dict[str, Spent] = {}
        self._own: dict[tuple[str, int], _Own] = {}
        self._sums: dict[str, float] = {}
        self._since: dict[str, float] = {}
        """What answers cost that came after the end of the last reading, which cannot be in it."""
        self._held: set[str] = set()
        self._known_prices: dict[str, Price | None] = {}
        self._capped: set[str] = set()
        self._asked: set[str] = set()
        self._unsure: set[str] = set()
        self._wake = asyncio.Event()

    async def check(self, workspace: str, drafts: Drafts) -> None:
        """Raise ``RateLimited`` where the workspace may not spend what these requests cost at least."""
        caps = self._caps(workspace)
        if caps.is_limit:
            lengths = drafts.lengths_by_model()
            prices = await self._prices.of(lengths.keys())
            began = self._clock.monotonic()
            so_far = (await self._reading(workspace)).and_now(self._unread(workspace, began))
            check(caps, so_far, least(lengths, prices))

    def may_start(self, workspace: str) -> bool:
        """Whether requests of the workspace may be started. Of one that was never read, not before it is."""
        caps = self._caps(workspace)
        if not caps.is_limit:
            return True
        if workspace not in self._asked:
            self._asked.add(workspace)
            self._wake.set()
        if workspace not in self._read or workspace in self._unsure:
            return False
        return may_spend(caps, self._so_far(workspace))

    def settled(self, batch: Ready, settlement: Settlement) -> None:
        """Count an answer, before it is committed."""
        if (
            not isinstance(settlement, Finish)
            or settlement.usage == NO_USAGE
            or not self._caps(batch.workspace).is_limit
        ):
            return
        lease = settlement.lease
        own = self._own[lease.batch, lease.seq] = _Own(batch.workspace, settlement.model, settlement.usage)
        cost = self._amount(own)
        self._sums[own.workspace] = self._sums.get(own.workspace, 0.0) + cost
        self._since[own.workspace] = self._since.get(own.workspace, 0.0) + cost
        if own.model not in self._known_prices:
            self._unsure.add(own.workspace)  # of a new model's first answers nobody knows yet what they cost
            self._wake.set()
        self._note(own.workspace)

    def committed(self, settlements: Iterable[Settlement]) -> None:
        """Learn that these are in the store: readings that begin from now on have them."""
        if self._own:
            now = self._clock.monotonic()
            for one in settlements:
                own = self._own.get((one.lease.batch, one.lease.seq))
                if own is not None:
                    own.committed_at = now

    async def run(self) -> None:
        """Read again and again, for ever. A store in trouble is asked again; until then what was read holds."""
        while True:
            self._wake.clear()
            try:
                await self._read_all()
            except StoreUnavailable as error:
                self._emit(StoreFailed("spending", str(error)))
            except Exception as bug:  # noqa: BLE001 nobody else watches: it must go on
                self._emit(BugFound("spending", bug))
            timer = asyncio.get_running_loop().call_later(SECONDS_BETWEEN_READINGS, self._wake.set)
            await self._wake.wait()
            timer.cancel()

    async def _read_all(self) -> None:
        for workspace in list(self._asked):
            waits, began = workspace not in self._read, self._clock.monotonic()
            read = await self._reading(workspace)
            models = {own.model for own in self._own.values()}
            self._known_prices |= await self._prices.of(models - self._known_prices.keys())
            self._read[workspace] = read
            self._forget(workspace, began)
            if all(own.model in self._known_prices for own in self._own.values()):
                waits = waits or workspace in self._unsure
                self._unsure.discard(workspace)
            self._note(workspace)
            if waits:
                self._freed()

    def _unread(self, workspace: str, began: float) -> float:
        """Return what our answers cost that a reading which began then may not have."""
        return sum(
            self._amount(own)
            for own in self._own.values()
            if own.workspace == workspace and not (own.committed_at is not None and own.committed_at < began)
        )

    def _forget(self, workspace: str, began: float) -> None:
        """Drop what a reading that began then has."""
        read = [
            key
            for key, own in self._own.items()
            if own.workspace == workspace and own.committed_at is not None and own.committed_at < began
        ]
        for key in read:
            del self._own[key]
        self._sums[workspace] = sum(self._amount(own) for own in self._own.values() if own.workspace == workspace)
        self._since[workspace] = 0.0

    async def _reading(self, workspace: str) -> Spent:
        today = self._clock.now().date()
        rows = await self._views.usage(workspace, today.replace(day=1), today, by_batch=False)
        self._known_prices |= await self._prices.of({row.model for row in rows} - self._known_prices.keys())
        if len(rows) <= MOST_ON_LOOP:
            return spent(rows, self._known_prices, today)
        return await asyncio.to_thread(spent, rows, self._known_prices, today)

    def _amount(self, own: _Own) -> float:
        return amount(own.usage, self._known_prices.get(own.model))

    def _so_far(self, workspace: str) -> Spent:
        return self._read.get(workspace, Spent()).and_now(self._sums.get(workspace, 0.0))

    def _note(self, workspace: str) -> None:
        """Tell when the cap is reached, and when it no longer is."""
        caps, read = self._caps(workspace), self._read.get(workspace, Spent())
        reached = not may_spend(caps, read.and_now(self._since.get(workspace, 0.0)))
        if reached != (workspace in self._capped):
            (self._capped.add if reached else self._capped.discard)(workspace)
            self._emit(SpendCapped(workspace, reached))
        if not may_spend(caps, self._so_far(workspace)):
            self._held.add(workspace)
        elif workspace in self._held:
            self._held.discard(workspace)
            self._freed()
