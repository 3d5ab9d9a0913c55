"""What is kept of lanes, and what a person may see and do with them."""

from collections.abc import Sequence
from typing import Protocol

from batchyard.domain.engine_line import EngineLoad
from batchyard.domain.lane_history import LaneMinute
from batchyard.domain.lane_state import Board


class LanePauses(Protocol):
    """Which lanes the operator has paused. Kept by the store, so that every owner knows, and the next start too.

    A name is an upstream's, for all its lanes, or ``upstream/model``.
    """

    async def pause_lane(self, lane: str, *, paused: bool) -> None:
        """Note it. Pausing twice, or resuming what is not paused, changes nothing."""

    async def paused_lanes(self) -> Sequence[str]:
        """Return those that are paused, in order."""


class LaneHistory(Protocol):
    """What lanes did, by the minute, for a week at least."""

    async def note(self, owner: str, minutes: Sequence[LaneMinute]) -> None:
        """Keep what an owner saw of its lanes; what is kept of the same minute, lane and owner gives way.

        Forgets minutes that are more than ``KEPT_MINUTES`` before the last of these.
        """

    async def lanes(self, first: int) -> Sequence[str]:
        """Return the names of the lanes that have a minute from ``first`` on, in order."""

    async def minutes(self, lane: str, first: int) -> Sequence[LaneMinute]:
        """Return a lane's minutes since 1970 from ``first`` on, in order, over all owners.

        Limits and slots in use are added up. Waiting requests and times are the largest of any owner's: each sees the
        same line.
        """


class LaneDesk(Protocol):
    """The lanes of this process, for the operator."""

    def board(self) -> Board:
        """Return what they are doing now."""

    async def pause(self, upstream: str, model: str | None, *, paused: bool) -> str:
        """Let no batch use a lane, or no lane of an upstream (``model`` None), until it is resumed; return its name.

        Calls in flight go on, and so do those that somebody waits for. Other owners follow with their next heartbeat.
        Raises ``NotFound`` for what is not there.
        """


class EngineGauge(Protocol):
    """What a model server tells of the calls inside it."""

    async def load(self) -> EngineLoad | None:
        """Return it as of now, within seconds; None where it tells nothing, whatever the reason. Costs no slot."""

    async def close(self) -> None:
        """Let go of everything. Closing twice is allowed."""
