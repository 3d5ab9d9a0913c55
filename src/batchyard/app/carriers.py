"""The runner of carriers of a process: the same owner as its dispatcher, beside it."""

import random
import secrets
from collections.abc import Callable, Sequence

from batchyard.app.clock import DatabaseClock, FolderClock
from batchyard.dispatch.carrier import CarrierRunner
from batchyard.dispatch.carrier_place import BatchPlace
from batchyard.dispatch.dispatcher import Dispatcher
from batchyard.dispatch.lanes import Lanes
from batchyard.dispatch.stopped import Stopped
from batchyard.domain.events import Emit
from batchyard.domain.ids import random_id
from batchyard.ports import Blobs, Store


def runner(
    store: Store,
    blobs: Blobs,
    places: Sequence[BatchPlace],
    *,
    lanes: Lanes,
    dispatcher: Dispatcher,
    clock: FolderClock | DatabaseClock,
    emit: Emit,
    has_room: Callable[[], bool],
    ripened: Callable[[], None],
    stopped: Stopped,
    weight: Callable[[str], float],
    may_start: Callable[[str], bool],
) -> CarrierRunner:
    """Return the runner; it also looks after carriers whose upstream is no longer among the settings."""
    return CarrierRunner(
        store,
        blobs,
        places,
        clock,
        emit,
        owner=dispatcher.owner,
        place_of=lanes.gathered_by,
        ceiling=lanes.ceiling,
        jitter=random.random,
        new_id=lambda: random_id("car_", secrets.randbits(160)),
        may_send=lambda: dispatcher.may_send() and has_room(),
        ripened=ripened,
        holds=clock.holds,
        stopped=stopped,
        weight=weight,
        may_start=may_start,
    )
