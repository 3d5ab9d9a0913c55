"""Keys: made once, stored as hashes, in a small database of their own.

The command line writes it while a server runs; the server looks again at most a second later. A key is ``byk_``, 43
base-62 characters of 256 random bits, and 6 of a checksum, by which secret scanners can tell it from other text.
"""

import asyncio
import hmac
import secrets
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw

from batchyard.domain.errors import DataRefused, InvalidRequest, NotFound, StoreUnavailable
from batchyard.domain.ids import base62, random_id
from batchyard.ports import Clock, Principal

PREFIX = "byk_"
DEFAULT_WORKSPACE = "default"
SECONDS_BETWEEN_READS = 1.0
_VERSION = 1
_SCHEMA = """
create table if not exists keys (
    id text primary key,
    sha256 blob not null unique check (length(sha256) = 32),
    label text not null,
    workspace text not null,
    scopes text not null default '',
    created_at text not null,
    revoked_at text
) strict
"""


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it can be listed: never the key itself, which nobody has any more."""

    id: str
    label: str
    workspace: str
    created_at: datetime
    revoked_at: datetime | None


def new_key(entropy: int) -> str:
    """Return a key; ``entropy`` is 256 random bits."""
    secret = base62(entropy, 43)
    return f"{PREFIX}{secret}{_checksum(secret)}"


def is_well_formed(key: str) -> bool:
    """Whether the text is a key of ours by its form; whether it is known is another question."""
    secret, checksum = key[len(PREFIX) : -6], key[-6:]
    return key.startswith(PREFIX) and len(secret) == 43 and _checksum(secret) == checksum


class KeyBook:
    """The keys of one data folder: a ``Keys`` for the server, and the verbs of the command line."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._read_at: float | None = None
        self._reading = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "keys")  # its own: no call waits for its key behind somebody's disk
        self._live: dict[bytes, tuple[bytes, str]] = {}
        self._made = False
        try:
            self._db = _opened(path)
        except (apsw.Error, OSError) as error:
            raise DataRefused(f"{path} cannot be used as the key database: {error}") from error

    def close(self) -> None:
        """Let go. Closing twice is allowed."""
        self._thread.shutdown()
        self._db.close()

    def create(self, workspace: str, label: str = "") -> tuple[Key, str]:
        """Make a key and return it with the text that is shown once and stored nowhere."""
        secret = new_key(secrets.randbits(256))
        return self._add(secret, workspace, label), secret

    def import_key(self, secret: str, workspace: str = DEFAULT_WORKSPACE, label: str = "bootstrap") -> Key | None:
        """Store a key that the operator chose, the first time; None where it is known, revoked or not."""
        if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
            raise InvalidRequest("The bootstrap key must be printable ASCII without spaces.")
        known = self._rows("select 1 from keys where sha256 = ?", _hash(secret))
        return None if known else self._add(secret, workspace, label)

    def listing(self) -> list[Key]:
        """Return every key ever made, oldest first."""
        rows = self._rows("select id, label, workspace, created_at, revoked_at from keys order by created_at, id")
        return [_key(*row) for row in rows]

    def revoke(self, key_id: str) -> Key:
        """End a key. Revoking twice changes nothing; its batches stay with the workspace."""
        moment = self._clock.now().astimezone(UTC).isoformat()
        self._rows("update keys set revoked_at = coalesce(revoked_at, ?) where id = ?", moment, key_id)
        for key in self.listing():
            if key.id == key_id:
                return key
        raise NotFound(f"No key has the id {key_id}.")

    def any_made(self) -> bool:
        """Whether a key was ever made: from then on one is required."""
        return bool(self._rows("select 1 from keys limit 1"))

    async def principal(self, key: str) -> Principal | None:
        """Return whose key this is, at most a second after it was made or revoked elsewhere."""
        await self._refresh()
        digest = _hash(key)
        known, workspace = self._live.get(digest, (bytes(32), ""))
        return Principal(workspace, digest.hex()) if hmac.compare_digest(known, digest) else None

    async def is_open(self) -> bool:
        """Whether no key was made yet."""
        await self._refresh()
        return not self._made

    async def _refresh(self) -> None:
        if self._is_fresh():
            return
        async with self._reading:
            if not self._is_fresh():
                began = self._clock.monotonic()
                reading = asyncio.get_running_loop().run_in_executor(self._thread, self._read)
                self._live, self._made = await reading
                self._read_at = began

    def _is_fresh(self) -> bool:
        return self._read_at is not None and self._clock.monotonic() - self._read_at < SECONDS_BETWEEN_READS

    def _rows(self, statement: str, *values: str | bytes) -> list[tuple[Any, ...]]:
        try:
            return list(self._db.execute(statement, values))
        except apsw.Error as error:
            raise StoreUnavailable(f"the key database cannot be read or written: {error}") from error

    def _read(self) -> tuple[dict[bytes, tuple[bytes, str]], bool]:
        rows = self._rows("select sha256, workspace, revoked_at from keys")
        live = {digest: (digest, workspace) for digest, workspace, revoked_at in rows if revoked_at is None}
        return live, bool(rows)

    def _add(self, secret: str, workspace: str, label: str) -> Key:
        if not workspace or not workspace.isprintable() or len(workspace) > 100 or len(label) > 200:
            raise InvalidRequest("A workspace's name has 1 to 100 printable characters, a label at most 200.")
        key = Key(random_id("key_", secrets.randbits(144)), label, workspace, self._clock.now(), None)
        created_at = key.created_at.astimezone(UTC).isoformat()
        self._rows(
            "insert into keys (id, sha256, label, workspace, created_at) values (?, ?, ?, ?, ?)",
            *(key.id, _hash(secret), label, workspace, created_at),
        )
        return key


class OpenUntilFirstKey:
    """A ``Keys`` for loopback: any key means the workspace ``default`` until one is made; from then on one of those."""

    def __init__(self, book: KeyBook) -> None:
        self._book = book

    async def principal(self, key: str) -> Principal | None:
        if key and await self._book.is_open():
            return Principal(DEFAULT_WORKSPACE, _hash(key).hex())
        return await self._book.principal(key)


class OpenKeys:
    """A ``Keys`` that takes any key for the workspace ``default``."""

    async def principal(self, key: str) -> Principal | None:
        return Principal(DEFAULT_WORKSPACE, _hash(key).hex()) if key else None


def _opened(path: Path) -> apsw.Connection:
    db = apsw.Connection(str(path))
    path.chmod(0o600)
    db.set_busy_timeout(2000)
    version = db.pragma("user_version")
    if version > _VERSION:
        raise DataRefused(f"{path} was written by a newer Batchyard: use that version, or another data folder")
    wanted = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}
    for pragma, value in wanted.items():
        db.pragma(pragma, value)
        assert db.pragma(pragma) == value, f"{pragma} is {db.pragma(pragma)}"
    with db:
        db.execute(_SCHEMA)
        db.pragma("user_version", _VERSION)
    return db


def _hash(key: str) -> bytes:
    return sha256(key.encode()).digest()


def _checksum(secret: str) -> str:
    return base62(zlib.crc32(secret.encode()), 6)


def _key(key_id: str, label: str, workspace: str, created_at: str, revoked_at: str | None) -> Key:
    ended = datetime.fromisoformat(revoked_at) if revoked_at else None
    return Key(key_id, label, workspace, datetime.fromisoformat(created_at), ended)
