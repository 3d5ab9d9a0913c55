"""Watches a story being played, as clients and a model server see it, and claims what must hold."""

import asyncio
import json
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from batchyard.domain.batch import Batch, Closing, Status
from batchyard.domain.errors import NotFound
from batchyard.domain.events import BatchStopped, BugFound
from batchyard.domain.outcome import Answered, Failed, Held, Hung, NotStarted, Refused, Unknown
from batchyard.domain.request import Drafts
from batchyard.testing.upstreams import ScriptedUpstream, Seen
from tests.simulation.invariants import Broken, Claims
from tests.simulation.story import WORKSPACES

if TYPE_CHECKING:
    from tests.simulation.play import Play

TICK = 0.5
KINDS = ("succeeded", "errored", "canceled", "expired")


@dataclass
class Life:
    """What a client knows of a batch that it asked for."""

    number: int
    workspace: str
    requests: int
    lasts: timedelta
    batch: Batch | None = None
    """As the create answered."""
    seen: Batch | None = None
    """As it was last seen."""
    text: bytes | None = None
    canceled_at: float | None = None
    kept_calls: list[Seen] = field(default_factory=list)
    deaths_at_cancel: int = 0
    pauses: int = 0
    paused_at: float | None = None
    unseen: bool = False  # while it was to be deleted nobody looked: what happened then happened who knows when
    deleting: bool = False
    deleted_at: float | None = None
    late: Counter[str] = field(default_factory=Counter)
    """Seconds in which something was due that could have been done."""

    @cached_property
    def params(self) -> list[bytes]:
        return [b'{"batch": %d, "n": %d}' % (self.number, seq) for seq in range(self.requests)]

    @property
    def digest(self) -> str:
        return f"hash of {self.number}"

    def drafts(self) -> Drafts:
        packed, offset = Drafts(), 0
        for seq, params in enumerate(self.params):
            packed.add(f"r{seq}", offset, len(params), zlib.crc32(params), model="")
            offset += len(params)
        return packed

    @property
    def is_over(self) -> bool:
        if self.deleting:
            return self.deleted_at is not None
        if self.seen is None or self.seen.status is not Status.ENDED:
            return False
        return self.text is not None or self.seen.archived_at is not None


