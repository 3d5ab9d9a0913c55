"""An upstream that takes batches, as the runner of carriers uses it, and what holds it back for a while."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from batchyard.domain.carrier import LOOKED_FOR
from batchyard.domain.echo import without_words
from batchyard.domain.events import Emit, LaneHeld
from batchyard.domain.limiter import Limiter
from batchyard.domain.outcome import Answered, Held, Outcome
from batchyard.domain.result import RequestError
from batchyard.domain.routes import Names
from batchyard.domain.splice import splice
from batchyard.ports import Call, Clock
from batchyard.ports.batch_upstreams import BatchUpstream

SHORTEST_LOOK = 10.0
"""Seconds: a busy server may take so long to show a batch that it was told to make."""
PROBE_PAUSE = 1.0
"""Seconds between looks whether the upstream, held a moment ago, does what one carrier asks of it."""
_WELL = Answered(b"")


@dataclass(frozen=True, slots=True)
class Gathering:
    """How requests come together in carriers, and how those are followed.

    ``requests`` and ``bytes``: most of them in one carrier. ``seconds``: how long the first one waits for others.
    ``poll``: longest time between two questions about a carrier, in seconds. ``keyed``: the server knows idempotency
    keys. ``deletes``: what was collected is deleted there.
    """

    requests: int = 10_000
    bytes: int = 64 * 1024 * 1024
    seconds: float = 5.0
    poll: float = 60.0
    keyed: bool = False
    deletes: bool = False

    @property
    def settle_for(self) -> timedelta:
        """How long a create whose answer was lost is looked for before it is made again."""
        return timedelta(seconds=min(LOOKED_FOR, max(SHORTEST_LOOK, 4.0 * self.poll)))


@dataclass(frozen=True, slots=True)
class BatchPlace:
    """One such upstream; ``judge`` says why a call is refused before it is sent, ``is_open`` whether its hours are."""

    name: str
    upstream: BatchUpstream
    gathering: Gathering = field(default_factory=Gathering)
    names: Names = field(default_factory=Names)
    judge: Callable[[Call], RequestError | None] = lambda _call: None
    is_open: Callable[[], bool] = lambda: True

    def asks(self, call: Call, model: str) -> Call:
        """Return the call as this upstream is asked: with its own name for the model, else byte for byte."""
        name = self.names.of(model)
        if name == model:
            return call
        return msgspec.structs.replace(call, params=splice(call.params, "model", msgspec.json.encode(name)))


class Standby:
    """What is learnt of one place while it is used: whether it is held, and how much it takes at once."""

    def __init__(self, place: BatchPlace, clock: Clock, emit: Emit) -> None:
        self.place = place
        self.most = place.gathering.requests
        self._clock, self._emit = clock, emit
        self._limiter = Limiter(1)
        self._in_doubt = False
        self._probe: str | None = None

    def held_for(self) -> float:
        """Return for how many seconds nothing is to be sent."""
        now = self._clock.monotonic()
        return max(0.0, (self._limiter.resumes_at(now) or now) - now)

    def waits(self, carrier: str) -> float:
        """Return for how many seconds a carrier is to ask nothing: it is held, or another one finds out how it is.

        A create may have many megabytes: after a hold they are not all sent to be refused all over again. Who is let
        through says ``let_go`` when it is done.
        """
        if (held := self.held_for()) > 0.0 or not self._in_doubt:
            return held
        if self._probe not in (None, carrier):
            return PROBE_PAUSE
        self._probe = carrier
        return 0.0

    def let_go(self, carrier: str) -> None:
        """The carrier has asked what it had to ask."""
        if self._probe == carrier:
            self._probe = None

    def went_well(self) -> None:
        """The upstream did what it was asked."""
        self._in_doubt = False
        self._limiter.observe(_WELL, self._clock.monotonic())

    def went_badly(self, outcome: Outcome, lane: str, *, searched: bool = False) -> None:
        """Trouble of ours with the upstream holds it, with an alarm; what else goes wrong is each carrier's own.

        ``searched``: the words of the outcome do not repeat what they answer. Others may repeat any request.
        """
        outcome = outcome if searched else without_words(outcome)
        hold = self._limiter.observe(outcome, self._clock.monotonic()) if isinstance(outcome, Held) else None
        if hold is not None:
            self._in_doubt = True
            self._emit(LaneHeld(lane, hold.seconds, hold.reason))

    def shrink(self, requests: int) -> None:
        """It did not take a create of so many: send half as many from now on."""
        self.most = max(1, min(self.most, requests // 2))
