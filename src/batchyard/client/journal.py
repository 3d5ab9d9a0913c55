"""What a job has done so far, kept beside its output, so that the same command goes on where it stopped.

A journal is a file of lines: first the job (which input, which server, its parts), then what happened. A line is
durable before what it announces is done: a create is announced with its idempotency key, so that one whose answer was
lost is asked for again and not made twice. The key of the server is not in it.
"""

import os
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BufferedRandom
from pathlib import Path
from typing import TypeVar

import msgspec

from batchyard.client.errors import WrongUse
from batchyard.client.source import Part, Plan

if sys.platform != "win32":
    import fcntl

KEY_LIFE = timedelta(hours=23)
"""How long a server is trusted to know an idempotency key: an hour less than Batchyard does."""

_T = TypeVar("_T")


class _Job(msgspec.Struct, frozen=True):
    batchyard_job: int
    input: str
    sha256: str
    base_url: str
    parts: tuple[Part, ...]
    keys: tuple[str, ...]


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line after the first: a create announced (``sending``), ``withdrawn`` or ``created``; or the output written."""

    part: int = -1
    sending: str | None = None
    withdrawn: bool = False
    created: str | None = None
    written: str | None = None


@dataclass(slots=True)
class PartState:
    """Where one part stands."""

    part: Part
    key: str
    sent_at: datetime | None = None
    batch_id: str | None = None


class Journal:
    """The parts of a job and how far each is, held by one process at a time. Without a path it is in memory alone."""

    def __init__(self, path: Path | None, file: BufferedRandom | None, job: _Job) -> None:
        self.path = path
        self.written: str | None = None
        """SHA-256 of the output, once it is whole: what is left to do is to give it its name."""
        self.parts = [PartState(part, key) for part, key in zip(job.parts, job.keys, strict=True)]
        self._file = file

    @classmethod
    def begin(cls, path: Path | None, plan: Plan, *, name: str, base_url: str) -> "Journal":
        """Return the journal of this job, with what is known of it already; ``WrongUse`` if it is another job's."""
        keys = tuple(f"batchyard-run-{uuid.uuid4().hex}" for _ in plan.parts)
        job = _Job(1, name, plan.sha256, base_url, plan.parts, keys)
        if path is None:
            return cls(None, None, job)
        file = _locked(path)
        try:
            *lines, torn = file.read().split(b"\n")
            file.seek(-len(torn), os.SEEK_END)
            file.truncate()
            if not lines:
                journal = cls(path, file, job)
                journal._append(job)
                sync_folder(path)
                return journal
            journal = cls(path, file, _same_job(path, lines[0], job))
            journal._recall(lines[1:])
        except BaseException:
            file.close()
            raise
        return journal

    def announce(self, number: int) -> None:
        """Keep that this part's create is about to be sent. Raises ``WrongUse`` where a repeat is not safe."""
        state, now = self.parts[number], datetime.now(UTC)
        if state.sent_at is None:
            state.sent_at = now
            self._append(_Entry(number, sending=now.isoformat()))
        elif now - state.sent_at > KEY_LIFE:
            raise WrongUse(
                f"the create of {state.part.requests} requests from line {state.part.first_line} was sent at "
                f"{state.sent_at:%Y-%m-%d %H:%M} UTC and not answered, too long ago to repeat it safely: look for its "
                f"batch with `batchyard list`; to begin anew, remove {self.path}"
            )

    def created(self, number: int, batch_id: str) -> None:
        """Keep the batch that holds this part."""
        self.parts[number].batch_id = batch_id
        self._append(_Entry(number, created=batch_id))

    def withdraw(self, number: int) -> None:
        """Keep that this part's create made no batch for certain."""
        self.parts[number].sent_at = None
        self._append(_Entry(number, withdrawn=True))

    def finish(self, sha256: str) -> None:
        """Keep what the whole output looks like, before it gets its name."""
        self.written = sha256
        self._append(_Entry(written=sha256))

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

    def _append(self, line: _Job | _Entry) -> None:
        if self._file is not None:
            self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def _recall(self, lines: list[bytes]) -> None:
        for line in lines:
            entry = _known(self.path, line, _Entry)
            if entry.part >= len(self.parts):
                raise WrongUse(f"{self.path} is damaged: move it away, or choose another output")
            if entry.sending is not None:
                self.parts[entry.part].sent_at = datetime.fromisoformat(entry.sending)
            if entry.withdrawn:
                self.parts[entry.part].sent_at = None
            if entry.created is not None:
                self.parts[entry.part].batch_id = entry.created
            self.written = entry.written or self.written


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


def _same_job(path: Path, line: bytes, job: _Job) -> _Job:
    kept = _known(path, line, _Job)
    if kept.sha256 != job.sha256:
        raise WrongUse(
            f"{path} belongs to a job of another input ({kept.input}): choose another output, or remove that file"
        )
    if kept.base_url != job.base_url:
        raise WrongUse(f"{path} belongs to a job at {kept.base_url}: name that server, or remove that file")
    return kept


def _known(path: Path | None, line: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise WrongUse(
            f"{path} is not the state of a job, or is damaged: move it away, or choose another output"
        ) from None


def sync_folder(path: Path) -> None:
    """Make the name of a new file durable."""
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
