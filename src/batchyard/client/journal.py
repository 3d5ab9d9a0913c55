"""What a job has done so far, kept beside its output, so that the same command goes on where it stopped.

A journal is a file of lines: first the job (which input, which server), then what happened. A line is durable before
what it announces is done: a create is announced before it is sent, so that one whose answer was lost is asked for
again, or looked for, and not made twice. The key of the server is not in it.
"""

import os
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BufferedRandom
from pathlib import Path
from typing import TypeVar

import msgspec

from batchyard.client.durable import sync_folder, synced
from batchyard.client.errors import WrongUse
from batchyard.client.limits import Part
from batchyard.client.source import Plan
from batchyard.client.tally import Tally

if sys.platform != "win32":
    import fcntl

VERSION = 2
_T = TypeVar("_T")


class _Job(msgspec.Struct, frozen=True):
    batchyard_job: int
    input: str
    sha256: str
    base_url: str


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line after the first: a round of parts, something that happened to a part, or the output written.

    A part's create is announced (``sending``, when the newest batch of the server was ``after``), ``withdrawn`` or
    ``created``; it may be one of ``suspects``, or not the one ``rejected``; its results were ``fetched``.
    """

    round: tuple[Part, ...] = ()
    keys: tuple[str, ...] = ()
    part: int = -1
    sending: str | None = None
    after: str | None = None
    withdrawn: bool = False
    suspects: tuple[str, ...] = ()
    rejected: str | None = None
    created: str | None = None
    fetched: Tally | None = None
    written: str | None = None
    tally: Tally | None = None


@dataclass(slots=True)
class PartState:
    """Where one part stands."""

    part: Part
    key: str
    round: int
    sent_at: datetime | None = None
    after: str | None = None
    suspects: list[str] = field(default_factory=list)
    """Batches one of which may be this part's, whose create was not answered."""
    rejected: set[str] = field(default_factory=set)
    batch_id: str | None = None
    fetched: Tally | None = None

    @property
    def is_unsure(self) -> bool:
        """Whether a create was sent of which no answer came, and no batch was found that may be its."""
        return self.sent_at is not None and self.batch_id is None and not self.suspects

    @property
    def batch_ids(self) -> list[str]:
        """The batch of this part, or those that may be."""
        return self.suspects if self.batch_id is None else [self.batch_id]


