"""The whole job of `batchyard run`: an input is checked, created as batches, followed, and its results are written.

    check ──> create each part ──> follow; fetch what has ended ──> what may succeed goes round again ──> write

Batches are the server's: whatever stops this process, they go on, and the journal says which they are.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from batchyard.client.answers import COLUMNS
from batchyard.client.api import Api
from batchyard.client.batching import Batching
from batchyard.client.budget import Budget
from batchyard.client.creates import SETTLE_SECONDS, Creator
from batchyard.client.events import Checked, Collecting, SentAgain, Tell
from batchyard.client.follow import Sleep
from batchyard.client.intakes import Intake, named, taken
from batchyard.client.journal import Journal, PartState
from batchyard.client.limits import Limits
from batchyard.client.making import Making
from batchyard.client.output import LINES, Output, Shape, check_output, shape_of
from batchyard.client.patience import Patience
from batchyard.client.rounds import Final, Rounds
from batchyard.client.tally import Tally
from batchyard.client.workplace import Workplace, beside

PATIENCE = Patience(tries=2, seconds=300)
"""A server that is away for some minutes does not end a job."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for. ``output`` None is standard output: then nothing is kept that would let the job go on."""

    input: str
    output: Path | None = None
    force: bool = False
    limits: Limits = field(default_factory=Limits)
    retries: int = 0
    """How often what did not succeed, and may the next time, is put into batches again."""
    errors: Path | None = None
    """Where requests that did not succeed are written, with their results, ready to be an input again."""
    making: Making = field(default_factory=Making)
    form: str | None = None
    """What the input is, where its name and its beginning do not tell."""
    output_format: str | None = None
    extract: str | None = None
    """Which part of an answer is joined to its row: ``text``, ``json`` or ``tool``."""
    budget: Budget | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with each create, such as the name that a Batchyard gives the batches."""
    settle_seconds: float = SETTLE_SECONDS

    @property
    def name(self) -> str:
        return named(self.input)


@contextmanager
def prepared(job: Job, base_url: str) -> Iterator["Run"]:
    """Check everything that can be checked before anything is sent: ``WrongUse`` says what is wrong."""
    check_output(job.input, job.output, job.errors, force=job.force)
    folder = None if job.output is None else job.output.parent
    shape = shape_of(job.output, job.output_format, job.extract, has_rows=job.making.template is not None)
    making = replace(job.making, taken=frozenset() if shape.kind == LINES else frozenset(COLUMNS))
    with (
        taken(job.input, making=making, limits=job.limits, form=job.form, folder=folder) as intake,
        begun(job, intake, base_url, kept=job.output, shape=shape) as run,
    ):
        run.output.check(run.journal)
        yield run


@contextmanager
def begun(job: Job, intake: Intake, base_url: str, *, kept: Path | None, shape: Shape) -> Iterator["Run"]:
    """Begin a job whose input was checked, or begin it again; its state is kept beside ``kept``, if that is given."""
    path = None if kept is None else beside(kept, ".batchyard")
    journal = Journal.begin(path, intake.plan, name=job.name, base_url=base_url)
    workplace = Workplace(kept)
    output = Output(job.output, job.errors, workplace, force=job.force, shape=shape, intake=intake)
    run = Run(job, intake, journal, workplace, output)
    try:
        yield run
    finally:
        run.close()
        if not journal.holds_anything:
            workplace.discard()
            journal.discard()
        workplace.close()
        journal.close()


class Run:
    """A job whose input is right, begun or begun again."""

    def __init__(self, job: Job, intake: Intake, journal: Journal, workplace: Workplace, output: Output) -> None:
        self.journal = journal
        self.output = output
        self._job = job
        self.plan = intake.plan
        self._workplace = workplace
        self._rounds = Rounds(intake.lines, journal, workplace, replace(job.limits, first=None))

    def close(self) -> None:
        self._rounds.close()

    @property
    def batch_ids(self) -> list[str]:
        """The batches that are known to be on the server."""
        return [state.batch_id for state in self.journal.parts if state.batch_id is not None]

    @property
    def is_unsure(self) -> bool:
        """Whether a create was sent of which no answer came."""
        return any(state.sent_at is not None and state.batch_id is None for state in self.journal.parts)

    async def go(self, api: Api, tell: Tell, out: BinaryIO, sleep: Sleep = asyncio.sleep) -> Tally:
        """Do what is left of the job; return what it came to."""
        if self.output.is_written(self.journal):
            assert self.journal.tally is not None, "an output that was written without its tally"
            self.discard()
            return self.journal.tally
        finals = await self.finals(api, tell, sleep)
        tell(Collecting(self.plan.requests))
        tally = self.output.write(finals, self.journal, out)
        self.discard()
        return tally

    async def finals(self, api: Api, tell: Tell, sleep: Sleep = asyncio.sleep) -> Iterator[Final]:
        """Do all rounds; return each request with its result, in the order of the input."""
        batching = await self._batching(api, tell, sleep)
        while True:
            await batching.end_round(tell)
            if self.journal.rounds > self._job.retries or not self._rounds.plan_next():
                return self._rounds.final()
            again = [state.part.requests for _, state in self._this_round()]
            tell(SentAgain(sum(again), len(again)))

    async def detach(self, api: Api, tell: Tell, sleep: Sleep = asyncio.sleep) -> None:
        """See to it that every part of this round has its batch, and leave."""
        batching = await self._batching(api, tell, sleep)
        while not await batching.create(tell):
            await batching.end_created(tell, briefly=True)

    async def attempt(self, api: Api, tell: Tell, sleep: Sleep = asyncio.sleep) -> list[Final]:
        """Send the first batch alone, and return its results."""
        batching = await self._batching(api, tell, sleep)
        await batching.create(tell, most=1)
        await batching.end_created(tell)
        return list(self._rounds.of_part(0))

    async def _batching(self, api: Api, tell: Tell, sleep: Sleep) -> Batching:
        """Find out what the server is, before anything large is on its way."""
        self._forget_lost_results()
        parts = self._this_round()
        tell(Checked(self.plan.requests, len(parts), sum(state.batch_id is not None for _, state in parts)))
        seconds = 0.0
        if self._job.retries or any(state.batch_id is None for _, state in parts):
            await api.page(limit=1)  # a wrong key or address is found out before 256 MB are on their way
            seconds = await api.key_seconds()
        api.patience = PATIENCE
        creator = Creator(api, self.journal, seconds, sleep, self._job.settle_seconds, self._job.headers)
        return Batching(creator, self.journal, self._rounds, self._workplace, self._job.budget)

    def _this_round(self) -> list[tuple[int, PartState]]:
        return self.journal.of_round(self.journal.rounds - 1)

    def _forget_lost_results(self) -> None:
        """What somebody removed is fetched again."""
        for number, state in enumerate(self.journal.parts):
            if state.fetched is not None and not self._workplace.results(number).exists():
                state.fetched = None

    def discard(self) -> None:
        """Remove the state of a job whose results are where they belong."""
        self._workplace.discard()
        self.journal.discard()
