"""One process: the API, the dispatcher and the upkeep over one store, from its start to its stop."""

import asyncio
import gc
import os
import random
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.types import ASGIApp

from batchyard import assembly
from batchyard.app import carriers, entrance, folder
from batchyard.app.gauges import Gauges
from batchyard.app.kept import Kept
from batchyard.app.telling import Telling
from batchyard.dispatch.carrier import CarrierRunner
from batchyard.dispatch.dispatcher import Dispatcher, Pace
from batchyard.dispatch.lane_log import LaneLog
from batchyard.dispatch.lanes import Lanes
from batchyard.dispatch.room import Room
from batchyard.dispatch.spending import Spending
from batchyard.dispatch.stopped import Stopped
from batchyard.dispatch.upkeep import Duties, Keeper
from batchyard.dispatch.waiting import Waiting
from batchyard.domain.events import (
    AttemptFinished,
    BatchCreated,
    BatchEnded,
    BatchExpired,
    BatchPaused,
    BugFound,
    CancelAsked,
    Event,
    LaneHeld,
)
from batchyard.metrics import Metrics
from batchyard.ports import Hearer, Keys, Prices
from batchyard.settings import Settings
from batchyard.store.sqlite import SqliteStore
from batchyard.web.api import build_api
from batchyard.web.crowd import Crowd
from batchyard.web.fixtures import Fixtures
from batchyard.web.keys import KeyBook
from batchyard.web.roles import serving
from batchyard.web.routes import nothing_over
from batchyard.web.server import Server
from batchyard.wire import result_line

_Task = asyncio.Task[None]
CLOSE_SECONDS = 5.0
"""How long answers under way may take to finish once everything else has stopped."""


@dataclass(slots=True)
class _Stop:
    """What the signals asked for."""

    drain: asyncio.Event
    cut: asyncio.Event

    def signal(self) -> None:
        (self.cut if self.drain.is_set() else self.drain).set()


