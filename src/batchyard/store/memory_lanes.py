"""The lanes that the operator paused, in the reference store."""

from collections.abc import Sequence


class MemoryLanePauses:
    """A ``LanePauses``."""

    def __init__(self) -> None:
        self._paused_lanes: set[str] = set()

    async def pause_lane(self, lane: str, *, paused: bool) -> None:
        (self._paused_lanes.add if paused else self._paused_lanes.discard)(lane)

    async def paused_lanes(self) -> Sequence[str]:
        return sorted(self._paused_lanes)
