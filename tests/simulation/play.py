"""Plays a story: the real dispatcher and keeper over a slow and failing memory store, clients, a model server, trouble.

Everything runs on virtual time and follows from the story, so one that breaks an invariant breaks it again.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from batchyard.app.clock import FolderClock, Machine
from batchyard.domain.batch import Batch
from batchyard.domain.errors import BatchyardError, CommitUnknown, NotFound, StoreUnavailable
from batchyard.domain.outcome import Failed, Held, Hung, NotStarted, Outcome, Refused, Unknown
from batchyard.domain.request import Origin
from batchyard.domain.result import RequestError
from batchyard.ports import Call, NewBatch, Store
from batchyard.testing.blobs import MemoryBlobs
from batchyard.testing.stores import SlowStore, StoreAround
from batchyard.testing.time import START, VirtualTimeExceeded, run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, Seen, answered
from batchyard.web.deletes import Deletes
from tests.simulation.invariants import Broken, Claims
from tests.simulation.story import Step, Story
from tests.simulation.watch import Life, Watch
from tests.simulation.world import World

T = TypeVar("T")
LEASE = 10.0
RETENTION = timedelta(hours=2)
LONGEST = 20_000.0
"""Virtual seconds within which every story ends."""
REBOOT = 1000.0
"""What a machine's running time is when it has booted."""

OUTCOMES: dict[str, Callable[[], Outcome]] = {
    "refused": lambda: Refused(RequestError("invalid_request_error", "no")),
    "not_started": lambda: NotStarted(RequestError("overloaded_error", "busy")),
    "failed": lambda: Failed(RequestError("api_error", "broke")),
    "unknown": lambda: Unknown(RequestError("api_error", "reset")),
    "hung": lambda: Hung(RequestError("timeout_error", "silent")),
    "held": lambda: Held(RequestError("authentication_error", "wrong key")),
}


class StoryMachine(Machine):
    """A machine whose wall clock jumps and that boots anew when the story says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.ahead = 0.0
        self.boots = 0
        self._booted_at = loop.time()

    @property
    def boot(self) -> str:  # type: ignore[override]
        return f"boot {self.boots}"

    def reboot(self) -> None:
        self.boots += 1
        self._booted_at = self._loop.time()

    def wall(self) -> float:
        return START.timestamp() + self._loop.time() + self.ahead

    def running(self) -> float:
        return REBOOT + self._loop.time() - self._booted_at


@dataclass(frozen=True, slots=True)
class Window:
    """Trouble of a kind, for a while of the loop's time."""

    begin: float
    end: float
    what: str

    def holds(self, now: float, grace: float = 0.0) -> bool:
        return self.begin <= now < self.end + grace


class Troubled(StoreAround):
    """A store that fails in its windows: before it took effect, or after, so that nobody learns that it did."""

    def __init__(self, inner: Store, fault: Callable[[str], str]) -> None:
        super().__init__(inner)
        self._fault = fault

    async def _call(self, verb: str, act: Callable[[], Awaitable[T]]) -> T:
        fault = self._fault(verb)
        if fault == "before":
            raise StoreUnavailable(f"{verb} was made to fail before it took effect")
        done = await act()
        if fault == "after":
            raise CommitUnknown(f"{verb} was made to fail after it took effect")
        return done


@dataclass(slots=True)
class Disk:
    """A ``Space`` that is short while the story says so."""

    full_until: float = 0.0
    full_since: float = 0.0

    def spare(self) -> int:
        return -1 if asyncio.get_running_loop().time() < self.full_until else 2**40


