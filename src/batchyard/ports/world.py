"""What the core asks of the world around it: who may call, and what time it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from batchyard.domain.access import Key, Scope


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes an API call: the workspace, a hash that stands for the key, and what the key may do."""

    workspace: str
    caller: str
    scopes: frozenset[Scope]


class Keys(Protocol):
    """Who may call."""

    async def principal(self, key: str) -> Principal | None:
        """Return whose key this is; None if it is unknown, revoked or expired, all in the same time."""


class KeyShelf(Protocol):
    """Where keys are kept, as hashes. Blocks; every verb may raise ``StoreUnavailable``."""

    def all(self) -> Sequence[tuple[bytes, Key]]:
        """Return every key ever made with its hash, oldest first."""

    def add(self, key: Key, sha256: bytes, ending: tuple[str, datetime] | None = None) -> None:
        """Store a key, and let another one (its id) end then: both or none."""

    def revoke(self, key_id: str, at: datetime) -> None:
        """End a key; the first end stays, and an unknown id is nothing."""

    def secret(self) -> bytes:
        """Return 32 random bytes, made at the first call: the same ones for everybody who shares these keys."""

    def close(self) -> None:
        """Let go. Closing twice is allowed."""


class Clock(Protocol):
    """Time. ``now`` never jumps while the process lives, whatever the wall clock does."""

    def now(self) -> datetime:
        """Return the time of day, aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds that only grow."""


class Space(Protocol):
    """Room where data is kept."""

    def spare(self) -> int:
        """Return how many bytes may be written before what is held back is touched; below 0: it is touched already.

        Quick, and raises nothing. Held back is what the end of the batches takes that are stored, and a reserve.
        """
