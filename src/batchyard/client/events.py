"""What a job tells while it goes on."""

from collections.abc import Callable
from dataclasses import dataclass

from batchyard.client.replies import Counts
from batchyard.client.tally import Tally


@dataclass(frozen=True, slots=True)
class Checked:
    """The input is right. ``known`` of its batches were created by an earlier run."""

    requests: int
    batches: int
    known: int


@dataclass(frozen=True, slots=True)
class Created:
    """One more batch of the job is on the server: the ``number``-th of so many."""

    batch_id: str
    number: int
    batches: int
    requests: int


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A create was not answered; one of these batches may be its. It is waited for, and then known by its results."""

    batch_ids: tuple[str, ...]
    requests: int


@dataclass(frozen=True, slots=True)
class Full:
    """The server takes no more at the moment: the rest is created once there is room."""

    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call failed for a reason that may pass, and is made again after so many seconds."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Counted:
    """Where all batches of this round together stand, and what the results of all rounds that are here come to."""

    counts: Counts
    fetched: Tally


@dataclass(frozen=True, slots=True)
class Fetched:
    """The results of one more batch are here."""

    batch_id: str
    requests: int


@dataclass(frozen=True, slots=True)
class SentAgain:
    """So many requests did not succeed, and may the next time: they go into batches again."""

    requests: int
    batches: int


@dataclass(frozen=True, slots=True)
class Collecting:
    """All batches have ended; the output is being written."""

    requests: int


Event = Checked | Created | Doubtful | Full | Waiting | Counted | Fetched | SentAgain | Collecting
Tell = Callable[[Event], None]
