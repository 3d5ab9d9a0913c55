"""The owner lock: one server to a data folder. The kernel lets go of it when the process dies, however it dies."""

import fcntl
import os
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from batchyard.domain.errors import DataRefused

NAME = "owner.lock"


class Holder(msgspec.Struct, frozen=True):
    """Who holds a data folder; the address once the server listens.

    ``token`` is what the server takes for a proof that its caller may read the folder, which is its owner's alone.
    """

    pid: int
    host: str
    since: str
    address: str = ""
    token: str = ""

    def __str__(self) -> str:
        listening = f", listening on {self.address}" if self.address else ""
        return f"process {self.pid} on {self.host} since {self.since}{listening}"


@dataclass(slots=True)
class OwnerLock:
    """A held lock. Until ``claim`` the folder is as it was, unless the file had to be made."""

    folder: Path
    _file: int
    _holder: Holder | None = None

    @classmethod
    def take(cls, folder: Path, *, make: bool) -> "OwnerLock | None":
        """Take the folder or raise ``DataRefused`` that names the holder. Without ``make``: None where no file is."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0)
        try:
            file = os.open(folder / NAME, flags, 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(file)
            os.close(file)
            raise DataRefused(
                f"{folder} is held by {holder}; stop that server first, or give this one another data folder."
            ) from None
        return cls(folder, file)

    def claim(self, since: datetime) -> None:
        """Write who holds the folder, for the server that comes second."""
        begun = since.isoformat(timespec="seconds")
        self._write(Holder(os.getpid(), socket.gethostname(), begun, token=secrets.token_hex(32)))

    @property
    def token(self) -> str:
        """What proves that a caller may read the folder."""
        return self._holder.token if self._holder else ""

    def announce(self, address: str) -> None:
        """Add where the holder listens."""
        if self._holder is not None:
            self._write(msgspec.structs.replace(self._holder, address=address))

    def _write(self, holder: Holder) -> None:
        self._holder = holder
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, msgspec.json.encode(holder) + b"\n", 0)

    def release(self) -> None:
        """Let go. The file stays: deleting it would let two servers lock two files of the same name."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def holder(folder: Path) -> Holder | None:
    """Return who holds the folder now, None if nobody does. A held one that cannot be read is nobody's to ask."""
    try:
        file = os.open(folder / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            return msgspec.json.decode(os.pread(file, 4096, 0), type=Holder)
    finally:
        os.close(file)
    return None


def _read(file: int) -> str:
    try:
        return str(msgspec.json.decode(os.pread(file, 4096, 0), type=Holder))
    except (msgspec.MsgspecError, UnicodeDecodeError):  # it was taken this very moment
        return "another server that is just starting"
