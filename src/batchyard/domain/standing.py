"""What a workspace has in the store at a moment, as an operator sees it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """``running``, ``paused`` and ``canceling`` are batches that have not ended, each in one of the three. They have
    ``open`` requests without a result, ``leased`` of them in flight; the oldest was created at ``oldest``, the first
    deadline is ``soonest``. ``kept`` batches have ended and have their results still. ``bytes`` are bodies and results
    of them all.
    """

    workspace: str
    running: int = 0
    paused: int = 0
    canceling: int = 0
    open: int = 0
    leased: int = 0
    oldest: datetime | None = None
    soonest: datetime | None = None
    kept: int = 0
    bytes: int = 0
