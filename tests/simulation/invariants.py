"""What must hold in every story: each a sentence, claimed again and again while the story is played."""

from collections import Counter
from dataclasses import dataclass, field

INVARIANTS = (
    "counts sum to the total at every reading",
    "no count goes backwards",
    "a batch moves from in_progress to canceling to ended, never back",
    "one request counts as processing until the end",
    "what has ended changes no more",
    "results are the same bytes at every read",
    "every custom_id has one line, in the order of the requests",
    "the lines fit the counts",
    "a succeeded line holds an answer to its own params",
    "a succeeded line's answer was given by the upstream",
    "a request errs only if an attempt of it failed for good",
    "a refused request is not sent again",
    "at most three failures of a request are paid for",
    "an unknown end is repeated at most once",
    "what never started costs nothing: no answered call is repeated",
    "a kill repeats at most as many calls as there are slots",
    "calls in flight never exceed the slots",
    "no call begins at or after the deadline",
    "no call runs longer than the grace after the deadline",
    "a batch ends within a minute of its deadline",
    "no call begins after a cancel was answered",
    "a canceled batch ends when its calls have",
    "an answer in flight at a cancel is kept",
    "the ledger counts every call",
    "a request that was sent twice is marked as a possible duplicate",
    "an acknowledged batch is there until it is deleted",
    "a create that was repeated made one batch",
    "nothing is there that nobody created",
    "a deleted batch is gone for good",
    "a deleted batch leaves no bytes",
    "another workspace sees nothing of it",
    "every file that a batch needs is there",
    "nothing stays that no batch needs",
    "no batch is stuck",
    "a paused batch begins no call",
    "nothing is sent while the disk is short",
    "no call begins without a living lease",
    "results stay until their time",
    "results go when their time is over",
    "no batch expires before its deadline",
    "no jump of the wall clock moves the time of day",
    "nothing expires while deadlines are held",
    "nobody met a bug",
    "a drain cuts no call",
)


class Broken(AssertionError):
    """An invariant does not hold. The first argument is its sentence."""


@dataclass(slots=True)
class Claims:
    """Counts how often each was claimed: one that is never claimed proves nothing."""

    made: Counter[str] = field(default_factory=Counter)
    broken: Broken | None = None
    """The first that did not hold: whoever runs the code that claimed it may swallow the exception."""

    def __call__(self, sentence: str, holds: object, *facts: object) -> None:
        assert sentence in INVARIANTS, f"unknown: {sentence}"
        self.made[sentence] += 1
        if not holds:
            self.broken = self.broken or Broken(sentence, *facts)
            raise self.broken
