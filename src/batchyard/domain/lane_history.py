"""What lanes did, minute by minute: what charts show of them, over a restart too."""

from collections.abc import Iterable, Sequence

import msgspec

from batchyard.domain.lane_state import LaneState

MOST_LANES = 16
"""Lanes that are kept of one minute and process, those with the most in flight: a week of them is some megabytes."""
KEPT_MINUTES = 8 * 24 * 60


class LaneMinute(msgspec.Struct, frozen=True):
    """One lane in one minute since 1970. ``limit``, ``busy`` (slots in use) and ``pending`` are averages over it.

    ``usual`` and ``slow``: half and all but a hundredth of the lane's last answers took no longer, in seconds; None:
    there were none yet.
    """

    minute: int
    lane: str
    limit: float
    busy: float
    pending: float
    usual: float | None = None
    slow: float | None = None


def averaged(minute: int, looks: Sequence[Iterable[LaneState]]) -> list[LaneMinute]:
    """Return what so many looks within a minute come to, for the lanes that had something to do, the busiest first."""
    seen: dict[str, list[LaneState]] = {}
    for look in looks:
        for lane in look:
            if lane.pending or _busy(lane):
                seen.setdefault(lane.lane, []).append(lane)
    found = [_of(minute, lane, states, len(looks)) for lane, states in seen.items()]
    found.sort(key=lambda one: (-one.busy, -one.pending, one.lane))
    return found[:MOST_LANES]


def _of(minute: int, lane: str, states: Sequence[LaneState], looks: int) -> LaneMinute:
    """A look at which the lane had nothing to do counts as none in use; its limit is that of the other looks."""
    last = states[-1]
    return LaneMinute(
        minute,
        lane,
        sum(state.limit for state in states) / len(states),
        sum(map(_busy, states)) / looks,
        sum(state.pending for state in states) / looks,
        last.seconds_usual,
        last.seconds_slow,
    )


def _busy(lane: LaneState) -> int:
    return lane.requests + lane.calls + lane.committing
