"""The slots of an upstream and of its lanes: who holds how many, and how many are free.

An attempt holds its slot from the moment it is picked, before its lease, until a turn has committed what came of it.
A call that somebody waits for holds one while it runs, and may have an attempt's as soon as that has ended: a call
adds no result that could be lost.
"""

from collections.abc import Callable

from batchyard.domain.engine_line import EngineLine
from batchyard.domain.first_token import FirstTokens
from batchyard.domain.limiter import Limiter
from batchyard.domain.patience import Patience
from batchyard.domain.retry_budget import RetryBudget
from batchyard.ports import EngineGauge


class Server:
    """The slots of one upstream, over all its lanes. ``limit`` is the operator's, ``ceiling`` our share of it."""

    def __init__(
        self, limit: int, is_open: Callable[[], bool] = lambda: True, gauge: EngineGauge | None = None, line: int = 0
    ) -> None:
        assert limit > 0
        self.gauge = gauge
        self.line = EngineLine(line)
        """What bounds batches alone: calls that somebody waits for are who the short line is for."""
        self.is_open = is_open
        """Whether batches may use the upstream at this hour; calls that somebody waits for may at any."""
        self.limit = self.ceiling = limit
        self.running = 0
        self.settled = 0
        self.calls = 0
        self.waiting: dict[Callable[[], None], None] = {}
        """What lets calls in that wait for a slot of any lane here; to be asked whenever a slot is free."""
        self.freed: Callable[[], None] = lambda: None
        """Told when a call leaves its slot to whoever comes next, or begins to wait for one."""

    @property
    def taken(self) -> int:
        """Slots in use: attempts, those that wait for their commit, and calls."""
        return self.running + self.settled + self.calls

    def share(self, owners: int) -> None:
        """Take our part of the limit, of so many owners."""
        self.ceiling = max(1, self.limit // max(1, owners))

    def admit(self) -> None:
        """Let in whoever waits for a slot that is free now."""
        for admit in list(self.waiting):
            admit()


class Slots:
    """The slots of one lane. ``now`` is monotonic seconds.

    With ``canary`` a lane that was held has no slot for anybody until a small call of our own came back well.
    """

    def __init__(self, server: Server, *, canary: bool = False, first_token: float | None = None) -> None:
        self.server = server
        self._canary = canary
        self._wanted = False
        self.paused = False
        """Whether the operator lets no batch use the lane; calls that somebody waits for may."""
        self.limiter = Limiter(server.ceiling)
        self.budget = RetryBudget()
        self.patience = Patience()
        self.first = None if first_token is None else FirstTokens(first_token)
        """What bounds requests of batches alone, as the line does."""
        self.running = 0
        self.settled = 0
        self.calls = 0
        self.flying = 0
        """Calls at the server now, of both kinds."""

    def room(self, now: float) -> int:
        """Return how many attempts may be picked now. Ask again after each: not every bound is counted."""
        server = self.server
        self.limiter.ceiling = server.ceiling
        if self.paused or not server.is_open():
            return 0
        if self._canary and self.limiter.is_probing:
            self._wanted = True
            return 0
        if server.line.cap is not None and server.running + server.calls >= server.line.cap:
            return 0
        if self.first is not None and self.running >= self.first.cap:
            return 0
        left = server.ceiling - server.running - server.settled - server.calls
        return min(left, self.limiter.room(self.running + self.settled + self.calls, now)) if left > 0 else 0

    @property
    def limit(self) -> int:
        """Attempts that may be in flight when the lane is not held."""
        return self.limiter.limit if self.first is None else min(self.limiter.limit, self.first.cap)

    @property
    def bounded_by(self) -> str | None:
        """What makes the limit less than the operator's: as the limiter has it, or ``first_token``."""
        return self.limiter.bounded_by if self.limit == self.limiter.limit else "first_token"

    @property
    def taken(self) -> int:
        """Slots of the lane in use."""
        return self.running + self.settled + self.calls

    def is_away(self, now: float) -> bool:
        """Whether no batch may use the lane for a while: paused, outside its hours, held, or not known to be well."""
        limiter = self.limiter
        if self.paused or not self.server.is_open() or limiter.resumes_at(now) is not None:
            return True
        return self._canary and limiter.is_probing

    def room_for_calls(self, now: float) -> int:
        """Return how many calls may begin now."""
        server = self.server
        self.limiter.ceiling = server.ceiling
        if self._canary and self.limiter.is_probing:
            self._wanted = True
            return 0
        left = server.ceiling - server.running - server.calls
        return min(left, self.limiter.room_for_calls(self.running + self.calls, now)) if left > 0 else 0

    def takes_canary(self, now: float) -> bool:
        """Whether a canary should go now: the hold is over, and somebody has asked for a slot since. Asks once."""
        if not (self._wanted and self.limiter.is_probing) or self.limiter.resumes_at(now) is not None:
            return False
        self._wanted = False
        return True

    def pick(self, most: int, now: float) -> int:
        """Let up to so many attempts take a slot each; return how many did: one, where not every bound is counted."""
        picked = min(self.room(now), most)
        if self.first is not None or self.server.line.cap is not None:
            picked = min(picked, 1)
        if picked:
            self.running += picked
            self.server.running += picked
            self.limiter.started(picked)
        return picked

    def unpick(self) -> None:
        """What was picked did not begin."""
        self.running -= 1
        self.server.running -= 1
        self.server.admit()
        self.limiter.started(-1)

    def heard(self, seconds: float, now: float, *, is_call: bool = False) -> None:
        """The first token of an answer came, so long after its call went out."""
        if self.first is not None:
            self.first.heard(seconds, now, running=self.running, ceiling=self.limiter.limit, is_call=is_call)

    def send(self) -> int:
        """A call goes out; return the how-manieth it is at the server."""
        self.flying += 1
        return self.flying

    def land(self) -> None:
        """A call that went out is over."""
        self.flying -= 1

    def end(self) -> None:
        """An attempt has ended; what came of it waits for its commit."""
        self.running -= 1
        self.settled += 1
        self.server.running -= 1
        self.server.settled += 1
        self.server.admit()

    def commit(self) -> None:
        """The turn that begins now commits what came of an attempt before it leases."""
        self.settled -= 1
        self.server.settled -= 1

    def enter(self) -> None:
        """A call takes a slot."""
        self.calls += 1
        self.flying += 1
        self.server.calls += 1

    def leave(self) -> None:
        """A call has ended."""
        self.calls -= 1
        self.flying -= 1
        self.server.calls -= 1
        self.server.admit()
        self.server.freed()
