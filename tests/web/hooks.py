"""Webhooks that stand still: a ``Webhooks`` whose log a test sets, and that notes what it was asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from batchyard.domain.errors import NotFound
from batchyard.domain.hooks import CHOICES, Hook, Kind, Notice, State
from batchyard.ports import Told
from tests.wire.world import NOW


@dataclass
class SetHooks:
    """Implements ``Webhooks``."""

    known: Sequence[Hook]
    told: list[Told]
    tests: list[str] = field(default_factory=list)

    def hooks(self) -> Sequence[Hook]:
        return self.known

    async def log(self, hook: str, limit: int) -> Sequence[Told]:
        if hook not in {each.name for each in self.known}:
            raise NotFound("There is no such webhook.")
        return [told for told in self.told if told.hook == hook][:limit]

    async def test(self, hook: str) -> Notice:
        self.tests.append(hook)
        self.told.insert(0, Told(f"test.{len(self.tests)}", hook, "test", State.WAITING, 0, NOW, None, NOW, None, ""))
        return Notice(f"test.{len(self.tests)}", Kind.TEST, None, b"{}")


def busy_hooks() -> SetHooks:
    """Return webhooks whose deliveries went in every way: of one workspace, of another, of all."""
    every, ends = frozenset(CHOICES), frozenset({Kind.ENDED, Kind.CANCELED})
    hooks = [
        Hook("ops", every, frozenset("*"), "https://hooks.example.com"),
        Hook("search-team", ends, frozenset({"w1"}), "https://chat.example.com"),
        Hook("ads-team", ends, frozenset({"w2"}), "https://ads.example.com:8443"),
    ]
    return SetHooks(hooks, [*_of_ops(), *_of_teams()])


def _of_ops() -> list[Told]:
    batches = ["msgbatch_01XvN8Qm3pAq", "msgbatch_01Wq7Tb5RzKd", "msgbatch_01Vc2Yh9LsPj"]
    ago = [NOW - timedelta(minutes=minutes) for minutes in (2, 41, 300, 1500)]
    return [
        Told(f"{batches[0]}.ended", "ops", "batch.ended", State.WAITING, 2, ago[0], NOW - timedelta(seconds=50),
             NOW + timedelta(seconds=71), 503, "Service Unavailable"),
        Told(f"{batches[1]}.ended", "ops", "batch.canceled", State.DELIVERED, 1, ago[1], ago[1], None, 204,
             "No Content"),
        Told("lane.provider/claude-haiku-4-5.2026030204", "ops", "lane.held", State.DELIVERED, 3, ago[2],
             ago[2] + timedelta(minutes=12), None, 200, "OK"),
        Told(f"{batches[2]}.expiring", "ops", "batch.expiring", State.FAILED, 8, ago[3] - timedelta(hours=25), ago[3],
             None, None, "its name cannot be resolved"),
    ]  # fmt: skip


def _of_teams() -> list[Told]:
    at = NOW - timedelta(minutes=9)
    return [
        Told("msgbatch_01Own.ended", "search-team", "batch.ended", State.DELIVERED, 1, at, at, None, 200, "OK"),
        Told("msgbatch_01Foreign.ended", "ads-team", "batch.ended", State.DELIVERED, 1, at, at, None, 200, "OK"),
    ]
