"""Each part of a job becomes one batch, also where the answer to its create is lost.

    announce ──> create ──> created
                   │ no answer, or 5xx
                   ├─ the server knows idempotency keys: the same create again gives the first batch
                   └─ it does not: look for a batch that may be it, by time and count
                         ├─ found: it is a suspect, until its custom_ids tell
                         └─ none within a minute: no batch was made; create again

What was announced by a run that was killed is taken up the same way.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from batchyard.client.api import Api
from batchyard.client.errors import RefusedByServer, ServerError
from batchyard.client.follow import Sleep
from batchyard.client.journal import Journal, PartState
from batchyard.client.replies import MessageBatch
from batchyard.client.source import InputChanged, PartBody

SETTLE_SECONDS = 60.0
"""How long a create whose answer was lost may take to show in the server's list."""

KEY_MARGIN = 3600.0
"""Seconds before its time at which an idempotency key is no longer relied on."""

CLOCKS_APART = timedelta(hours=1)
"""How far the server's clock may be behind ours; batches made longer before a create are not looked at."""

PAGE = 100


@dataclass(frozen=True, slots=True)
class Creator:
    """Creates the parts of one job on one server, one after the other."""

    api: Api
    journal: Journal
    key_seconds: float
    """For how long the server knows an idempotency key; 0 where it knows none."""
    sleep: Sleep = asyncio.sleep
    settle_seconds: float = SETTLE_SECONDS
    headers: Mapping[str, str] = field(default_factory=dict)

    async def create(self, number: int, source: BinaryIO, tell: Callable[[str], None]) -> None:
        """See to it that the part has its batch, or suspects of which one is; ``tell`` hears of a batch made."""
        state = self.journal.parts[number]
        retry, waited = 0, 0.0
        while not state.batch_ids:
            if state.is_unsure and not self._is_known(state) and await self._look(number):
                return
            try:
                await self._send(number, source)
            except ServerError as problem:
                if self.key_seconds or self.journal.parts[number].sent_at is None:
                    raise  # the client has repeated it already, or it made no batch
                waited = await self.api.wait(problem, retry, waited)
                retry += 1
            else:
                tell(state.batch_ids[0])

    def _is_known(self, state: PartState) -> bool:
        """Whether the server knows the create that was sent by its key, if it came there."""
        assert state.sent_at is not None, "asking for a create that was not sent"
        age = (datetime.now(UTC) - state.sent_at).total_seconds()
        return age < self.key_seconds - KEY_MARGIN

    async def _send(self, number: int, source: BinaryIO) -> None:
        state = self.journal.parts[number]
        knows_keys, is_first = self.key_seconds > 0, state.sent_at is None
        if is_first:
            newest = None if knows_keys else await self.api.page(limit=1)
            self.journal.announce(number, newest.batches[0].id if newest and newest.batches else None)
        try:
            body = PartBody(source, state.part)
            batch = await self.api.create(body, idempotency_key=state.key, again=knows_keys, headers=self.headers)
        except (InputChanged, RefusedByServer) as problem:
            if is_first and (isinstance(problem, InputChanged) or problem.is_certain):
                self.journal.withdraw(number)
            raise
        self.journal.created(number, batch.id)

    async def _look(self, number: int) -> bool:
        """Find batches that an unanswered create may have made. Without any, it is withdrawn."""
        pause, waited = 1.0, 0.0
        while True:
            found = await self._candidates(number)
            if found:
                self.journal.suspect(number, found)
                return True
            if waited >= self.settle_seconds:
                self.journal.withdraw(number)
                return False
            await self.sleep(pause)
            waited += pause
            pause = min(pause * 2, 15.0)

    async def _candidates(self, number: int) -> list[str]:
        """Return the batches, newest first, that came after the create was announced and have as many requests."""
        state = self.journal.parts[number]
        assert state.sent_at is not None, "looking for a create that was not sent"
        taken = state.rejected.union(*(other.batch_ids for other in self.journal.parts))
        earliest = state.sent_at - CLOCKS_APART
        found: list[str] = []
        after = None
        while True:
            page = await self.api.page(limit=PAGE, after_id=after)
            for batch in page.batches:
                if batch.id == state.after or _moment(batch.created_at, earliest) < earliest:
                    return found
                if batch.id not in taken and batch.request_counts.total == state.part.requests:
                    found.append(batch.id)
            if not page.has_more or not page.batches:
                return found
            after = page.batches[-1].id


async def create_once(
    api: Api, body: PartBody, idempotency_key: str, headers: Mapping[str, str] | None = None
) -> MessageBatch:
    """Create a batch that no job remembers, trying again only where that makes no second one."""
    knows_keys = await api.key_seconds() > 0
    try:
        return await api.create(body, headers=headers, idempotency_key=idempotency_key, again=knows_keys)
    except ServerError as problem:
        if problem.had_no_effect:
            raise
        raise ServerError(f"{problem}; it may have made a batch all the same: `batchyard list` shows it") from None


def _moment(text: str, otherwise: datetime) -> datetime:
    """Return the time of a batch; one that cannot be read does not end the search."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
