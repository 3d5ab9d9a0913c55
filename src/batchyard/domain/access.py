"""What a key may do, and what a key looks like.

A key is ``byk_``, 43 base-62 characters of 256 random bits, and 6 of a checksum, by which secret scanners can tell it
from other text. It is shown once and kept as a hash.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from batchyard.domain.errors import InvalidRequest
from batchyard.domain.ids import base62

PREFIX = "byk_"


class Scope(StrEnum):
    """What a key may be for. ``admin`` is the server itself (metrics, lanes), and no batch."""

    SUBMIT = "submit"
    READ = "read"
    CANCEL = "cancel"
    DELETE = "delete"
    ADMIN = "admin"


USUAL = frozenset({Scope.SUBMIT, Scope.READ, Scope.CANCEL, Scope.DELETE})
"""What a key may do where nothing else is said: all there is to do with batches."""
ALL = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it can be listed: never the key itself, which nobody has any more."""

    id: str
    label: str
    workspace: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def scope_words(self) -> list[str]:
        """The scopes' names, always in the same order."""
        return [scope.value for scope in Scope if scope in self.scopes]

    def is_good(self, now: datetime) -> bool:
        """Whether it still opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def new_key(entropy: int) -> str:
    """Return a key; ``entropy`` is 256 random bits."""
    secret = base62(entropy, 43)
    return f"{PREFIX}{secret}{_checksum(secret)}"


def is_well_formed(key: str) -> bool:
    """Whether the text is a key of ours by its form; whether it is known is another question."""
    secret, checksum = key[len(PREFIX) : -6], key[-6:]
    return key.startswith(PREFIX) and len(secret) == 43 and _checksum(secret) == checksum


def key_hash(key: str) -> bytes:
    """Return what is kept of a key. No salt and no stretching: 256 random bits cannot be guessed."""
    return sha256(key.encode()).digest()


def scopes_of(words: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes that these words name; ``all`` is every one."""
    named: set[Scope] = set()
    for word in words:
        if word == "all":
            named |= ALL
        elif word in set(Scope):
            named.add(Scope(word))
        else:
            raise InvalidRequest(f"There is no scope {word[:40]!r}: use {', '.join(Scope)} or all.")
    return frozenset(named)


def _checksum(secret: str) -> str:
    return base62(zlib.crc32(secret.encode()), 6)
