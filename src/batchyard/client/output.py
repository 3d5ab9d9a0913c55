"""The output of a job: written beside its place, and given its name once it is whole and durable."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec

from batchyard.client.durable import sync_folder, synced
from batchyard.client.errors import WrongUse
from batchyard.client.journal import Journal
from batchyard.client.rounds import Final
from batchyard.client.tally import Tally
from batchyard.client.workplace import Workplace, beside


class _Result(msgspec.Struct, frozen=True):
    result: msgspec.Raw


_result = msgspec.json.Decoder(_Result)


class Output:
    """Where results go: to a file, or to standard output. What did not succeed goes to ``errors`` too, if named."""

    def __init__(self, path: Path | None, errors: Path | None, workplace: Workplace, *, force: bool) -> None:
        self._path = path
        self._errors = errors
        self._workplace = workplace
        self._force = force

    def check(self, journal: Journal) -> None:
        """Raise ``WrongUse`` where a file is in the way that this job did not write."""
        if journal.written is None:
            self._refuse_existing()

    def is_written(self, journal: Journal) -> bool:
        """Whether an earlier run wrote all of the output, and was stopped before it could say so."""
        if self._path is None or journal.written is None or not self._path.exists():
            return False
        return _sha256(self._path) == journal.written

    def write(self, finals: Iterable[Final], journal: Journal, out: BinaryIO) -> Tally:
        """Write everything, and give it its name; return what it comes to."""
        with self._workplace.errors().open("wb") as errors:
            if self._path is None:
                tally = _lines(finals, out.write, errors.write)
            else:
                with self._workplace.output().open("wb") as file:
                    tally = _lines(finals, file.write, errors.write)
                    synced(file)
            synced(errors)
        if self._path is not None:
            if journal.written is None:
                self._refuse_existing()
            journal.finish(_sha256(self._workplace.output()), tally)
        if self._errors is not None and not tally.all_succeeded:
            self._workplace.errors().replace(self._errors)
            sync_folder(self._errors)
        if self._path is not None:
            self._workplace.output().replace(self._path)
            sync_folder(self._path)
        return tally

    def _refuse_existing(self) -> None:
        for path in (self._path, self._errors):
            if path is not None:
                _refuse_existing(path, force=self._force)


def check_output(source: str, output: Path | None, errors: Path | None, *, force: bool) -> None:
    """Raise ``WrongUse`` unless the output can be written: before the input is read, which may take long."""
    for path in (output, errors):
        if path is None:
            continue
        if path.is_dir() or not path.parent.is_dir():
            raise WrongUse(f"{path}: the output must be a file in a folder that exists")
        if path.exists() and source != "-" and Path(source).exists() and path.samefile(source):
            raise WrongUse(f"{path} is the input: choose another output")
        if output is None or not beside(output, ".batchyard").exists():
            _refuse_existing(path, force=force)


def _lines(finals: Iterable[Final], write: Callable[[bytes], object], fail: Callable[[bytes], object]) -> Tally:
    tally = Tally()
    for request, line, known in finals:
        tally.add(known)
        write(line + b"\n")
        if known.result.type != "succeeded":
            fail(failed(request, line))
    return tally


def failed(request: bytes, line: bytes) -> bytes:
    """Return the request line with its result as a third member."""
    return request.rstrip()[:-1] + b',"result":' + bytes(_result.decode(line).result) + b"}\n"


def _refuse_existing(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise WrongUse(f"{path} exists: choose another output, or overwrite it with --force")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
