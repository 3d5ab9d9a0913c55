"""A server that takes batches and does what a script says, on whatever event loop runs, virtual time too.

It knows nothing about HTTP. It keeps every batch that it ever made and counts what it ran, so that a test can tell
orphans and repeats. A batch's requests run one after the other, evenly over its time.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from batchyard.domain.carrier import Standing, UpstreamBatch
from batchyard.domain.carrier_line import CarrierLine
from batchyard.domain.outcome import NotStarted, Outcome, Refused, Unknown
from batchyard.domain.result import RequestError
from batchyard.ports import Clock
from batchyard.ports.batch_upstreams import Absent, CarrierCreate, Listed, TooMuch
from batchyard.testing.upstreams import answered

LOST = Unknown(RequestError("api_error", "The connection closed after the request was sent, without an answer."))


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a call comes to in place of what was asked; ``took_effect``: it was done all the same."""

    outcome: Outcome
    took_effect: bool = False


@dataclass(slots=True)
class MadeBatch:
    """One batch as the server keeps it. ``foreign``: somebody else's."""

    id: str
    key: str
    created_at: datetime
    entries: Sequence[tuple[str, bytes]]
    seconds: float
    foreign: bool = False
    canceled_at: datetime | None = None
    lines: list[CarrierLine] = field(default_factory=list)
    deleted: bool = False
    forgotten: bool = False


class _Entry(msgspec.Struct):
    custom_id: str
    params: msgspec.Raw


class _Create(msgspec.Struct):
    requests: list[_Entry]


