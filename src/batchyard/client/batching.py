"""The parts of a round become batches, are followed, and their results are fetched as each ends."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from batchyard.client.api import Api
from batchyard.client.arrange import OtherResults, arrange
from batchyard.client.budget import Budget
from batchyard.client.creates import Creator
from batchyard.client.errors import RefusedByServer
from batchyard.client.events import Counted, Created, Doubtful, Fetched, Full, Tell
from batchyard.client.fetch import resume
from batchyard.client.follow import pause_after
from batchyard.client.journal import Journal, PartState
from batchyard.client.patience import pause
from batchyard.client.replies import Counts, MessageBatch
from batchyard.client.rounds import Rounds
from batchyard.client.source import custom_ids, request_lines
from batchyard.client.tally import Tally
from batchyard.client.workplace import Workplace

BRIEFLY = 60.0
"""Seconds at most until a full server is asked again; fewer where it says so."""

UNTOLD = 4
"""A server that does not say when to try again is asked after as long as a call waits before its fifth try."""


class Batching:
    """The batches of one job on one server."""

    def __init__(
        self, creator: Creator, journal: Journal, rounds: Rounds, workplace: Workplace, budget: Budget | None
    ) -> None:
        self._creator = creator
        self._journal = journal
        self._rounds = rounds
        self._workplace = workplace
        self._budget = budget
        self._bounds: dict[int, Decimal] = {}
        self._latest: dict[str, MessageBatch] = {}
        self._doubtful: set[int] = set()
        self._briefly = BRIEFLY

    async def end_round(self, tell: Tell) -> None:
        """Create what is left of this round, and wait until all of it has ended and is here."""
        while not await self.create(tell):
            await self.end_created(tell, briefly=True)
        await self.end_created(tell)

    async def create(self, tell: Tell, most: int | None = None) -> bool:
        """Create the parts of this round, so many at most; False if those that run must end first.

        So it is where the server is full, or for their cost: ``CostReached`` where nothing runs that could turn out
        cheaper.
        """
        self._briefly = BRIEFLY
        parts = self._journal.of_round(self._journal.rounds - 1)
        for count, (number, state) in enumerate(parts[:most], start=1):
            requests = state.part.requests
            if state.sent_at is None and not self._fits(number):
                return False

            def created(batch_id: str, count: int = count, requests: int = requests) -> None:
                tell(Created(batch_id, count, len(parts), requests))

            if not await self._fits_in(number, state, created, tell):
                return False
            if state.batch_id is None and number not in self._doubtful:
                self._doubtful.add(number)
                tell(Doubtful(tuple(state.suspects), requests))
        return True

    async def _fits_in(self, number: int, state: PartState, created: Callable[[str], None], tell: Tell) -> bool:
        """Create a part; False if the server takes no more until something of this job has ended."""
        api = self._creator.api
        api.waits_if_full = not self._running
        try:
            await self._creator.create(number, self._rounds.requests(state.round), created)
        except RefusedByServer as refused:
            if not refused.is_full or api.waits_if_full:
                raise
            seconds = pause(UNTOLD, refused.headers, 0, datetime.now(UTC))
            self._briefly = BRIEFLY if seconds is None else min(seconds, BRIEFLY)
            tell(Full(str(refused)))
            return False
        finally:
            api.waits_if_full = True
        return True

    @property
    def _running(self) -> int:
        return sum(bool(state.batch_ids) and state.fetched is None for state in self._journal.parts)

    async def end_created(self, tell: Tell, *, briefly: bool = False) -> None:
        """Follow what was created of this round until all of it has ended, and fetch the results of each.

        ``briefly`` ends with the next that has ended, or some time later: there may be room for another batch.
        """
        waited, running = 0.0, self._running
        while True:
            parts = self._journal.of_round(self._journal.rounds - 1)
            for number, state in parts:
                await self._look(number, state, tell)
            tell(self._counted(parts))
            if all(state.fetched is not None for _, state in parts if state.sent_at is not None):
                return
            if briefly and (self._running < running or waited >= self._briefly):
                return
            await self._creator.sleep(pause_after(waited))
            waited += pause_after(waited)

    def _fits(self, number: int) -> bool:
        if self._budget is None:
            return True
        spent, running = Decimal(0), False
        for place, state in enumerate(self._journal.parts):
            if state.sent_at is not None:
                cost = None if state.fetched is None else self._budget.spent(state.fetched)
                spent += self._bound(place) if cost is None else cost
                running = running or state.fetched is None
        bound = self._bound(number)
        if not running and spent + bound > self._budget.most:
            raise self._budget.reached(spent, bound, self._journal.parts[number].part.requests)
        return spent + bound <= self._budget.most

    def _bound(self, number: int) -> Decimal:
        assert self._budget is not None, "the bound of a cost that has no limit"
        if number not in self._bounds:
            state = self._journal.parts[number]
            lines = request_lines(self._rounds.requests(state.round), state.part)
            self._bounds[number] = self._budget.bound(lines, state.part.requests)
        return self._bounds[number]

    async def _look(self, number: int, state: PartState, tell: Tell) -> None:
        if state.fetched is not None or state.sent_at is None:
            return
        for batch_id in list(state.batch_ids):
            batch = self._latest[batch_id] = await self._creator.api.retrieve(batch_id)
            if batch.has_ended and await self._fetch(self._creator.api, number, batch_id):
                tell(Fetched(batch_id, state.part.requests))
                return
        if not state.batch_ids:  # none of the suspects was it
            await self._fits_in(number, state, lambda _batch_id: None, tell)

    async def _fetch(self, api: Api, number: int, batch_id: str) -> bool:
        """Fetch the results of a batch; False if it was a suspect, and is of other requests."""
        state = self._journal.parts[number]
        requests = self._rounds.requests(state.round)
        raw = self._workplace.download(number, batch_id)
        await resume(api, batch_id, raw)
        try:
            arranged = self._workplace.results(number)
            tally = arrange(raw, batch_id, lambda: custom_ids(requests, state.part), arranged)
        except OtherResults:
            raw.unlink()
            if state.batch_id == batch_id:
                raise
            self._journal.reject(number, batch_id)
            return False
        if state.batch_id is None:
            self._journal.created(number, batch_id)
        self._journal.fetched(number, tally)
        return True

    def _counted(self, parts: list[tuple[int, PartState]]) -> Counted:
        counts, fetched = Counts(), Tally()
        for state in self._journal.parts:
            if state.fetched is not None:
                fetched += state.fetched
        for _, state in parts:
            if state.fetched is not None:
                counts += Counts(**state.fetched.counts)
            elif state.batch_ids and (batch := self._latest.get(state.batch_ids[0])):
                counts += batch.request_counts
            else:
                counts += Counts(processing=state.part.requests)
        return Counted(counts, fetched)
