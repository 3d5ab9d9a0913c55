"""The whole job of `batchyard run`: an input is checked, created as batches, followed, and its results are written.

    check ──> create each part ──> follow until all have ended ──> collect in the order of the input

Batches are the server's: whatever stops this process, they go on, and the journal says which they are.
"""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from batchyard.client.api import Api
from batchyard.client.collect import Tally, collect
from batchyard.client.download import Download
from batchyard.client.errors import RefusedByServer, WrongUse
from batchyard.client.follow import Sleep, follow
from batchyard.client.journal import Journal, sync_folder
from batchyard.client.patience import Patience
from batchyard.client.replies import Counts, MessageBatch, result_line
from batchyard.client.source import InputChanged, Limits, PartBody, Plan, check, custom_ids, opened

PATIENCE = Patience(tries=2, seconds=300)
"""A server that is away for some minutes does not end a job."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for. ``output`` None is standard output: then nothing is kept that would let the job go on."""

    input: str
    output: Path | None = None
    force: bool = False
    limits: Limits = field(default_factory=Limits)

    @property
    def name(self) -> str:
        return "standard input" if self.input == "-" else self.input


@dataclass(frozen=True, slots=True)
class Checked:
    """The input is right. ``known`` of its batches were created by an earlier run."""

    requests: int
    batches: int
    known: int


@dataclass(frozen=True, slots=True)
class Created:
    """One more batch of the job is on the server."""

    batch_id: str
    number: int
    batches: int
    requests: int


@dataclass(frozen=True, slots=True)
class Counted:
    """Where all batches together stand."""

    counts: Counts


@dataclass(frozen=True, slots=True)
class Collecting:
    """All batches have ended; their results are being written."""

    requests: int


Event = Checked | Created | Counted | Collecting
Tell = Callable[[Event], None]


@contextmanager
def prepared(job: Job, base_url: str) -> Iterator["Run"]:
    """Check everything that can be checked before anything is sent: ``WrongUse`` says what is wrong."""
    _check_output(job)
    with opened(job.input) as source:
        plan = check(source, job.name, job.limits)
        path = None if job.output is None else _beside(job.output, ".batchyard")
        journal = Journal.begin(path, plan, name=job.name, base_url=base_url)
        try:
            if job.output is not None and journal.written is None:
                _refuse_existing(job.output, force=job.force)
            yield Run(job, plan, source, journal)
        finally:
            if not journal.holds_anything:
                journal.discard()
            journal.close()


class Run:
    """A job whose input is right, begun or begun again."""

    def __init__(self, job: Job, plan: Plan, source: BinaryIO, journal: Journal) -> None:
        self.journal = journal
        self._job = job
        self._plan = plan
        self._source = source

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
        if self._job.output is not None and self._has_written(self._job.output):
            self.journal.discard()
            return _tally_of(self._job.output)
        parts = self.journal.parts
        tell(Checked(self._plan.requests, len(parts), len(self.batch_ids)))
        if len(self.batch_ids) < len(parts):
            await api.page(limit=1)  # a wrong key or address is found out before 256 MB are on their way
        api.patience = PATIENCE
        for number, state in enumerate(parts):
            if state.batch_id is None:
                batch = await self._create(api, number)
                tell(Created(batch.id, number + 1, len(parts), state.part.requests))
        await follow(api, self.batch_ids, lambda batches: tell(Counted(_together(batches))), sleep)
        tell(Collecting(self._plan.requests))
        if self._job.output is None:
            return await self._collect(api, out.write)
        return await self._write(api, self._job.output)

    def _has_written(self, output: Path) -> bool:
        """Whether an earlier run wrote all of the output, and was stopped before it could say so."""
        return self.journal.written is not None and output.exists() and _sha256(output) == self.journal.written

    async def _create(self, api: Api, number: int) -> MessageBatch:
        state = self.journal.parts[number]
        self.journal.announce(number)
        try:
            batch = await api.create(PartBody(self._source, state.part), idempotency_key=state.key)
        except InputChanged:
            self.journal.withdraw(number)
            raise
        except RefusedByServer as refused:
            if refused.is_certain:
                self.journal.withdraw(number)
            raise
        self.journal.created(number, batch.id)
        return batch

    async def _write(self, api: Api, output: Path) -> Tally:
        """Write the results beside the output, and give them its name once they are whole and durable."""
        partial = _beside(output, ".batchyard.partial")
        digest = hashlib.sha256()
        try:
            with partial.open("wb") as file:

                def write(line: bytes) -> None:
                    digest.update(line)
                    file.write(line)

                tally = await self._collect(api, write)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            partial.unlink()
            raise
        _refuse_existing(output, force=self._job.force)
        self.journal.finish(digest.hexdigest())
        partial.replace(output)
        sync_folder(output)
        self.journal.discard()
        return tally

    async def _collect(self, api: Api, write: Callable[[bytes], object]) -> Tally:
        tally = Tally()
        for state in self.journal.parts:
            assert state.batch_id is not None, "collecting a part that has no batch"
            with tempfile.TemporaryFile(dir=self._job.output and self._job.output.parent) as spool:
                expected = custom_ids(self._source, state.part)
                await collect(Download(api, state.batch_id), expected, spool, write, tally)
        return tally


def _together(batches: Sequence[MessageBatch]) -> Counts:
    return sum((batch.request_counts for batch in batches), Counts())


def _check_output(job: Job) -> None:
    if job.output is None:
        return
    if job.output.is_dir() or not job.output.parent.is_dir():
        raise WrongUse(f"{job.output}: the output must be a file in a folder that exists")
    if job.output.exists() and job.input != "-" and Path(job.input).exists() and job.output.samefile(job.input):
        raise WrongUse(f"{job.output} is the input: choose another output")
    if not _beside(job.output, ".batchyard").exists():
        _refuse_existing(job.output, force=job.force)


def _refuse_existing(output: Path, *, force: bool) -> None:
    if output.exists() and not force:
        raise WrongUse(f"{output} exists: choose another output, or overwrite it with --force")


def _beside(output: Path, suffix: str) -> Path:
    return output.with_name(output.name + suffix)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tally_of(output: Path) -> Tally:
    tally = Tally()
    with output.open("rb") as lines:
        for line in lines:
            tally.add(result_line(line))
    return tally
