"""Choices that look free and are not: the same key gives the same rolls in every process and version of Python."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from batchyard.domain.ids import base62

_MASK = (1 << 64) - 1
_Chosen = TypeVar("_Chosen")


class Dice:
    """A small deterministic generator (splitmix64) behind a hash of what it is keyed with."""

    def __init__(self, key: bytes, *, seed: int = 0) -> None:
        self.digest = hashlib.blake2b(key, digest_size=32, salt=seed.to_bytes(16, "big", signed=True)).digest()
        self._state = int.from_bytes(self.digest[:8], "big")

    def roll(self, sides: int) -> int:
        """Return a number from 0 to ``sides`` - 1."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return (mixed ^ (mixed >> 31)) % sides

    def pick(self, choices: Sequence[_Chosen]) -> _Chosen:
        """Return one of the choices."""
        return choices[self.roll(len(choices))]

    def simulated_id(self, prefix: str, nth: int = 0) -> str:
        """Return ``prefix`` and 24 base-62 characters that say what made it; the same for the same key and ``nth``."""
        own = int.from_bytes(self.digest[8:24], "big") + nth
        return f"{prefix}01Simulated{base62(own, 13)}"
