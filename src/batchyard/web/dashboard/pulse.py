"""How fast each batch goes: reckoned from what the pages themselves saw of it a moment ago."""

from collections import OrderedDict, deque

from batchyard.domain.batch import Batch
from batchyard.ports import Clock

WINDOW_SECONDS = 60.0
APART_SECONDS = 2.0
MOST_BATCHES = 1000


class Pulse:
    """Remembers, for the batches looked at last, how many of their requests were final when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looks: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()

    def rate(self, batch: Batch) -> float | None:
        """Return requests a second: lately, where it was looked at lately, else since its create; None: none yet."""
        done = batch.counts.total - batch.counts.processing
        if batch.ended_at is not None:
            return done / max(1.0, (batch.ended_at - batch.created_at).total_seconds())
        now = self._clock.monotonic()
        looks = self._looks.setdefault(batch.id, deque())
        self._looks.move_to_end(batch.id)
        if len(self._looks) > MOST_BATCHES:
            self._looks.popitem(last=False)
        if not looks or now - looks[-1][0] >= APART_SECONDS:
            looks.append((now, done))
        while now - looks[0][0] > WINDOW_SECONDS and len(looks) > 1:
            looks.popleft()
        then, before = looks[0]
        if now - then >= APART_SECONDS:
            return (done - before) / (now - then)
        return done / max(1.0, (self._clock.now() - batch.created_at).total_seconds()) if done else None