class Play(World):
    """One story, once."""

    def __init__(self, story: Story, folder: Path) -> None:
        super().__init__(ScriptedUpstream(self._answer), limit=story.limit, seed=story.seed, lease=LEASE)
        self.story, self.folder = story, folder
        self.chance = random.Random(f"trouble {story.seed}")
        self.loop = asyncio.get_running_loop()
        self.machine = StoryMachine(self.loop)
        slow = SlowStore(self.kept, self._seconds, one_at_a_time=True)
        self.store = Troubled(slow, self._fault)
        self.memory_blobs = MemoryBlobs(monotonic=self.loop.time, token=lambda: f"{self.chance.getrandbits(128):032x}")
        self.blobs = self.memory_blobs
        self.deletes = Deletes(self.store, self.blobs)
        self.disk = Disk()
        self.space = self.disk
        self.duties = replace(self.duties, retain_results_for=RETENTION)
        self.claims = Claims()
        self.lives: list[Life] = []
        self.by_params: dict[bytes, tuple[Life, int]] = {}
        self.windows: list[Window] = []
        self.deaths: list[float] = []
        self.is_up = False
        self.boots_seen = 0
        self.serving: set[asyncio.Task[Any]] = set()
        self.clients: set[asyncio.Task[None]] = set()
        self.stopping: asyncio.Task[None] | None = None
        self.watch = Watch(self)

    # --- the machine, the store, the model server

    def _seconds(self, verb: str) -> float:
        return self.chance.uniform(0.0, 2.0) * self.story.store_seconds

    def _fault(self, verb: str) -> str:
        now = self.loop.time()
        if any(window.holds(now) and window.what == verb for window in self.windows):
            return self.chance.choice(("before", "after"))
        return ""

    def _answer(self, number: int, call: Call) -> tuple[float, Outcome]:
        assert isinstance(self.upstream, ScriptedUpstream)
        life, seq = self.by_params[call.params]
        self.watch.call_begins(self.upstream.calls[number], life, seq)
        nth = self.upstream.by_params[call.params]
        chance = random.Random(f"{self.story.seed} {life.number} {seq} {nth}")
        seconds = chance.uniform(0.01, self.story.longest_call)
        now = self.loop.time()
        for window in self.windows:
            if window.what.startswith("outage ") and window.holds(now):
                return min(seconds, 0.1), OUTCOMES[window.what.removeprefix("outage ")]()
        roll = chance.random()
        for kind, share in self.story.odds.items():
            roll -= share
            if roll < 0.0:
                return (self.story.longest_call if kind == "hung" else seconds), OUTCOMES[kind]()
        return seconds, answered(call.params.decode())

    # --- the server

    async def start(self) -> None:
        if not (isinstance(self.clock, FolderClock) and self.clock.is_noted) or self.machine.boots != self.boots_seen:
            self.watch.forget_the_time()  # the wall clock is believed anew
        self.boots_seen = self.machine.boots
        clock = FolderClock(self.folder, is_new=not self.lives, machine=self.machine)
        self.clock, self.holds = clock, clock.holds
        self.each_round = lambda: clock.look(self.events.append)
        needed = await self.kept.blobs()
        for name in await self.blobs.old(float("-inf")):  # as a start does
            if name not in needed:
                await self.blobs.delete(name)
        await super().start()
        self.is_up = True

    async def _die(self) -> None:
        self.is_up = False
        if self.stopping is not None:
            self.stopping.cancel()
            self.stopping = None
        await self.kill()
        for task in list(self.serving):
            task.cancel()
        self.deaths.append(self.loop.time())

    def _away(self, seconds: float) -> None:
        async def come_back() -> None:
            await asyncio.sleep(seconds)
            await self.start()

        self._client(come_back())

    # --- clients

    def _client(self, doing: Any) -> None:
        task = asyncio.ensure_future(doing)
        self.clients.add(task)

    async def ask(self, verb: Callable[[], Awaitable[T]]) -> T:
        """Make an API call, again and again until it is answered; a death of the server cuts it."""
        while True:
            if not self.is_up:
                await asyncio.sleep(0.5)
                continue
            task = asyncio.ensure_future(verb())
            self.serving.add(task)
            await asyncio.wait((task,))
            self.serving.discard(task)
            if task.cancelled() or isinstance(task.exception(), StoreUnavailable):
                await asyncio.sleep(1.0)
                continue
            return task.result()

    async def _ask_for(self, life: Life) -> None:
        tries = 0
        began_at = self.clock.now()

        async def create() -> Batch:
            nonlocal tries
            tries += 1
            writer = self.blobs.writer("body")
            await writer.write(b"".join(life.params))
            await writer.finish()
            now = self.clock.now()
            new = NewBatch(life.workspace, now, now + life.lasts, "2023-06-01", (), writer.name)
            origin = Origin("caller", life.digest, int(began_at.timestamp() * 1e6), retry=tries - 1)
            try:
                batch = await self.store.create(new, life.drafts(), origin, defend=True)
            except CommitUnknown:
                raise
            except Exception:
                await self.blobs.delete(writer.name)
                raise
            if batch.body != writer.name:
                await self.blobs.delete(writer.name)
            self.wake()
            return batch

        batch = await self.ask(create)
        life.batch = life.seen = batch

    async def _delete(self, life: Life) -> None:
        async def delete() -> None:
            assert life.batch is not None
            life.deleting = True
            await self.deletes.delete(life.workspace, life.batch.id)

        try:
            await self.ask(delete)
        except NotFound:  # it was deleted, and nobody heard of it
            pass
        except BatchyardError:  # it has not ended
            life.deleting = False
            return
        life.deleted_at = self.loop.time()

    # --- the steps of a story

    async def do(self, step: Step) -> None:
        """Do it now, or begin it; what makes no sense now is left out."""
        if step.do in {"cancel", "delete", "pause", "resume"}:
            known = [life for life in self.lives if life.batch is not None and not life.deleting]
            if known:
                self._client(getattr(self, f"_do_{step.do}")(known[step.which % len(known)]))
        else:
            await getattr(self, f"_{step.do}")(step)

    async def _kill(self, step: Step) -> None:
        if self.is_up:
            await self._die()
            self._away(step.lasts)

    async def _reboot(self, step: Step) -> None:
        if self.is_up:
            await self._die()
            await self.watch.look()  # what was so until now is judged by the clock of this boot
            self.machine.reboot()
            self.machine.ahead += step.number
            self._away(step.lasts)

    async def _drain(self, step: Step) -> None:
        if self.is_up and self.stopping is None:
            self.stopping = asyncio.create_task(self._stop(step.lasts))

    async def _steal(self, _step: Step) -> None:
        self._window(LEASE * 2, "beat")
        self._client(self._take_over())

    async def _jump(self, step: Step) -> None:
        self.machine.ahead += step.number

    async def _trouble(self, step: Step) -> None:
        self._window(step.lasts, step.word)

    async def _outage(self, step: Step) -> None:
        self._window(step.lasts, f"outage {step.word}")

    def _window(self, lasts: float, what: str) -> None:
        now = self.loop.time()
        self.windows.append(Window(now, now + lasts, what))

    async def _full(self, step: Step) -> None:
        now = self.loop.time()
        if now >= self.disk.full_until:
            self.disk.full_since = now
        self.disk.full_until = max(self.disk.full_until, now + step.lasts)

    async def _create(self, step: Step) -> None:
        life = Life(len(self.lives), step.word, step.requests, timedelta(seconds=step.lasts))
        self.lives.append(life)
        for seq, params in enumerate(life.params):
            self.by_params[params] = (life, seq)
        self._client(self._ask_for(life))

    async def _do_cancel(self, life: Life) -> None:
        assert life.batch is not None
        batch = life.batch
        try:
            await self.ask(lambda: self.cancel(batch))
        except BatchyardError:
            return
        self.watch.canceled(life)

    async def _do_delete(self, life: Life) -> None:
        await self._delete(life)

    async def _do_pause(self, life: Life) -> None:
        assert life.batch is not None
        batch = life.batch
        life.pauses += 1
        mine = life.pauses
        try:
            await self.ask(lambda: self.pause(batch))
        except BatchyardError:
            return
        if mine == life.pauses:
            life.paused_at = self.loop.time()

    async def _do_resume(self, life: Life) -> None:
        life.pauses += 1
        life.paused_at = None
        batch = life.batch
        assert batch is not None
        try:
            await self.ask(lambda: self.store.pause(life.workspace, batch.id, paused=False))
        except BatchyardError:
            return
        life.pauses += 1  # answered late it may have taken effect after a pause that was asked for later
        life.paused_at = None
        self.wake()

    async def _stop(self, lasts: float) -> None:
        running = self.watch.in_flight()
        await self.drain()
        self.watch.drained(running)
        self.is_up = False
        for task in list(self.serving):
            task.cancel()
        self.stopping = None
        self._away(lasts)

    async def _take_over(self) -> None:
        """Another owner takes what ours holds once ours is dead by its heartbeats."""
        await asyncio.sleep(LEASE * 1.5)
        if self.dispatcher is not None and self.dispatcher.owner in await self.kept.dead(self.clock.now()):
            self.deaths.append(self.loop.time())
            await self.kept.reclaim(self.dispatcher.owner, self.clock.now())

    # --- the whole

    async def play(self) -> None:
        await self.start()
        watching = asyncio.create_task(self.watch.run())
        for step in self.story.steps:
            await self._until(step.at, watching)
            await self.do(step)
        while not self._is_over():
            await self._until(self.loop.time() + 5.0, watching)
            for life in self.lives:
                if life.paused_at is not None or (life.seen is not None and life.seen.paused):
                    await self._do_resume(life)
        await self._until(self.loop.time() + 1.0, watching)
        watching.cancel()
        await self._end()

    async def _until(self, at: float, watching: "asyncio.Task[None]") -> None:
        await asyncio.wait((watching,), timeout=max(0.0, at - self.loop.time()))
        if watching.done():
            watching.result()
        for task in list(self.clients):
            if task.done():
                self.clients.discard(task)
                task.result()
        for task in self._tasks:
            if self.is_up and task.done() and not task.cancelled() and self.stopping is None:
                task.result()

    def _is_over(self) -> bool:
        quiet = not self.clients and self.stopping is None and self.is_up and self.loop.time() >= self.disk.full_until
        return quiet and all(life.is_over for life in self.lives)

    async def _end(self) -> None:
        """The results' time passes; then a last start must leave what batches need and nothing else."""
        self.watch.all_together(await self.watch.listed())
        await self._die()
        self.duties, self.pace = replace(self.duties, every=20.0), replace(self.pace, refresh=60.0, lease=600.0)
        await self.start()
        await self.asleep(RETENTION.total_seconds() + 700.0)
        await self.watch.look()
        await self._die()
        await self.start()
        await self.asleep(5.0)
        self.watch.at_the_end(await self.kept.blobs(), self.memory_blobs.names)
        await self._die()


