"""What the reference store keeps of lanes: which the operator paused, and what they did."""

from collections.abc import Sequence

from batchyard.domain.lane_history import KEPT_MINUTES, LaneMinute


class MemoryLanePauses:
    """A ``LanePauses``."""

    def __init__(self) -> None:
        self._paused_lanes: set[str] = set()

    async def pause_lane(self, lane: str, *, paused: bool) -> None:
        (self._paused_lanes.add if paused else self._paused_lanes.discard)(lane)

    async def paused_lanes(self) -> Sequence[str]:
        return sorted(self._paused_lanes)


class MemoryLaneHistory:
    """A ``LaneHistory``."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str, str], LaneMinute] = {}

    async def note(self, owner: str, minutes: Sequence[LaneMinute]) -> None:
        self._kept |= {(one.minute, one.lane, owner): one for one in minutes}
        first = max((one.minute for one in minutes), default=0) - KEPT_MINUTES
        self._kept = {key: one for key, one in self._kept.items() if one.minute >= first}

    async def lanes(self, first: int) -> Sequence[str]:
        return sorted({one.lane for one in self._kept.values() if one.minute >= first})

    async def minutes(self, lane: str, first: int) -> Sequence[LaneMinute]:
        found: dict[int, list[LaneMinute]] = {}
        for one in self._kept.values():
            if one.lane == lane and one.minute >= first:
                found.setdefault(one.minute, []).append(one)
        return [_over_all(found[minute]) for minute in sorted(found)]


def _over_all(seen: Sequence[LaneMinute]) -> LaneMinute:
    return LaneMinute(
        seen[0].minute,
        seen[0].lane,
        sum(one.limit for one in seen),
        sum(one.busy for one in seen),
        max(one.pending for one in seen),
        max((one.usual for one in seen if one.usual is not None), default=None),
        max((one.slow for one in seen if one.slow is not None), default=None),
    )
