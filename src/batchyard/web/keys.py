"""Keys: made once, stored as hashes, in a small database of their own.

The command line writes it while a server runs; the server looks again at most a second later.
"""

import asyncio
import hmac
import secrets
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw

from batchyard.domain.access import ALL, USUAL, Key, Scope, key_hash, new_key, scopes_of
from batchyard.domain.errors import DataRefused, InvalidRequest, NotFound, StoreUnavailable
from batchyard.domain.ids import random_id
from batchyard.ports import Clock, Principal

DEFAULT_WORKSPACE = "default"
SECONDS_BETWEEN_READS = 1.0
_VERSION = 2
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
_EXPIRY = "alter table keys add column expires_at text"
_COLUMNS = "id, label, workspace, scopes, created_at, expires_at, revoked_at"


class KeyBook:
    """The keys of one data folder: a ``Keys`` for the server, and the verbs of the command line."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._read_at: float | None = None
        self._reading = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "keys")  # its own: no call waits for its key behind somebody's disk
        self._known: dict[bytes, tuple[bytes, Key]] = {}
        self._made = False
        try:
            self._db = _opened(path)
        except (apsw.Error, OSError) as error:
            raise DataRefused(f"{path} cannot be used as the key database: {error}") from error

    def close(self) -> None:
        """Let go. Closing twice is allowed."""
        self._thread.shutdown()
        self._db.close()

    def create(
        self,
        workspace: str,
        label: str = "",
        scopes: Iterable[str] = USUAL,
        lifetime: timedelta | None = None,
    ) -> tuple[Key, str]:
        """Make a key, good for so long, and return it with the text that is shown once and stored nowhere."""
        secret = new_key(secrets.randbits(256))
        expires_at = None if lifetime is None else self._clock.now() + lifetime
        return self._add(secret, workspace, label, scopes_of(scopes), expires_at), secret

    def rotate(self, key_id: str, keep: timedelta) -> tuple[Key, str]:
        """Make a key that may do the same, and let the old one end after ``keep``, or earlier if it was to."""
        old, now = self._find(key_id), self._clock.now()
        if not old.is_good(now):
            raise InvalidRequest(f"{key_id} was revoked or has expired: make a new key with `batchyard keys create`.")
        secret = new_key(secrets.randbits(256))
        made = self._new(old.workspace, old.label, old.scopes, old.expires_at)
        ends_at = min(now + keep, old.expires_at) if old.expires_at else now + keep
        with self._db:  # both or none: nobody is left without a key, nobody with one too many
            self._insert(made, secret)
            self._rows("update keys set expires_at = ? where id = ?", _text(ends_at), key_id)
        return made, secret

    def import_key(self, secret: str, workspace: str = DEFAULT_WORKSPACE, label: str = "bootstrap") -> Key | None:
        """Store a key that the operator chose, the first time; None where it is known, revoked or not."""
        if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
            raise InvalidRequest("The bootstrap key must be printable ASCII without spaces.")
        known = self._rows("select 1 from keys where sha256 = ?", key_hash(secret))
        return None if known else self._add(secret, workspace, label, ALL, None)

    def listing(self) -> list[Key]:
        """Return every key ever made, oldest first."""
        return [_key(row) for row in self._rows(f"select {_COLUMNS} from keys order by created_at, id")]  # noqa: S608

    def revoke(self, key_id: str) -> Key:
        """End a key. Revoking twice changes nothing; its batches stay with the workspace."""
        self._rows(
            "update keys set revoked_at = coalesce(revoked_at, ?) where id = ?", _text(self._clock.now()), key_id
        )
        return self._find(key_id)

    def any_made(self) -> bool:
        """Whether a key was ever made: from then on one is required."""
        return bool(self._rows("select 1 from keys limit 1"))

    async def principal(self, key: str) -> Principal | None:
        """Return whose key this is, at most a second after it was made or revoked elsewhere."""
        await self._refresh()
        digest = key_hash(key)
        known, found = self._known.get(digest, (bytes(32), None))
        if not hmac.compare_digest(known, digest) or found is None or not found.is_good(self._clock.now()):
            return None
        return Principal(found.workspace, digest.hex(), found.scopes)

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
                self._known, self._made = await reading
                self._read_at = began

    def _is_fresh(self) -> bool:
        return self._read_at is not None and self._clock.monotonic() - self._read_at < SECONDS_BETWEEN_READS

    def _rows(self, statement: str, *values: str | bytes | None) -> list[tuple[Any, ...]]:
        try:
            return list(self._db.execute(statement, values))
        except apsw.Error as error:
            raise StoreUnavailable(f"the key database cannot be read or written: {error}") from error

    def _read(self) -> tuple[dict[bytes, tuple[bytes, Key]], bool]:
        rows = self._rows(f"select sha256, {_COLUMNS} from keys")  # noqa: S608 our own column names
        keys = {digest: (digest, _key(columns)) for digest, *columns in rows}
        return {digest: one for digest, one in keys.items() if one[1].revoked_at is None}, bool(rows)

    def _find(self, key_id: str) -> Key:
        for row in self._rows(f"select {_COLUMNS} from keys where id = ?", key_id):  # noqa: S608
            return _key(row)
        raise NotFound(f"No key has the id {key_id[:100]}.")

    def _add(
        self, secret: str, workspace: str, label: str, scopes: frozenset[Scope], expires_at: datetime | None
    ) -> Key:
        key = self._new(workspace, label, scopes, expires_at)
        self._insert(key, secret)
        return key

    def _new(self, workspace: str, label: str, scopes: frozenset[Scope], expires_at: datetime | None) -> Key:
        if not workspace or not workspace.isprintable() or len(workspace) > 100 or len(label) > 200:
            raise InvalidRequest("A workspace's name has 1 to 100 printable characters, a label at most 200.")
        if not scopes:
            raise InvalidRequest(f"A key needs at least one scope: {', '.join(Scope)}.")
        now = self._clock.now()
        return Key(random_id("key_", secrets.randbits(144)), label, workspace, scopes, now, expires_at)

    def _insert(self, key: Key, secret: str) -> None:
        self._rows(
            "insert into keys (id, sha256, label, workspace, scopes, created_at, expires_at)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            *(key.id, key_hash(secret), key.label, key.workspace, " ".join(key.scope_words)),
            *(_text(key.created_at), _text(key.expires_at)),
        )


class OpenUntilFirstKey:
    """A ``Keys`` for loopback: any key means the workspace ``default`` until one is made; from then on one of those."""

    def __init__(self, book: KeyBook) -> None:
        self._book = book

    async def principal(self, key: str) -> Principal | None:
        if key and await self._book.is_open():
            return Principal(DEFAULT_WORKSPACE, key_hash(key).hex(), ALL)
        return await self._book.principal(key)


class OpenKeys:
    """A ``Keys`` that takes any key for the workspace ``default``."""

    async def principal(self, key: str) -> Principal | None:
        return Principal(DEFAULT_WORKSPACE, key_hash(key).hex(), ALL) if key else None


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
        if (
            version < _VERSION
            and not db.execute("select 1 from pragma_table_info('keys') where name = 'expires_at'").get
        ):
            db.execute(_EXPIRY)
        db.pragma("user_version", _VERSION)
    return db


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _key(row: Sequence[Any]) -> Key:
    key_id, label, workspace, scopes, created_at, *ends = row
    expires_at, revoked_at = (None if text is None else datetime.fromisoformat(text) for text in ends)
    may = scopes_of(scopes.split()) or USUAL  # a key of a version without scopes
    return Key(key_id, label, workspace, may, datetime.fromisoformat(created_at), expires_at, revoked_at)
