"""Lanes that stand still: a ``LaneDesk`` whose board a test sets, and that notes what it was asked."""

from dataclasses import dataclass, field
from datetime import timedelta
from math import sin

from batchyard.domain.errors import NotFound
from batchyard.domain.lane_history import LaneMinute
from batchyard.domain.lane_state import Board, LaneState, Trouble, UpstreamState
from tests.wire.world import NOW, World


@dataclass
class SetDesk:
    """Implements ``LaneDesk``."""

    shown: Board
    asked: list[tuple[str, str | None, bool]] = field(default_factory=list)

    def board(self) -> Board:
        return self.shown

    async def pause(self, upstream: str, model: str | None, *, paused: bool) -> str:
        if upstream not in {each.upstream for each in self.shown.upstreams}:
            raise NotFound(f"There is no upstream {upstream[:100]}.")
        self.asked.append((upstream, model, paused))
        return upstream if model is None else f"{upstream}/{model}"


def a_lane(upstream: str, model: str, state: str = "open", **more: object) -> LaneState:
    """Return a lane that does well, but for what is said."""
    usual: dict[str, object] = {
        "waiting": None, "pending": 0, "limit": 64, "bounded_by": None, "requests": 41, "calls": 0, "committing": 2,
        "opens_in": None, "answers_per_second": 22.4, "seconds_usual": 1.72, "seconds_slow": 4.9, "last_trouble": None,
    }  # fmt: skip
    return LaneState(f"{upstream}/{model}", upstream, model, state, **{**usual, **more})  # type: ignore[arg-type]


def busy_desk() -> SetDesk:
    """Return lanes in every state."""
    trouble = Trouble("overloaded_error: Overloaded", NOW - timedelta(minutes=3))
    lanes = [
        a_lane("local", "Qwen/Qwen3-8B", waiting="limit", pending=1210, limit=48, bounded_by="queueing"),
        a_lane("local", "gemma-3-12b", requests=0, committing=0, answers_per_second=None, calls=1),
        a_lane("provider", "claude-haiku-4-5", "held", waiting="held", pending=356, requests=0, committing=0,
               limit=1, bounded_by="outage", opens_in=24.0, last_trouble=trouble),
        a_lane("provider", "claude-sonnet-4-5", "paused", waiting="paused", pending=90, requests=3, committing=0),
    ]  # fmt: skip
    upstreams = [
        UpstreamState("local", 64, 64, 44, open=True, paused=False, carriers=None),
        UpstreamState("provider", 200, 100, 3, open=True, paused=False, carriers=None),
        UpstreamState("overnight", 8, 8, 0, open=False, paused=False, carriers=2),
    ]
    return SetDesk(Board(upstreams, lanes))


async def keep_history(world: World, hours: int = 12) -> None:
    """Let two lanes have worked for so many hours: one that grew and met its limit, one with a gap."""
    now = int(NOW.timestamp()) // 60
    for back in range(hours * 60, 0, -1):
        minute, wave = now - back, 0.5 + 0.5 * sin(back / 47)
        limit = 32.0 if back > 400 else 48.0
        rows = [LaneMinute(minute, "local/Qwen/Qwen3-8B", limit, limit * (0.55 + 0.45 * wave), 900 * wave + 30,
                           1.2 + 0.6 * wave, 3.5 + 1.6 * wave)]  # fmt: skip
        if not 120 < back < 200:
            rows.append(LaneMinute(minute, "provider/claude-haiku-4-5", 20.0, 6.0 + 4 * wave, 0.0, 0.9, 2.2))
        await world.store.lane_history.note("engine", rows)