class App:
    """One process: API, dispatcher, upkeep over one store."""

    def __init__(self, settings: Settings, kept: Kept, observe: Callable[[Event], None], metrics: Metrics) -> None:
        clock, store = kept.clock, kept.store
        self._settings, self._clock, self._store, self._observe = settings, clock, store, observe
        self._follow = kept.follow
        self._not_ready = "starting"
        self._stop = _Stop(asyncio.Event(), asyncio.Event())
        self._blobs = kept.blobs
        self._space, stopped = folder.space(settings, store), Stopped(self.emit)
        self._room = Room(self._space, clock, self.emit)
        self._places = assembly.places(settings, clock)
        lanes = Lanes(self._places, assembly.routes(settings), clock, self.emit)
        prices, caps = entrance.prices(settings), entrance.caps(settings)
        self._spending = Spending(store.views, prices, clock, self.emit, caps=caps, freed=self.wake)
        self._dispatcher = Dispatcher(
            store,
            self._blobs,
            lanes,
            clock,
            self.emit,
            owner=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
            jitter=random.random,
            pace=Pace(lease=settings.lease.total_seconds()),
            ripened=lambda: self._keeper.wake(),  # noqa: PLW0108 the keeper is made after this
            may_store=self._room.is_there,
            stopped=stopped,
            weight=entrance.weights(settings),
            spending=self._spending,
        )
        self._waiting = Waiting(lanes, self._places, clock)
        of, own = (self._dispatcher.board, store.lane_history, clock, self.emit), self._dispatcher.owner
        self._lane_log = LaneLog(*of, owner=own)
        self._carriers = self._carried(lanes, stopped)
        self._dispatcher.board.carriers = self._carriers.under_way_at
        self._keeper = self._kept(stopped)
        self._telling = Telling(settings, kept, self.emit)
        self._gauges = self._measured(prices)
        self._book, self._secret = KeyBook(kept.shelf, clock), kept.shelf.secret()
        crowd = Crowd(settings.max_connections_per_address, settings.trusted_proxies)
        self._server = Server(self._api(entrance.keys(settings, self._book), prices, metrics), crowd=crowd)

    def _carried(self, lanes: Lanes, stopped: Stopped) -> CarrierRunner:
        return carriers.runner(
            self._store,
            self._blobs,
            assembly.batch_places(self._settings, self._clock),
            lanes=lanes,
            dispatcher=self._dispatcher,
            clock=self._clock,
            emit=self.emit,
            has_room=self._room.is_there,
            ripened=lambda: self._keeper.wake(),  # noqa: PLW0108 as above
            stopped=stopped,
            weight=entrance.weights(self._settings),
            may_start=self._spending.may_start,
        )

    def _kept(self, stopped: Stopped) -> Keeper:
        return Keeper(
            self._store,
            self._blobs,
            self._clock,
            self.emit,
            result_line=result_line,
            duties=Duties(
                patience=self._settings.lease.total_seconds() / 3, retain_results_for=self._settings.retain_results_for
            ),
            cut_overdue=self._dispatcher.cut_overdue,
            freed=self._dispatcher.wake,
            holds=self._clock.holds,
            each_round=lambda: self._clock.look(self.emit),
            stopped=stopped,
            own=self._dispatcher.owner,
        )

    def _measured(self, prices: Prices) -> Gauges:
        return Gauges(
            self._dispatcher,
            self._dispatcher.board,
            self._store.views,
            prices,
            self._space,
            self._clock,
            self._why_not_ready,
            self._telling.herald,
        )

    def _why_not_ready(self) -> str:
        return self._not_ready or self._room.reason()

    def _api(self, keys: Keys, prices: Prices, metrics: Metrics) -> ASGIApp:
        async def render() -> bytes:
            return metrics.render(await self._gauges.read())

        return build_api(
            batches=self._store,
            upkeep=self._store,
            work=self._store,
            blobs=self._blobs,
            calls=self._dispatcher.calls,
            lanes=self._dispatcher.board,
            lane_history=self._store.lane_history,
            views=self._store.views,
            prices=prices,
            spending=self._spending,
            keys=keys,
            clock=self._clock,
            emit=self.emit,
            settings=entrance.web_settings(self._settings),
            space=self._space,
            not_ready=self._why_not_ready,
            metrics=render,
            folder=folder.own(self._settings, self._store),
            secret=self._secret,
            webhooks=self._telling.herald,
            waits=self._waiting.why,
            overlay=serving(
                self._settings.role,
                Fixtures(self._clock).methods if self._settings.compat_fixtures else nothing_over,
            ),
        )

    def emit(self, event: Event) -> None:
        """Let everybody know, and wake who has something to do now."""
        self._observe(event)
        kind = type(event)
        if kind is AttemptFinished:  # thousands a second
            return
        if isinstance(event, CancelAsked) or (isinstance(event, BatchPaused) and event.paused):
            self._dispatcher.withhold(event.batch)
        if kind is BatchCreated or kind is CancelAsked or kind is BatchPaused or kind is BatchExpired:
            self.wake()
        elif kind is BatchEnded or kind is LaneHeld:
            self._telling.hear(event)

    @property
    def _hearer(self) -> Hearer:
        """What is to be done when other processes tell of something."""
        dispatcher = self._dispatcher
        owner = "" if self._settings.role == "api" else dispatcher.owner
        return Hearer(owner, self.wake, dispatcher.beat_soon, dispatcher.withhold)

    def wake(self) -> None:
        """There may be something to do."""
        self._dispatcher.wake()
        self._carriers.wake()
        self._keeper.wake()

    async def run(self) -> int:
        """Listen and work until a signal; return the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.signal)
        try:
            recovered = await folder.recover(self._store, self._blobs, self._clock, self.emit)
            await self._server.start(self._settings.host, self._settings.port)
            self.emit(recovered)  # not before it is sure that we start: a refusal is one line
            if isinstance(self._store, SqliteStore):
                self._store.listens_at(self._server.url)
            parts = self._begun() if self._settings.role != "api" else []
            following = [asyncio.create_task(follow(self._hearer), name="follow") for follow in self._follow]
            following.append(asyncio.create_task(self._spending.run(), name="spending"))
            if parts:
                following.append(asyncio.create_task(self._lane_log.run(), name="lane history"))
            gc.freeze()  # what is there now stays: the collector need not look at it again
            self._not_ready = ""
            sys.stdout.write(f"Batchyard is listening on {self._server.url}\n")
            sys.stdout.flush()
            following.append(asyncio.create_task(self._telling.run(), name="webhooks"))
            return await self._until_stopped(parts, following)
        finally:
            await self._telling.close()
            await self._server.close(CLOSE_SECONDS)
            for place in self._places:
                await place.upstream.close()
                if place.gauge is not None:
                    await place.gauge.close()
            await self._carriers.close()
            self._book.close()

    def _begun(self) -> Sequence[_Task]:
        """Begin what runs batches: the dispatcher, the carriers, the keeper."""
        parts = {"dispatcher": self._dispatcher.run, "carriers": self._carriers.run, "keeper": self._keeper.run}
        return [asyncio.create_task(run(), name=name) for name, run in parts.items()]

    async def _until_stopped(self, parts: Sequence[_Task], following: Sequence[_Task]) -> int:
        drain = asyncio.create_task(self._stop.drain.wait())
        cut = asyncio.create_task(self._stop.cut.wait())
        tasks = (*parts, drain, cut, *following)
        try:
            await asyncio.wait((*parts, drain), return_when=asyncio.FIRST_COMPLETED)
            if drain.done():
                self._not_ready = "draining"
                drained = asyncio.create_task(self._drained(parts))
                await asyncio.wait((drained, cut), return_when=asyncio.FIRST_COMPLETED)
                drained.cancel()
                await asyncio.gather(drained, return_exceptions=True)
            return self._verdict(*parts)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if parts:
                await self._dispatcher.leave()

    async def _drained(self, parts: Sequence[_Task]) -> None:
        """Finish what is in flight, for as long as the settings allow. An API alone finishes the answers under way."""
        timeout = self._settings.drain_timeout.total_seconds()
        if not parts:
            await self._server.close(timeout)
            return
        self._dispatcher.drain()
        self._carriers.drain()
        sending = parts[:2]
        _, running = await asyncio.wait(sending, timeout=timeout)
        if not running:
            await self._dispatcher.leave()  # before we seal, which may take long
            await self._keeper.settle_down()

    def _verdict(self, *parts: _Task) -> int:
        """0 for a stop that was asked for, 1 for a part that died: whoever watches us should start us again."""
        for task in parts:
            if task.done() and not task.cancelled() and (bug := task.exception()) is not None:
                self.emit(BugFound(task.get_name(), bug))
                return 1
        return 0
