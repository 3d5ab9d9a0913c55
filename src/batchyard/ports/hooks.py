"""What tells others of batches: the outbox that forgets nothing, the way out, and what people may ask of both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from batchyard.domain.hooks import Delivery, Hook, Notice, Reply, State, Verdict


@dataclass(frozen=True, slots=True)
class Told:
    """One delivery as the log has it. ``status`` and ``reason`` are of the last try."""

    id: str
    hook: str
    kind: str
    state: State
    tries: int
    created_at: datetime
    tried_at: datetime | None
    again_at: datetime | None
    status: int | None
    reason: str


class Outbox(Protocol):
    """Deliveries, durably. Any verb may raise ``StoreUnavailable``."""

    async def mark(self) -> datetime | None:
        """Return until when the ends of batches were looked through; None before the first time."""

    async def put(self, deliveries: Sequence[Delivery], now: datetime, mark: datetime | None = None) -> int:
        """Keep what is not known yet, due now, and move the mark with it; return how many were new."""

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[Delivery]:
        """Return up to ``limit`` that are due, oldest first. They are due again at ``until``: who takes them may die.

        Each counts as one try more from now on.
        """

    async def tried(self, delivery: Delivery, reply: Reply, verdict: Verdict, now: datetime) -> None:
        """Note what came of the last try."""

    async def log(self, hook: str, limit: int) -> Sequence[Told]:
        """Return the newest deliveries of a hook, newest first."""

    async def waiting(self) -> Mapping[str, int]:
        """Return how many deliveries wait, by hook; hooks for which none does may be missing."""

    async def forget(self, before: datetime) -> int:
        """Delete what was created before then and waits no more; return how many."""

    async def close(self) -> None:
        """Let go. Closing twice is allowed."""


class Post(Protocol):
    """The way out."""

    async def post(self, delivery: Delivery, now: datetime) -> Reply:
        """Sign and send it once to its hook's URL, and say what came of it. Raises nothing but bugs."""

    async def close(self) -> None:
        """Cut what is under way. Closing twice is allowed."""


class Webhooks(Protocol):
    """What people may ask."""

    def hooks(self) -> Sequence[Hook]:
        """Return every hook of the settings."""

    async def log(self, hook: str, limit: int) -> Sequence[Told]:
        """Return its newest deliveries, newest first; or raise ``NotFound``."""

    async def test(self, hook: str) -> Notice:
        """Have a test sent soon, tried as any other; or raise ``NotFound``."""
