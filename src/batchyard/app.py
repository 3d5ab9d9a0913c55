"""The composition root: the only module that names concrete adapters. Builds the parts, runs them, stops them.

A stop has two stages: the first signal drains (nothing new is sent, what is in flight finishes and is stored), the
second cuts. Either way nothing that was stored is lost.
"""

import asyncio
import gc
import logging
import os
import random
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starlette.types import ASGIApp

from batchyard import assembly
from batchyard.blobs.files import FileBlobs
from batchyard.config import Settings
from batchyard.dispatch.dispatcher import Dispatcher, Pace
from batchyard.dispatch.lanes import Lanes
from batchyard.dispatch.upkeep import Duties, Keeper
from batchyard.domain.errors import BatchyardError, DataRefused, StoreUnavailable
from batchyard.domain.events import BatchCreated, BatchPaused, BugFound, CancelAsked, Event, LeasesReclaimed
from batchyard.observe import Log, LogHandler, Metrics, Observer
from batchyard.ports import Clock, Keys, Store
from batchyard.store.sqlite import SqliteStore
from batchyard.web.api import build_api
from batchyard.web.fixtures import FixtureKeys, Fixtures
from batchyard.web.keys import KeyBook, OpenUntilFirstKey
from batchyard.web.routes import nothing_over
from batchyard.web.server import Server
from batchyard.web.settings import WebSettings
from batchyard.web.sockets import CannotListen
from batchyard.wire import result_line

SWITCH_INTERVAL = 0.0005
"""Seconds the event loop may hold the interpreter while the store's thread waits for it. Python's own 5 ms would make
every commit of a busy server wait several times that long."""
CLOSE_SECONDS = 5.0
"""How long answers under way may take to finish once everything else has stopped."""
WRONG_USE = 2
OPERATOR_ERRORS = (BatchyardError, DataRefused, StoreUnavailable)
"""What a command may meet that its user can mend; everything else is a bug."""


class SteadyClock:
    """Time of day that never jumps: the wall clock as it was at the start, and the seconds since.

    A machine that sleeps goes on counting, where its system has such a clock.
    """

    def __init__(self) -> None:
        self._clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self._epoch = time.time() - self.monotonic()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._epoch + time.clock_gettime(self._clock), UTC)

    def monotonic(self) -> float:
        return time.clock_gettime(self._clock)


def serve(settings: Settings) -> int:
    """Run a server until it is told to stop; return the exit status."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(settings))
    except (DataRefused, CannotListen) as refused:
        sys.stderr.write(f"batchyard: {refused}\n")
        return WRONG_USE


def key_book(settings: Settings) -> KeyBook:
    """Return the keys of the data folder, for the command line; a server that runs notices within a second."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return KeyBook(settings.data / "keys.db", SteadyClock())


async def _serve(settings: Settings) -> int:
    log = Log()
    logging.basicConfig(handlers=[LogHandler(log)], level=logging.WARNING, force=True)
    metrics = Metrics()
    clock = SteadyClock()
    store = SqliteStore.open(settings.data, lease_seconds=settings.lease.total_seconds())
    try:
        app = App(settings, clock, store, Observer(log, metrics), metrics)
        return await app.run()
    finally:
        await store.close()


@dataclass(slots=True)
class _Stop:
    """What the signals asked for."""

    drain: asyncio.Event
    cut: asyncio.Event

    def signal(self) -> None:
        (self.cut if self.drain.is_set() else self.drain).set()