@dataclass(slots=True)
class Told:
    """What came of a story: the invariant that broke, if any; a trace, the same at each play; what was claimed."""

    broken: Broken | None
    trace: str
    claims: Claims = field(default_factory=Claims)


def played(story: Story) -> Told:
    """Play it to its end, or to the first invariant that does not hold."""
    made: list[Play] = []

    async def main() -> None:
        with TemporaryDirectory(dir=_memory()) as folder:
            play = Play(story, Path(folder))
            made.append(play)
            await play.play()

    broken: Broken | None = None
    try:
        run_virtual(main(), limit=LONGEST)
    except Broken as found:
        broken = found
    except VirtualTimeExceeded as hangs:
        broken = Broken("no batch is stuck", str(hangs))
    except Exception as bug:  # noqa: BLE001 whatever ends a server is what we look for
        broken = Broken("nobody met a bug", repr(bug))
    [play] = made
    return Told(play.claims.broken or broken, _trace(play), play.claims)


def _trace(play: Play) -> str:
    assert isinstance(play.upstream, ScriptedUpstream)
    calls = [_line(seen) for seen in play.upstream.calls]
    events = [type(event).__name__ for event in play.events]
    return sha256(json.dumps([calls, events]).encode()).hexdigest()


def _line(seen: Seen) -> tuple[Any, ...]:
    return (seen.call.params.decode(), round(seen.started_at, 9), seen.ended_at, type(seen.outcome).__name__, seen.cut)


def _memory() -> str | None:
    """A folder in memory where there is one: the clock's note is synced at each start."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
