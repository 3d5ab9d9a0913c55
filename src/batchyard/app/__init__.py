"""The composition root: the only package that names concrete adapters. Builds the parts, runs them, stops them.

A stop has two stages: the first signal drains (nothing new is sent, what is in flight finishes and is stored), the
second cuts. Either way nothing that was stored is lost.
"""

import asyncio
import logging
import sys
from collections.abc import Callable

from batchyard.app.asking import back_up, check
from batchyard.app.clock import SteadyClock
from batchyard.app.folder import is_ours
from batchyard.app.kept import key_shelf, opened
from batchyard.app.process import App
from batchyard.app.stored import forget_key, store_key
from batchyard.app.tracing import traced
from batchyard.domain.errors import BatchyardError, DataRefused, StoreUnavailable
from batchyard.metrics import Metrics
from batchyard.observe import Log, LogHandler, Observer
from batchyard.settings import Settings
from batchyard.web.keys import KeyBook
from batchyard.web.sockets import CannotListen

__all__ = [
    "OPERATOR_ERRORS",
    "WRONG_USE",
    "SteadyClock",
    "back_up",
    "check",
    "forget_key",
    "key_book",
    "serve",
    "store_key",
    "waiting",
]

SWITCH_INTERVAL = 0.0005
"""Seconds the event loop may hold the interpreter while the store's thread waits for it. Python's own 5 ms would make
every commit of a busy server wait several times that long."""
WRONG_USE = 2
OPERATOR_ERRORS = (BatchyardError, DataRefused, StoreUnavailable)
"""What a command may meet that its user can mend; everything else is a bug."""


def serve(settings: Settings) -> int:
    """Run a server until it is told to stop; return the exit status."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(settings))
    except (DataRefused, CannotListen) as refused:
        sys.stderr.write(f"batchyard: {refused}\n")
        return WRONG_USE


def key_book(settings: Settings, *, may_be_new: bool = False) -> KeyBook:
    """Return the keys of the data folder or database, for the command line; a server notices within a second.

    Raises ``DataRefused`` for a folder that is none of ours, unless it ``may_be_new``: nothing is made then.
    """
    if settings.database is None and not may_be_new and not is_ours(settings.data):
        raise DataRefused(f"{settings.data} has no batchyard.db and no keys.db: name the data folder of a server.")
    return KeyBook(key_shelf(settings), SteadyClock())


def waiting(settings: Settings) -> int | None:
    """Return how many requests wait in the database; None where it cannot be asked now."""
    try:
        return asyncio.run(_waiting(settings))
    except (DataRefused, StoreUnavailable, OSError):
        return None


async def _waiting(settings: Settings) -> int:
    async with opened(settings) as kept:
        return sum(ready.pending for ready in await kept.store.backlog(kept.clock.now()))


async def _serve(settings: Settings) -> int:
    log = Log(level=logging.getLevelNamesMapping()[settings.watch.log_level.upper()])
    logging.basicConfig(handlers=[LogHandler(log)], level=logging.WARNING, force=True)
    metrics = Metrics()
    async with opened(settings) as kept, traced(settings, kept, Observer(log, metrics)) as observe:
        return await App(settings, kept, observe, metrics).run()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop where there is one; Windows has none."""
    try:
        import uvloop  # noqa: PLC0415 it may not be there
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