class App:
    """One process: API, dispatcher, upkeep over one store."""

    def __init__(
        self, settings: Settings, clock: Clock, store: Store, observe: Callable[[Event], None], metrics: Metrics
    ) -> None:
        self._settings, self._clock, self._store, self._observe = settings, clock, store, observe
        self._not_ready = "starting"
        self._stop = _Stop(asyncio.Event(), asyncio.Event())
        self._blobs = FileBlobs(settings.data / "blobs")
        self._places = assembly.places(settings, clock)
        self._dispatcher = Dispatcher(
            store,
            self._blobs,
            Lanes(self._places, assembly.routes(settings), clock, self.emit),
            clock,
            self.emit,
            owner=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
            jitter=random.random,
            pace=Pace(lease=settings.lease.total_seconds()),
            ripened=lambda: self._keeper.wake(),  # noqa: PLW0108 the keeper is made after this
        )
        self._keeper = Keeper(
            store,
            self._blobs,
            clock,
            self.emit,
            result_line=result_line,
            duties=Duties(retain_results_for=settings.retain_results_for),
            cut_overdue=self._dispatcher.cut_overdue,
            freed=self._dispatcher.wake,
        )
        metrics.in_flight = lambda: self._dispatcher.in_flight
        self._book = KeyBook(settings.data / "keys.db", clock)
        self._server = Server(self._api(_keys(settings, self._book), metrics))

    def _api(self, keys: Keys, metrics: Metrics) -> ASGIApp:
        return build_api(
            batches=self._store,
            upkeep=self._store,
            blobs=self._blobs,
            calls=self._dispatcher.calls,
            keys=keys,
            clock=self._clock,
            emit=self.emit,
            settings=_web_settings(self._settings),
            not_ready=lambda: self._not_ready,
            metrics=metrics.render,
            overlay=Fixtures(self._clock).methods if self._settings.compat_fixtures else nothing_over,
        )

    def emit(self, event: Event) -> None:
        """Let everybody know, and wake who has something to do now."""
        self._observe(event)
        kind = type(event)  # thousands of events a second pass here
        if kind is BatchCreated or kind is CancelAsked or kind is BatchPaused:
            self._dispatcher.wake()
            self._keeper.wake()

    async def run(self) -> int:
        """Listen and work until a signal; return the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.signal)
        try:
            await self._reclaim_the_dead()
            await self._server.start(self._settings.host, self._settings.port)
            if isinstance(self._store, SqliteStore):
                self._store.listens_at(self._server.url)
            working = asyncio.create_task(self._dispatcher.run(), name="dispatcher")
            keeping = asyncio.create_task(self._keeper.run(), name="keeper")
            gc.freeze()  # what is there now stays: the collector need not look at it again
            self._not_ready = ""
            sys.stdout.write(f"Batchyard is listening on {self._settings.public_url or self._server.url}\n")
            sys.stdout.flush()
            return await self._until_stopped(working, keeping)
        finally:
            await self._server.close(CLOSE_SECONDS)
            for place in self._places:
                await place.upstream.close()
            self._book.close()

    async def _reclaim_the_dead(self) -> None:
        """We hold the folder's lock, so every earlier owner is dead: what it had in flight may go to us."""
        for owner in await self._store.dead(datetime.max.replace(tzinfo=UTC) - timedelta(days=1)):
            leases = await self._store.reclaim(owner, self._clock.now())
            self.emit(LeasesReclaimed(owner, leases))

    async def _until_stopped(self, working: "asyncio.Task[None]", keeping: "asyncio.Task[None]") -> int:
        drain = asyncio.create_task(self._stop.drain.wait())
        cut = asyncio.create_task(self._stop.cut.wait())
        tasks = (working, keeping, drain, cut)
        try:
            await asyncio.wait((working, keeping, drain), return_when=asyncio.FIRST_COMPLETED)
            if drain.done():
                self._not_ready = "draining"
                self._dispatcher.drain()
                timeout = self._settings.drain_timeout.total_seconds()
                await asyncio.wait((working, cut), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    await self._keeper.settle_down()
            return self._verdict(working, keeping)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _verdict(self, working: "asyncio.Task[None]", keeping: "asyncio.Task[None]") -> int:
        """0 for a stop that was asked for, 1 for a part that died: whoever watches us should start us again."""
        for task in (working, keeping):
            if task.done() and (bug := task.exception()) is not None:
                self.emit(BugFound(task.get_name(), bug))
                return 1
        return 0


def _keys(settings: Settings, book: KeyBook) -> Keys:
    """Open on loopback until a key is made; elsewhere a key is required, and there must be one."""
    if settings.bootstrap_key is not None:
        try:
            book.import_key(settings.bootstrap_key)
        except BatchyardError as wrong:
            raise DataRefused(f"BATCHYARD_BOOTSTRAP_KEY: {wrong.message}") from wrong
    if settings.compat_fixtures:
        return _fixture_keys(settings, book)
    if settings.is_local:
        return OpenUntilFirstKey(book)
    if not book.any_made():
        raise DataRefused(
            f"--host {settings.host} is open to other machines and no key was made: run `batchyard keys create "
            f"--workspace NAME --data {settings.data}`, or set BATCHYARD_BOOTSTRAP_KEY"
        )
    return book


def _fixture_keys(settings: Settings, book: KeyBook) -> Keys:
    """Any key at all will do, so no other machine may reach us."""
    if not settings.is_local:
        raise DataRefused(
            f"--compat-fixtures takes any key, so it is for this machine alone: not --host {settings.host}"
        )
    return FixtureKeys(book)


def _web_settings(settings: Settings) -> WebSettings:
    return WebSettings(
        public_url=settings.public_url,
        allowed_hosts=settings.hosts,
        trusted_proxies=settings.trusted_proxies,
        expires_after=settings.expires_after,
        max_requests=settings.max_requests,
        max_body_bytes=settings.max_body_bytes,
        retry_defence=settings.retry_defence,
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop where there is one; Windows has none."""
    try:
        import uvloop  # noqa: PLC0415 it may not be there
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