class ScriptedBatches:
    """Implements ``BatchUpstream``. ``script(verb, number)`` is asked at each call of a verb, numbered from 1.

    ``fate(params, run)`` says what comes of a request that runs, for the ``run``-th time.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        seconds: float = 100.0,
        keyed: bool = False,
        cancel_seconds: float = 20.0,
        expires_after: float = 86400.0,
        most: int = 100_000,
        latency: float = 0.05,
    ) -> None:
        self.clock = clock
        self.seconds, self.keyed, self.cancel_seconds = seconds, keyed, cancel_seconds
        self.expires_after, self.most, self.latency = expires_after, most, latency
        self.script: Callable[[str, int], Trouble | None] = lambda _verb, _number: None
        self.fate: Callable[[bytes, int], Outcome] = lambda _params, _run: answered()
        self.cut_results: Callable[[int], int | None] = lambda _number: None
        """After how many lines the n-th reading of results breaks off; None: it does not."""
        self.withheld: Callable[[int, str], bool] = lambda _number, _custom_id: False
        """Whether the n-th reading of results leaves a line out, though it ends well."""
        self.batches: dict[str, MadeBatch] = {}
        self.calls: Counter[str] = Counter()
        self.runs: Counter[bytes] = Counter()
        self.closed = False

    # --- what a test looks at

    @property
    def ours(self) -> Sequence[MadeBatch]:
        """Every batch that was made for us."""
        return [batch for batch in self.batches.values() if not batch.foreign]

    @property
    def at_work(self) -> Sequence[MadeBatch]:
        """Batches of ours that have not ended."""
        return [batch for batch in self.ours if self._standing(batch) is not Standing.ENDED and not batch.forgotten]

    @property
    def repeated(self) -> dict[bytes, int]:
        """Params that ran more than once, and how often beyond the first."""
        return {params: runs - 1 for params, runs in self.runs.items() if runs > 1}

    def run_all(self) -> None:
        """Let every batch that has ended by now have run, though nobody asked."""
        for batch in self.batches.values():
            self._standing(batch)

    def add_foreign(self, requests: int) -> str:
        """Make a batch of somebody else, now."""
        entries = [(f"x{number}", b'{"foreign":%d}' % number) for number in range(requests)]
        return self._make("", entries, foreign=True).id

    # --- the verbs

    async def create(self, create: CarrierCreate) -> UpstreamBatch | TooMuch | Outcome:
        body = b"".join([part async for part in create.body()])
        assert len(body) == create.length, f"{len(body)} bytes in a body of {create.length}"
        trouble = await self._call("create")
        if trouble is not None and not trouble.took_effect:
            return trouble.outcome
        entries = [(one.custom_id, bytes(one.params)) for one in msgspec.json.decode(body, type=_Create).requests]
        if len(entries) > self.most:
            return TooMuch(RequestError("invalid_request_error", "too many"))
        same = [batch for batch in self.ours if self.keyed and batch.key == create.key]
        if same and list(same[0].entries) != entries:
            return Refused(RequestError("invalid_request_error", "this key was used with another body"))
        batch = same[0] if same else self._make(create.key, entries)
        return trouble.outcome if trouble is not None else self._told(batch)

    async def retrieve(self, batch: str) -> UpstreamBatch | Absent | Outcome:
        trouble = await self._call("retrieve")
        if trouble is not None:
            return trouble.outcome
        found = self._find(batch)
        return Absent() if found is None else self._told(found)

    async def listed(self, since: datetime) -> Listed | Outcome:
        trouble = await self._call("listed")
        if trouble is not None:
            return trouble.outcome
        there = [batch for batch in self.batches.values() if not batch.deleted and not batch.forgotten]
        there.sort(key=lambda batch: batch.created_at, reverse=True)
        return Listed([self._told(batch) for batch in there if batch.created_at >= since], timedelta())

    async def cancel(self, batch: str) -> UpstreamBatch | Absent | Outcome:
        trouble = await self._call("cancel")
        found = self._find(batch)
        if found is not None and (trouble is None or trouble.took_effect):
            assert not found.foreign, "a batch of somebody else is cancelled"
            if self._standing(found) is Standing.ENDED:
                return Refused(RequestError("invalid_request_error", "it has already finished processing"))
            found.canceled_at = found.canceled_at or self.clock.now()
        if trouble is not None:
            return trouble.outcome
        return Absent() if found is None else self._told(found)

    async def results(self, batch: str) -> "ScriptedLines | Absent | Outcome":
        trouble = await self._call("results")
        if trouble is not None:
            return trouble.outcome
        found = self._find(batch)
        if found is None or self._standing(found) is not Standing.ENDED:
            return Absent()
        number = self.calls["results"]
        lines = [line for line in found.lines if not self.withheld(number, line.custom_id)]
        return ScriptedLines(lines, self.cut_results(number))

    async def delete(self, batch: str) -> Absent | Outcome:
        trouble = await self._call("delete")
        found = self._find(batch)
        if found is not None and (trouble is None or trouble.took_effect):
            assert not found.foreign, "a batch of somebody else is deleted"
            assert self._standing(found) is Standing.ENDED, "a batch at work is deleted"
            found.deleted = True
        return Absent() if trouble is None else trouble.outcome

    async def close(self) -> None:
        """Take no more calls. Closing twice is allowed."""
        self.closed = True

    # --- how it works

    async def _call(self, verb: str) -> Trouble | None:
        assert not self.closed, "a call after close"
        self.calls[verb] += 1
        number = self.calls[verb]
        await asyncio.sleep(self.latency)
        return self.script(verb, number)

    def _find(self, batch: str) -> MadeBatch | None:
        found = self.batches.get(batch)
        return None if found is None or found.deleted or found.forgotten else found

    def _make(self, key: str, entries: Sequence[tuple[str, bytes]], *, foreign: bool = False) -> MadeBatch:
        id_ = f"msgbatch_{len(self.batches)}"
        batch = self.batches[id_] = MadeBatch(id_, key, self.clock.now(), entries, self.seconds, foreign)
        return batch

    def _told(self, batch: MadeBatch) -> UpstreamBatch:
        return UpstreamBatch(batch.id, self._standing(batch), len(batch.entries), batch.created_at)

    def _standing(self, batch: MadeBatch) -> Standing:
        age = (self.clock.now() - batch.created_at).total_seconds()
        works_for = min(batch.seconds, self.expires_after)
        if batch.canceled_at is not None:
            works_for = min(works_for, (batch.canceled_at - batch.created_at).total_seconds())
        ends_at = works_for + (self.cancel_seconds if batch.canceled_at is not None else 0.0)
        if age < ends_at:
            return Standing.CANCELING if batch.canceled_at is not None else Standing.IN_PROGRESS
        if not batch.lines and batch.entries:
            self._run(batch, works_for)
        return Standing.ENDED

    def _run(self, batch: MadeBatch, seconds: float) -> None:
        ran = len(batch.entries) if seconds >= batch.seconds else int(len(batch.entries) * seconds / batch.seconds)
        why = "canceled" if batch.canceled_at is not None else "expired"
        for number, (custom_id, params) in enumerate(batch.entries):
            if number < ran:
                self.runs[params] += 1
                batch.lines.append(CarrierLine(custom_id, self.fate(params, self.runs[params])))
            else:
                error = RequestError("api_error", f"The request was {why} by the upstream.")
                batch.lines.append(CarrierLine(custom_id, NotStarted(error), ended=why))


class ScriptedLines:
    """Implements ``CarrierLines``: a few lines at a time."""

    def __init__(self, lines: Sequence[CarrierLine], cut: int | None) -> None:
        self._lines, self._cut = lines, cut
        self._at = 0

    async def read(self) -> Sequence[CarrierLine] | Outcome:
        await asyncio.sleep(0.01)
        end = min(self._at + 7, len(self._lines))
        if self._cut is not None and end > self._cut:
            end = self._cut
        if end <= self._at:
            whole = self._cut is None or self._at >= len(self._lines)
            return [] if whole else Unknown(RequestError("api_error", "The upstream reset the connection."))
        lines = self._lines[self._at : end]
        self._at = end
        return lines

    async def close(self) -> None:
        """Nothing is held."""