class Journal:
    """The parts of a job and how far each is, held by one process at a time. Without a path it is in memory alone."""

    def __init__(self, path: Path | None, file: BufferedRandom | None) -> None:
        self.path = path
        self.written: str | None = None
        """SHA-256 of the output, once it is whole: what is left to do is to give it its name."""
        self.tally: Tally | None = None
        self.parts: list[PartState] = []
        self._file = file

    @classmethod
    def begin(cls, path: Path | None, plan: Plan, *, name: str, base_url: str) -> "Journal":
        """Return the journal of this job, with what is known of it already; ``WrongUse`` if it is another job's."""
        job = _Job(VERSION, name, plan.sha256, base_url)
        if path is None:
            journal = cls(None, None)
            journal.begin_round(plan.parts)
            return journal
        file = _locked(path)
        try:
            *lines, torn = file.read().split(b"\n")
            file.seek(-len(torn), os.SEEK_END)
            file.truncate()
            journal = cls(path, file)
            if lines:
                _check_same_job(path, lines[0], job)
                journal._recall(lines[1:])
            else:
                journal._append(job)
                sync_folder(path)
            if not journal.parts:
                journal.begin_round(plan.parts)
        except BaseException:
            file.close()
            raise
        return journal

    @property
    def rounds(self) -> int:
        """The input itself, and each time that what failed was put into batches again."""
        return 1 + max(state.round for state in self.parts)

    def of_round(self, number: int) -> list[tuple[int, PartState]]:
        return [(place, state) for place, state in enumerate(self.parts) if state.round == number]

    def begin_round(self, parts: Sequence[Part]) -> None:
        """Keep that these parts are to be created next."""
        keys = tuple(f"batchyard-run-{uuid.uuid4().hex}" for _ in parts)
        self._keep(_Entry(round=tuple(parts), keys=keys))

    def announce(self, number: int, after: str | None) -> None:
        """Keep that this part's create is about to be sent, and which batch was the newest before."""
        self._keep(_Entry(part=number, sending=datetime.now(UTC).isoformat(), after=after))

    def created(self, number: int, batch_id: str) -> None:
        """Keep the batch that holds this part."""
        self._keep(_Entry(part=number, created=batch_id))

    def suspect(self, number: int, batch_ids: Sequence[str]) -> None:
        """Keep that one of these batches may hold this part."""
        self._keep(_Entry(part=number, suspects=tuple(batch_ids)))

    def reject(self, number: int, batch_id: str) -> None:
        """Keep that this batch holds something else."""
        self._keep(_Entry(part=number, rejected=batch_id))

    def withdraw(self, number: int) -> None:
        """Keep that this part's create made no batch for certain."""
        self._keep(_Entry(part=number, withdrawn=True))

    def fetched(self, number: int, tally: Tally) -> None:
        """Keep that this part's results are here, in order, and what they come to."""
        self._keep(_Entry(part=number, fetched=tally))

    def finish(self, sha256: str, tally: Tally) -> None:
        """Keep what the whole output looks like, before it gets its name."""
        self._keep(_Entry(written=sha256, tally=tally))

    @property
    def holds_anything(self) -> bool:
        """Whether the server may hold something of this job."""
        return any(state.sent_at is not None or state.batch_id is not None for state in self.parts)

    def discard(self) -> None:
        """Remove the journal: the job is done, or never began. Discarding twice is allowed."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _keep(self, entry: _Entry) -> None:
        self._append(entry)
        self._apply(entry)

    def _append(self, line: _Job | _Entry) -> None:
        if self._file is not None:
            self._file.write(msgspec.json.encode(line) + b"\n")
            synced(self._file)

    def _recall(self, lines: list[bytes]) -> None:
        for line in lines:
            entry = _known(self.path, line, _Entry)
            if entry.part >= len(self.parts) or len(entry.round) != len(entry.keys):
                raise WrongUse(f"{self.path} is damaged: move it away, or choose another output")
            self._apply(entry)

    def _apply(self, entry: _Entry) -> None:
        if entry.round:
            number = self.rounds if self.parts else 0
            self.parts += [PartState(part, key, number) for part, key in zip(entry.round, entry.keys, strict=True)]
        if entry.written is not None:
            self.written, self.tally = entry.written, entry.tally
        if entry.part >= 0:
            _change(self.parts[entry.part], entry)


def kept_batches(path: Path) -> tuple[str, list[str]]:
    """Return the server of a job and those of its batches that are known, also while another process is at work on it.

    ``WrongUse`` if the file is no state of a job.
    """
    try:
        first, *lines, _ = path.read_bytes().split(b"\n")
    except OSError as problem:
        raise WrongUse(f"{path}: cannot be read: {problem.strerror}") from None
    except ValueError:
        first, lines = b"", []
    job = _known(path, first, _Job)
    journal = Journal(path, None)
    journal._recall(lines)
    return job.base_url, [batch_id for state in journal.parts for batch_id in state.batch_ids]


def _change(state: PartState, entry: _Entry) -> None:
    if entry.sending is not None:
        state.sent_at, state.after = datetime.fromisoformat(entry.sending), entry.after
    if entry.withdrawn:
        state.sent_at, state.suspects = None, []
    if entry.suspects:
        state.suspects = list(entry.suspects)
    if entry.rejected is not None:
        state.rejected.add(entry.rejected)
        state.suspects = [one for one in state.suspects if one != entry.rejected]
    if entry.created is not None:
        state.batch_id = entry.created
    if entry.fetched is not None:
        state.fetched = entry.fetched


def _locked(path: Path) -> BufferedRandom:
    """Open the journal for this process alone; make it if it is not there."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        try:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        except BlockingIOError:
            file.close()
            raise WrongUse(f"{path}: another run is at work on this job: wait for it, or stop it") from None
        file.close()  # the run that held it finished and removed it just now


def _check_same_job(path: Path, line: bytes, job: _Job) -> None:
    kept = _known(path, line, _Job)
    if kept.batchyard_job != job.batchyard_job:
        raise WrongUse(f"{path} was begun by another release of batchyard: finish it with that one, or move it away")
    if kept.sha256 != job.sha256:
        raise WrongUse(
            f"{path} belongs to a job of another input ({kept.input}): choose another output, or remove that file"
        )
    if kept.base_url != job.base_url:
        raise WrongUse(f"{path} belongs to a job at {kept.base_url}: name that server, or remove that file")


def _known(path: Path | None, line: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise WrongUse(
            f"{path} is not the state of a job, or is damaged: move it away, or choose another output"
        ) from None
