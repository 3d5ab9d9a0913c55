"""The herald tells webhooks what happened. It forgets nothing: what ended is read from the store, not from memory.

    store: ended since the mark ─┐
    store: deadline is near ─────┼─> notices ─> outbox (durable) ─> taken when due ─> posted ─> done, or again later
    event: a lane was held ──────┘

Each happening has one id, so noticing it twice tells it once. A crash between a post and its note repeats that post.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from batchyard.domain import hooks as hooks_of
from batchyard.domain.errors import NotFound, StoreUnavailable
from batchyard.domain.events import (
    BatchEnded,
    BugFound,
    Emit,
    Event,
    LaneHeld,
    StoreFailed,
)
from batchyard.domain.hook_events import WebhookFailed, WebhookTried
from batchyard.domain.hooks import Delivery, Hook, Kind, Notice, State
from batchyard.ports import Clock, Outbox, Post, Told, Upkeep

OVERLAP = timedelta(minutes=10)
"""How far behind the mark ends are looked through again: other processes' clocks and commits may be late."""
CLAIM = timedelta(minutes=2)
"""How long one try may take, all told, before somebody else may make it."""
AT_ONCE = 16
"""Deliveries under way at a time."""
KEPT = timedelta(days=30)
"""How long the log of deliveries goes back."""


@dataclass(frozen=True, slots=True)
class HeraldPace:
    """``every``: seconds between looks when nothing wakes us. ``expiring``: how near a deadline is soon."""

    every: float = 5.0
    expiring: timedelta = timedelta(hours=1)


class Herald:
    """Implements ``Webhooks``."""

    def __init__(
        self,
        hooks: Sequence[Hook],
        upkeep: Upkeep,
        outbox: Outbox,
        post: Post,
        *,
        clock: Clock,
        emit: Emit,
        jitter: Callable[[], float],
        pace: HeraldPace | None = None,
    ) -> None:
        self._hooks = {hook.name: hook for hook in hooks}
        self._upkeep, self._outbox, self._post = upkeep, outbox, post
        self._clock, self._emit, self._jitter = clock, emit, jitter
        self._pace = pace or HeraldPace()
        self._heard: dict[str, Notice] = {}
        self._wake = asyncio.Event()
        self._forget_at = float("-inf")

    def hear(self, event: Event) -> None:
        """Learn of an event: something may be due to be told."""
        if isinstance(event, LaneHeld):
            notice = hooks_of.held(event.lane, event.reason, event.seconds, self._clock.now())
            self._heard[notice.id] = notice
            self._wake.set()
        elif isinstance(event, BatchEnded):
            self._wake.set()

    async def run(self) -> None:
        """Tell what is to be told, until cancelled."""
        while True:
            try:
                await self._look()
                while await self._deliver():
                    pass
                await self._tidy()
            except StoreUnavailable as error:  # looked at again on the next round
                self._emit(StoreFailed("webhooks", str(error)))
            except Exception as bug:  # noqa: BLE001 a notice that is late is better than none for ever
                self._emit(BugFound("webhooks", bug))
            timer = asyncio.get_running_loop().call_later(self._pace.every, self._wake.set)
            await self._wake.wait()
            self._wake.clear()
            timer.cancel()

    def hooks(self) -> Sequence[Hook]:
        return list(self._hooks.values())

    async def log(self, hook: str, limit: int) -> Sequence[Told]:
        return await self._outbox.log(self._known(hook).name, limit)

    async def waiting(self) -> Mapping[str, int]:
        """Return how many deliveries wait, by hook: for every hook of the settings."""
        return {**dict.fromkeys(self._hooks, 0), **await self._outbox.waiting()}

    async def test(self, hook: str) -> Notice:
        notice = hooks_of.test(secrets.token_hex(8), self._clock.now())
        await self._outbox.put([Delivery(self._known(hook).name, notice)], self._clock.now())
        self._wake.set()
        return notice

    def _known(self, name: str) -> Hook:
        if name not in self._hooks:
            raise NotFound(f"There is no webhook {name!r} in the settings.")
        return self._hooks[name]

    async def _look(self) -> None:
        """Put every notice that is due to be told into the outbox."""
        now = self._clock.now()
        mark = await self._outbox.mark() or now + OVERLAP  # nobody is told of what ended before the first look
        heard = list(self._heard.values())
        ended = await self._upkeep.ended(mark - OVERLAP)
        near = await self._upkeep.due(now + self._pace.expiring) if self._is_wanted(Kind.EXPIRING) else []
        notices = [*heard, *map(hooks_of.ended, ended), *(hooks_of.expiring(batch, now) for batch in near)]
        await self._outbox.put(hooks_of.wanted(self.hooks(), notices), now, mark=max(mark, now))
        for notice in heard:
            del self._heard[notice.id]

    def _is_wanted(self, kind: Kind) -> bool:
        return any(kind in hook.kinds for hook in self._hooks.values())

    async def _deliver(self) -> bool:
        """Make the tries that are due; return whether there may be more."""
        now = self._clock.now()
        due = await self._outbox.take(now, now + CLAIM, AT_ONCE)
        await asyncio.gather(*map(self._try, due))
        return len(due) == AT_ONCE

    async def _try(self, delivery: Delivery) -> None:
        if delivery.hook not in self._hooks:  # it is not in the settings any more
            reply = hooks_of.Reply(hooks_of.GONE, "no such webhook in the settings any more")
        else:
            reply = await self._post.post(delivery, self._clock.now())
        now = self._clock.now()
        verdict = hooks_of.verdict(delivery.tries, reply, now, self._jitter())
        await self._outbox.tried(delivery, reply, verdict, now)
        told = (delivery.hook, delivery.notice.kind.value, delivery.notice.id, delivery.tries)
        self._emit(WebhookTried(*told, reply.status, reply.reason))
        if verdict.state is State.FAILED:
            self._emit(WebhookFailed(*told))

    async def _tidy(self) -> None:
        if self._clock.monotonic() >= self._forget_at:
            self._forget_at = self._clock.monotonic() + 3600.0
            await self._outbox.forget(self._clock.now() - KEPT)
