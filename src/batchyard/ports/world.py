"""What the core asks of the world around it: who may call, and what time it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes an API call: the workspace, and a hash that stands for the key."""

    workspace: str
    caller: str


class Keys(Protocol):
    """Who may call."""

    async def principal(self, key: str) -> Principal | None:
        """Return whose key this is, or None. Takes the same time for any wrong key."""


class Clock(Protocol):
    """Time. ``now`` never jumps while the process lives, whatever the wall clock does."""

    def now(self) -> datetime:
        """Return the time of day, aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds that only grow."""
