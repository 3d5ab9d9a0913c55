"""Model servers as queueing theory has them, on whatever event loop runs, virtual time too.

    calls ──> [ refused | waits in line ] ──> one of the slots, or a share of them all ──> answered

They know no HTTP. What they were sent, refused and answered, when, and how long it waited is kept for the test to read.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import msgspec

from batchyard.domain.allowance import Allowance
from batchyard.domain.catalog import ModelInfo
from batchyard.domain.outcome import Answered, NotStarted, Outcome, Unknown
from batchyard.domain.result import RequestError
from batchyard.ports import Call, Stream

BUSY = NotStarted(RequestError("rate_limit_error", "busy"))
GONE = NotStarted(RequestError("api_error", "connection refused"))
REFUSAL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Job:
    """What a call asks for: seconds on an idle engine, and the tokens that its answer will have.

    ``first`` of the seconds pass before its first token."""

    seconds: float
    tokens: int = 100
    first: float = 0.0


@dataclass(slots=True)
class Books:
    """Times of the running loop: of every call, of those refused, of those answered; and seconds until work began."""

    sent: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    waited: list[tuple[Call, float, float]] = field(default_factory=list)
    """For each call that got work: the call, when it came, seconds in line."""
    began: list[tuple[Call, float, float]] = field(default_factory=list)
    """The same with the seconds until its first token."""
    most_in_flight: int = 0

    def rate(self, begin: float, end: float) -> float:
        """Answers a second between two moments."""
        return sum(begin <= at < end for at in self.answered) / (end - begin)

    def refused_share(self, begin: float, end: float) -> float:
        """Refusals among all calls between two moments."""
        sent = sum(begin <= at < end for at in self.sent)
        return sum(begin <= at < end for at in self.refused) / max(1, sent)

    def busiest(self, stretch: float, begin: float, end: float) -> int:
        """Most calls that came in any stretch of so many seconds between two moments."""
        times = [at for at in self.sent if begin <= at < end]
        most, first = 0, 0
        for last, at in enumerate(times):
            while at - times[first] >= stretch:
                first += 1
            most = max(most, last - first + 1)
        return most


class Engine:
    """Implements ``Upstream``. ``slots`` calls are worked on at once; ``line`` more wait, and the rest is refused.

    ``line`` None is endless: an engine that queues, and never says so. ``is_down`` says when nothing answers at all.
    """

    def __init__(self, slots: int, job: Callable[[Call], Job], *, line: int | None = None) -> None:
        self.slots, self._job, self.line = slots, job, line
        self.books = Books()
        self.is_down: Callable[[float], bool] = lambda _now: False
        self.in_flight = 0
        self._free = slots
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def running(self) -> int:
        """Calls that are worked on."""
        return self.slots - self._free

    @property
    def waiting(self) -> int:
        """Calls in line."""
        return len(self._waiting)

    async def attempt(self, call: Call) -> Outcome:
        """Refuse, or wait in line and work."""
        loop = asyncio.get_running_loop()
        came = loop.time()
        self.books.sent.append(came)
        self.in_flight += 1
        self.books.most_in_flight = max(self.books.most_in_flight, self.in_flight)
        try:
            if self.is_down(came):
                await asyncio.sleep(REFUSAL_SECONDS)
                return GONE
            if self._free <= 0 and self.line is not None and len(self._waiting) >= self.line:
                await asyncio.sleep(REFUSAL_SECONDS)
                self.books.refused.append(loop.time())
                return BUSY
            return await self._work(call, came)
        finally:
            self.in_flight -= 1

    async def _work(self, call: Call, came: float) -> Outcome:
        loop = asyncio.get_running_loop()
        await self._slot()
        try:
            self.books.waited.append((call, came, loop.time() - came))
            job = self._job(call)
            if job.first:
                await self._serve(job.first)
            self.books.began.append((call, came, loop.time() - came))
            call.heard()
            await self._serve(job.seconds - job.first)
            if self.is_down(loop.time()):
                return Unknown(RequestError("api_error", "reset"))
            self.books.answered.append(loop.time())
            return Answered(b"{}", 10, job.tokens)
        finally:
            self._free += 1
            self._let_in()

    def grow(self, slots: int) -> None:
        """Work on so many more at once."""
        self.slots += slots
        self._free += slots
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._free > 0:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._free -= 1
                waiter.set_result(None)

    async def _slot(self) -> None:
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._free += 1
            raise

    async def _serve(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def stream(self, call: Call) -> Stream | Outcome:
        """Nothing streams here."""
        return await self.attempt(call)

    async def count(self, call: Call) -> int | Outcome:
        """Return the length of the body."""
        return len(call.params)

    async def models(self) -> Sequence[ModelInfo] | Outcome:
        """None are listed."""
        return []

    async def close(self) -> None:
        """Nothing is held."""


class RatedEngine(Engine):
    """Takes so many calls a second, some more at once, and refuses the rest; with ``tells`` it says what is left."""

    def __init__(self, rate: float, burst: float, job: Callable[[Call], Job], *, tells: bool) -> None:
        super().__init__(100_000, job)
        self._rate, self._burst, self._tells = rate, burst, tells
        self._left, self._at = burst, 0.0

    async def attempt(self, call: Call) -> Outcome:
        """Refuse what comes too fast."""
        now = asyncio.get_running_loop().time()
        self._left = min(self._burst, self._left + self._rate * (now - self._at))
        self._at = now
        if self._left < 1.0:
            self.books.sent.append(now)
            await asyncio.sleep(REFUSAL_SECONDS)
            self.books.refused.append(now)
            return msgspec.structs.replace(BUSY, allowance=self._told())
        self._left -= 1.0
        outcome = await super().attempt(call)
        return msgspec.structs.replace(outcome, allowance=self._told()) if isinstance(outcome, Answered) else outcome

    def _told(self) -> Allowance | None:
        return Allowance(int(self._left), (self._burst - self._left) / self._rate) if self._tells else None


class SharedEngine(Engine):
    """Works on all calls at once, like a GPU that decodes a batch: each goes on at ``speed(calls at work)``.

    A speed of 1 is that of an idle engine.
    """

    def __init__(
        self,
        job: Callable[[Call], Job],
        speed: Callable[[int], float],
        *,
        slots: int = 100_000,
        line: int | None = None,
    ) -> None:
        super().__init__(slots, job, line=line)
        self._speed = speed
        self._done = 0.0
        """Seconds of work that a call would have got that was there from the start."""
        self._at = 0.0
        self._ends: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None

    async def _serve(self, seconds: float) -> None:
        self._advance()
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._ends, (self._done + seconds, next(self._numbers), end))
        self._plan()
        await end

    def _advance(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._ends:
            self._done += (now - self._at) * self._speed(len(self._ends))
        self._at = now
        while self._ends and self._ends[0][0] <= self._done + 1e-9:
            _, _, end = heapq.heappop(self._ends)
            if not end.done():
                end.set_result(None)

    def _plan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ends:
            seconds = (self._ends[0][0] - self._done) / self._speed(len(self._ends))
            self._timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._advance()
        self._plan()