class Watch:
    """Looks twice a second; the model server tells of each call as it begins."""

    def __init__(self, play: "Play") -> None:
        self.play = play
        self.claims: Claims = play.claims
        self.repeats = 0
        self._events_seen = 0
        self._time_of_day: tuple[float, datetime] | None = None

    @property
    def upstream(self) -> ScriptedUpstream:
        assert isinstance(self.play.upstream, ScriptedUpstream)
        return self.play.upstream

    @property
    def slack(self) -> float:
        """Seconds that a slow store may add to whatever is due: a round of the keeper is some dozen verbs."""
        return 3.0 + 150.0 * self.play.story.store_seconds

    def in_flight(self) -> list[Seen]:
        return [seen for seen in self.upstream.calls[-200:] if seen.ended_at is None]

    def forget_the_time(self) -> None:
        self._time_of_day = None

    # --- what the model server sees

    def call_begins(self, seen: Seen, life: Life, seq: int) -> None:
        play, claims, now = self.play, self.claims, self.play.loop.time()
        batch = life.batch or self._stored(life)
        claims("calls in flight never exceed the slots", self.upstream.in_flight <= play.story.limit)
        claims("no call begins at or after the deadline", play.clock.now() < batch.expires_at, seen)
        claims("no call begins after a cancel was answered", life.canceled_at is None or now <= life.canceled_at, seen)
        claims("a paused batch begins no call", life.paused_at is None or now <= life.paused_at, seen)
        is_short = now < play.disk.full_until and now > play.disk.full_since + 2.0 + 30.0 * play.story.store_seconds
        claims("nothing is sent while the disk is short", not is_short, seen)
        assert play.dispatcher is not None
        held = play.kept._leased.get(play.dispatcher.owner, {})
        claims("no call begins without a living lease", (batch.id, seq) in held, seen)
        earlier = [other for other in self.upstream.calls[: seen.number] if other.call.params == seen.call.params]
        if earlier:
            self._repeats(earlier, seen)

    def _stored(self, life: Life) -> Batch:
        """A batch whose create is not answered yet."""
        bodies = {stored.batch.body: stored.batch for stored in self.play.kept._batches.values()}
        for name, batch in bodies.items():
            if self.play.memory_blobs._blobs[name].held == b"".join(life.params):
                return batch
        raise Broken("nothing is there that nobody created", life.number)

    def _repeats(self, earlier: list[Seen], seen: Seen) -> None:
        claims, deaths = self.claims, self.play.deaths
        last = earlier[-1]
        since = [death for death in deaths if death >= last.started_at]  # a stolen lease's call may end after the theft
        is_final = isinstance(last.outcome, Answered | Refused)
        if is_final or last.outcome is None:
            self.repeats += 1
            claims(
                "a kill repeats at most as many calls as there are slots",
                self.repeats <= self.play.story.limit * len(deaths),
                self.repeats,
                deaths,
            )
        claims("a refused request is not sent again", not isinstance(last.outcome, Refused) or since, last, seen)
        claims(
            "what never started costs nothing: no answered call is repeated",
            not isinstance(last.outcome, Answered) or since,
            last,
            seen,
        )
        before = Counter(type(other.outcome) for other in earlier)
        unknown = before[Unknown] + before[Hung]
        claims("an unknown end is repeated at most once", unknown <= 1 + len(deaths), seen)
        failed = unknown + before[Failed]
        claims("at most three failures of a request are paid for", failed <= 2 + len(deaths), seen)

    # --- what clients do and learn

    def canceled(self, life: Life) -> None:
        if life.canceled_at is None and (life.seen is None or life.seen.status is not Status.ENDED):
            life.canceled_at = self.play.loop.time()
            life.kept_calls = [seen for seen in self.in_flight() if seen.call.params in life.params]
            life.deaths_at_cancel = len(self.play.deaths)

    def drained(self, running: list[Seen]) -> None:
        for seen in running:
            life, _ = self.play.by_params[seen.call.params]
            overdue = life.batch is not None and self.play.clock.now() >= life.batch.expires_at
            self.claims("a drain cuts no call", not seen.cut or overdue, seen)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            await self.look()

    async def look(self) -> None:
        if self.claims.broken is not None:
            raise self.claims.broken
        self._look_at_time()
        self._look_at_events()
        for life in self.play.lives:
            if life.batch is None:
                continue
            if life.deleting:
                life.unseen = True
                await self._look_at_deleted(life)
            else:
                await self._look_at(life)
                life.unseen = False

    def _look_at_time(self) -> None:
        if not self.play.is_up:
            return
        now, day = self.play.loop.time(), self.play.clock.now()
        if self._time_of_day is not None:
            passed = (day - self._time_of_day[1]).total_seconds() - (now - self._time_of_day[0])
            self.claims("no jump of the wall clock moves the time of day", abs(passed) < 0.001, passed)
        self._time_of_day = (now, day)

    def _look_at_events(self) -> None:
        new = self.play.events[self._events_seen :]
        self._events_seen = len(self.play.events)
        bugs = [event for event in new if isinstance(event, BugFound | BatchStopped)]
        self.claims("nobody met a bug", not bugs, bugs)

    @property
    def is_calm(self) -> bool:
        """Whether what is due can be done now."""
        play = self.play
        troubled = any(window.holds(play.loop.time(), 3.0) for window in play.windows)
        return play.is_up and play.stopping is None and not troubled and not play.holds()

    async def _look_at(self, life: Life) -> None:
        claims, before = self.claims, life.seen
        assert life.batch is not None
        assert before is not None
        try:
            batch = await self.play.kept.get(life.workspace, life.batch.id)
        except NotFound:
            claims("an acknowledged batch is there until it is deleted", life.deleting, life.number)
            return
        claims("an acknowledged batch is there until it is deleted", True)
        counts, past = batch.counts, before.counts
        claims("counts sum to the total at every reading", counts.total == life.requests, counts)
        claims("no count goes backwards", all(getattr(counts, k) >= getattr(past, k) for k in KINDS), past, counts)
        order = (Status.IN_PROGRESS, Status.CANCELING, Status.ENDED)
        forward = order.index(before.status) <= order.index(batch.status)
        claims("a batch moves from in_progress to canceling to ended, never back", forward, before, batch)
        ended = batch.status is Status.ENDED
        claims("one request counts as processing until the end", (counts.processing == 0) == ended, batch)
        life.seen = batch
        if batch.closing is Closing.EXPIRED and before.closing is None and not life.unseen:
            claims("no batch expires before its deadline", self.play.clock.now() >= batch.expires_at, batch)
            claims("nothing expires while deadlines are held", not self.play.holds(), batch)
        if before.status is Status.ENDED:
            same = replace(batch, archived_at=None, sealed=None) == replace(before, archived_at=None, sealed=None)
            claims("what has ended changes no more", same, before, batch)
        elif not ended:
            self._look_at_what_is_due(life, batch)
        if ended:
            await self._look_at_results(life, batch)

    def _look_at_what_is_due(self, life: Life, batch: Batch) -> None:
        now, claims = self.play.clock.now(), self.claims
        if not self.is_calm:
            life.late["ending"] = 0
            return
        own = [seen for seen in self.in_flight() if seen.call.params in life.params]
        if now >= batch.expires_at:
            life.late["deadline"] += 1
            claims(
                "a batch ends within a minute of its deadline", life.late["deadline"] * TICK <= 60.0 + self.slack, batch
            )
        if now >= batch.expires_at + timedelta(seconds=30) and own:
            life.late["calls"] += 1
            claims(
                "no call runs longer than the grace after the deadline", life.late["calls"] * TICK <= self.slack, own
            )
        if batch.closing is not None and not own:
            life.late["ending"] += 1
            claims("a canceled batch ends when its calls have", life.late["ending"] * TICK <= 2.0 + self.slack, batch)
        else:
            life.late["ending"] = 0

    async def _look_at_results(self, life: Life, batch: Batch) -> None:
        claims, now = self.claims, self.play.clock.now()
        due = batch.created_at + self.play.duties.retain_results_for
        if not batch.has_results or batch.sealed is None:
            claims("results stay until their time", now >= due, batch)
            return
        claims("results stay until their time", True)
        if now >= due and self.is_calm:
            life.late["archive"] += 1
            claims("results go when their time is over", life.late["archive"] * TICK <= 2.0 + self.slack, batch)
        needed = {batch.sealed.results, batch.sealed.index, batch.sealed.ledger}
        claims("every file that a batch needs is there", needed <= self.play.memory_blobs.names, batch)
        text = await self._read(batch.sealed.results)
        claims("results are the same bytes at every read", life.text in (None, text), life.number)
        if life.text is None:
            await self._look_at_foreigners(life, batch)
            ledger = await self._read(batch.sealed.ledger)
            self._judge(life, batch, text.decode().splitlines(), [json.loads(line) for line in ledger.splitlines()])
        life.text = text

    async def _read(self, name: str) -> bytes:
        reader = await self.play.blobs.open(name)
        return await reader.read(0, reader.size)

    async def _look_at_foreigners(self, life: Life, batch: Batch) -> None:
        [other] = [name for name in WORKSPACES if name != life.workspace]
        try:
            await self.play.kept.get(other, batch.id)
            foreign = True
        except NotFound:
            foreign = False
        self.claims("another workspace sees nothing of it", not foreign, batch)

    def _judge(self, life: Life, batch: Batch, lines: list[str], ledger: list[dict[str, object]]) -> None:
        """Compare the results with what the model server knows."""
        claims = self.claims
        parts = [line.split(" ", 2) for line in lines]
        wanted = [f"r{seq}" for seq in range(life.requests)]
        claims("every custom_id has one line, in the order of the requests", [p[0] for p in parts] == wanted, lines)
        kinds = Counter(part[1] for part in parts)
        claims("the lines fit the counts", all(kinds[k] == getattr(batch.counts, k) for k in KINDS), kinds, batch)
        calls: dict[bytes, list[Seen]] = {params: [] for params in life.params}
        for seen in self.upstream.calls:
            if seen.call.params in calls:
                calls[seen.call.params].append(seen)
        for params, part, entry in zip(life.params, parts, ledger, strict=True):
            self._judge_line(params, part, calls[params], entry)
        for seen in life.kept_calls:
            undisturbed = len(self.play.deaths) == life.deaths_at_cancel and isinstance(seen.outcome, Answered)
            [kind] = [part[1] for params, part in zip(life.params, parts, strict=True) if params == seen.call.params]
            claims("an answer in flight at a cancel is kept", not undisturbed or kind == "succeeded", seen)

    def _judge_line(self, params: bytes, part: list[str], calls: list[Seen], entry: dict[str, object]) -> None:
        claims, kind = self.claims, part[1]
        ends = Counter(type(seen.outcome) for seen in calls)
        if kind == "succeeded":
            text = json.loads(part[2])["content"][0]["text"]
            claims("a succeeded line holds an answer to its own params", text == params.decode(), text, params)
            claims("a succeeded line's answer was given by the upstream", ends[Answered] > 0, calls)
        if kind == "errored":
            unknown = ends[Unknown] + ends[Hung]
            good = ends[Refused] > 0 or unknown >= 2 or unknown + ends[Failed] >= 3
            claims("a request errs only if an attempt of it failed for good", good, calls)
        claims("the ledger counts every call", int(str(entry["attempts"])) >= len(calls), entry, calls)
        paid = [seen for seen in calls[:-1] if not isinstance(seen.outcome, NotStarted | Held)]
        claims(
            "a request that was sent twice is marked as a possible duplicate",
            not paid or entry["possible_duplicate"],
            entry,
            calls,
        )

    async def _look_at_deleted(self, life: Life) -> None:
        if life.deleted_at is None:
            return
        assert life.batch is not None
        assert life.seen is not None
        try:
            await self.play.kept.get(life.workspace, life.batch.id)
            there = True
        except NotFound:
            there = False
        self.claims("a deleted batch is gone for good", not there, life.number)
        sealed = life.seen.sealed
        names = {life.seen.body, *((sealed.results, sealed.index, sealed.ledger) if sealed else ())}
        rows = any(row.lease.batch == life.batch.id for row in self.play.kept._doomed)
        if self.is_calm and (rows or names & self.play.memory_blobs.names):
            life.late["bytes"] += 1
            self.claims("a deleted batch leaves no bytes", life.late["bytes"] * TICK <= 5.0 + self.slack, names)
        else:
            self.claims("a deleted batch leaves no bytes", True)

    async def listed(self) -> set[str]:
        pages = [await self.play.kept.page(name, after=None, before=None, limit=1000) for name in WORKSPACES]
        return {batch.id for page in pages for batch in page.batches}

    def all_together(self, listed: set[str]) -> None:
        """Every create was answered by now."""
        known = {life.batch.id for life in self.play.lives if life.batch is not None and not life.deleting}
        made = [life.batch.id for life in self.play.lives if life.batch is not None]
        # Repeats are known for ten minutes: over a boot whose clock is an hour off, one may be a new batch.
        if not any(step.do == "reboot" and abs(step.number) >= 600.0 for step in self.play.story.steps):
            self.claims("a create that was repeated made one batch", len(set(made)) == len(made) >= len(listed), listed)
            self.claims("nothing is there that nobody created", listed <= known, listed - known)
        self.claims("no batch is stuck", all(life.is_over for life in self.play.lives))

    def at_the_end(self, needed: set[str], there: set[str]) -> None:
        self.claims("every file that a batch needs is there", needed <= there, needed - there)
        self.claims("nothing stays that no batch needs", there <= needed, there - needed)
