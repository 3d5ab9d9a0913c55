"""What lanes are doing, as an operator sees it: names of members are those of the listing over HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec


@dataclass(frozen=True, slots=True)
class LanePaused:
    """An event: the operator lets no batch use a lane, or all lanes of an upstream; or lets them again."""

    lane: str
    paused: bool


class Trouble(msgspec.Struct, frozen=True):
    """The last thing that went wrong at a lane; ``reason`` holds no prompt and no answer."""

    reason: str
    at: datetime


class LaneState(msgspec.Struct, frozen=True):
    """One upstream and model; an empty ``model`` is one that requests did not name.

    ``state``: ``open``; ``held`` after failures, until ``opens_in`` seconds from now; ``probing`` until a small call
    came back well; ``recovering`` while it opens again; ``paused`` by the operator; ``closed`` at this hour.
    ``waiting``: why ``pending`` requests do not begin: the state's name, or ``slots`` (the operator's limit is in use,
    also by other lanes), ``line`` (enough wait inside the server),
    ``first_token`` (more would keep first tokens back), ``limit`` (the learnt one is in use), ``pace`` (what
    is left of the server's rate limits); None where none is kept waiting. ``limit``: slots that are given out now.
    ``bounded_by``: what made that less than the operator's: ``outage``, ``refusals``, ``queueing``,
    ``first_token``; None: nothing did.

    ``requests``: attempts in flight. ``calls``: calls in flight that somebody waits for. ``committing``: attempts that
    ended and keep their slot until they are stored. ``answers_per_second``: while all was well. ``seconds_usual`` and
    ``seconds_slow``: half and all but a hundredth of the answers to requests took no longer. ``seconds_first``: nine in
    ten first tokens came within it of late, where the upstream has a target for that.
    """

    lane: str
    upstream: str
    model: str
    state: str
    waiting: str | None
    pending: int
    limit: int
    bounded_by: str | None
    requests: int
    calls: int
    committing: int
    opens_in: float | None
    answers_per_second: float | None
    seconds_usual: float | None
    seconds_slow: float | None
    last_trouble: Trouble | None
    seconds_first: float | None = None


class UpstreamState(msgspec.Struct, frozen=True):
    """One upstream. ``limit`` is the operator's, ``share`` this process's part of it; ``taken`` slots are in use.

    ``waiting`` and ``running``: calls inside it, whoever sent them, where it tells. ``room``: how many of ours may be
    there so that its own line stays short; None where nothing bounds them.
    ``carriers``: batches of ours that are under way there, where it takes batches itself.
    """

    upstream: str
    limit: int
    share: int
    taken: int
    open: bool
    paused: bool
    carriers: int | None
    waiting: int | None = None
    running: int | None = None
    room: int | None = None


class Board(msgspec.Struct, frozen=True):
    """All upstreams and lanes of one process; a lane is there from the first request for its model on."""

    upstreams: Sequence[UpstreamState]
    lanes: Sequence[LaneState]
