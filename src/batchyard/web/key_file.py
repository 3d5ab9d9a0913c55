"""The keys of a data folder: a small database of their own, which the command line writes while a server runs."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw

from batchyard.domain.access import USUAL, Key, scopes_of
from batchyard.domain.errors import DataRefused, StoreUnavailable

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
_SEAL = """
create table if not exists secrets (
    only integer primary key check (only = 1),
    secret blob not null check (length(secret) = 32)
) strict
"""
_EXPIRY = "alter table keys add column expires_at text"
_COLUMNS = "id, label, workspace, scopes, created_at, expires_at, revoked_at"


class KeyFile:
    """A ``KeyShelf``. Raises ``DataRefused`` where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        try:
            self._db = _opened(path)
        except (apsw.Error, OSError) as error:
            raise DataRefused(f"{path} cannot be used as the key database: {error}") from error

    def close(self) -> None:
        self._db.close()

    def all(self) -> Sequence[tuple[bytes, Key]]:
        rows = self._rows(f"select sha256, {_COLUMNS} from keys order by created_at, id")  # noqa: S608 our own names
        return [(digest, _key(columns)) for digest, *columns in rows]

    def add(self, key: Key, sha256: bytes, ending: tuple[str, datetime] | None = None) -> None:
        with self._db:
            self._rows(
                "insert into keys (id, sha256, label, workspace, scopes, created_at, expires_at)"
                " values (?, ?, ?, ?, ?, ?, ?)",
                *(key.id, sha256, key.label, key.workspace, " ".join(key.scope_words)),
                *(_text(key.created_at), _text(key.expires_at)),
            )
            if ending is not None:
                self._rows("update keys set expires_at = ? where id = ?", _text(ending[1]), ending[0])

    def revoke(self, key_id: str, at: datetime) -> None:
        self._rows("update keys set revoked_at = coalesce(revoked_at, ?) where id = ?", _text(at), key_id)

    def secret(self) -> bytes:
        self._rows("insert or ignore into secrets values (1, ?)", secrets.token_bytes(32))
        [[secret]] = self._rows("select secret from secrets")
        return bytes(secret)

    def _rows(self, statement: str, *values: str | bytes | None) -> list[tuple[Any, ...]]:
        try:
            return list(self._db.execute(statement, values))
        except apsw.Error as error:
            raise StoreUnavailable(f"the key database cannot be read or written: {error}") from error


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
        db.execute(_SEAL)
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
