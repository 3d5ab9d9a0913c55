"""Keys: made once, stored as hashes; the command line makes them while a server runs.

Where they lie is a ``KeyShelf``: a file in the data folder, or the database. The server looks again at most a second
later.
"""

import asyncio
import hmac
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

from batchyard.domain.access import ALL, USUAL, Key, Scope, key_hash, new_key, scopes_of
from batchyard.domain.errors import InvalidRequest, NotFound
from batchyard.domain.ids import random_id
from batchyard.ports import Clock, KeyShelf, Principal
from batchyard.web.key_file import KeyFile

DEFAULT_WORKSPACE = "default"
SECONDS_BETWEEN_READS = 1.0


class KeyBook:
    """A ``Keys`` for the server, and the verbs of the command line, over one shelf; a path means a file there."""

    def __init__(self, shelf: KeyShelf | Path, clock: Clock) -> None:
        self._clock = clock
        self._read_at: float | None = None
        self._reading = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "keys")  # its own: no call waits for its key behind somebody's disk
        self._known: dict[bytes, tuple[bytes, Key]] = {}
        self._made = False
        self._shelf = KeyFile(shelf) if isinstance(shelf, Path) else shelf

    def close(self) -> None:
        """Let go. Closing twice is allowed."""
        self._thread.shutdown()
        self._shelf.close()

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
        # both or none: nobody is left without a key, nobody with one too many
        self._shelf.add(made, key_hash(secret), (key_id, ends_at))
        return made, secret

    def import_key(self, secret: str, workspace: str = DEFAULT_WORKSPACE, label: str = "bootstrap") -> Key | None:
        """Store a key that the operator chose, the first time; None where it is known, revoked or not."""
        if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
            raise InvalidRequest("The bootstrap key must be printable ASCII without spaces.")
        known = key_hash(secret) in (digest for digest, _ in self._shelf.all())
        return None if known else self._add(secret, workspace, label, ALL, None)

    def listing(self) -> list[Key]:
        """Return every key ever made, oldest first."""
        return [key for _, key in self._shelf.all()]

    def revoke(self, key_id: str) -> Key:
        """End a key. Revoking twice changes nothing; its batches stay with the workspace."""
        self._shelf.revoke(key_id, self._clock.now())
        return self._find(key_id)

    def any_made(self) -> bool:
        """Whether a key was ever made: from then on one is required."""
        return bool(self._shelf.all())

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

    def _read(self) -> tuple[dict[bytes, tuple[bytes, Key]], bool]:
        keys = self._shelf.all()
        return {digest: (digest, key) for digest, key in keys if key.revoked_at is None}, bool(keys)

    def _find(self, key_id: str) -> Key:
        for key in self.listing():
            if key.id == key_id:
                return key
        raise NotFound(f"No key has the id {key_id[:100]}.")

    def _add(
        self, secret: str, workspace: str, label: str, scopes: frozenset[Scope], expires_at: datetime | None
    ) -> Key:
        key = self._new(workspace, label, scopes, expires_at)
        self._shelf.add(key, key_hash(secret))
        return key

    def _new(self, workspace: str, label: str, scopes: frozenset[Scope], expires_at: datetime | None) -> Key:
        if not workspace or not workspace.isprintable() or len(workspace) > 100 or len(label) > 200:
            raise InvalidRequest("A workspace's name has 1 to 100 printable characters, a label at most 200.")
        if not scopes:
            raise InvalidRequest(f"A key needs at least one scope: {', '.join(Scope)}.")
        now = self._clock.now()
        return Key(random_id("key_", secrets.randbits(144)), label, workspace, scopes, now, expires_at)


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
