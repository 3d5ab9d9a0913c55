"""The outbox in memory: the reference for the others, and what simulations use."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from batchyard.domain.hooks import Delivery, Reply, State, Verdict
from batchyard.ports import Told


@dataclass(slots=True)
class _Row:
    delivery: Delivery
    created_at: datetime
    due_at: datetime
    state: State = State.WAITING
    tried_at: datetime | None = None
    reply: Reply = field(default_factory=lambda: Reply(None))


class MemoryOutbox:
    """Implements ``Outbox``."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Row] = {}
        self._mark: datetime | None = None

    async def mark(self) -> datetime | None:
        return self._mark

    async def put(self, deliveries: Sequence[Delivery], now: datetime, mark: datetime | None = None) -> int:
        before = len(self._rows)
        for delivery in deliveries:
            self._rows.setdefault((delivery.hook, delivery.notice.id), _Row(delivery, now, now))
        self._mark = self._mark if mark is None else mark
        return len(self._rows) - before

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[Delivery]:
        due = [row for row in self._rows.values() if row.state is State.WAITING and row.due_at <= now]
        taken = sorted(due, key=lambda row: (row.due_at, row.created_at))[:limit]
        for row in taken:
            row.due_at = until
            row.delivery = replace(row.delivery, tries=row.delivery.tries + 1)
        return [row.delivery for row in taken]

    async def tried(self, delivery: Delivery, reply: Reply, verdict: Verdict, now: datetime) -> None:
        row = self._rows[delivery.hook, delivery.notice.id]
        row.state, row.due_at, row.tried_at, row.reply = verdict.state, verdict.again_at or now, now, reply

    async def log(self, hook: str, limit: int) -> Sequence[Told]:
        rows = [row for row in self._rows.values() if row.delivery.hook == hook]
        rows.sort(key=lambda row: (row.created_at, row.delivery.notice.id), reverse=True)
        return [_told(row) for row in rows[:limit]]

    async def waiting(self) -> Mapping[str, int]:
        return Counter(row.delivery.hook for row in self._rows.values() if row.state is State.WAITING)

    async def forget(self, before: datetime) -> int:
        old = [key for key, row in self._rows.items() if row.created_at < before and row.state is not State.WAITING]
        for key in old:
            del self._rows[key]
        return len(old)

    async def close(self) -> None:
        """Nothing is held."""


def _told(row: _Row) -> Told:
    notice = row.delivery.notice
    return Told(
        notice.id,
        row.delivery.hook,
        notice.kind.value,
        row.state,
        row.delivery.tries,
        row.created_at,
        row.tried_at,
        row.due_at if row.state is State.WAITING else None,
        row.reply.status,
        row.reply.reason,
    )
