"""Stories by their numbers: every invariant holds and is claimed, a story replays exactly, a broken one shrinks."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from batchyard.dispatch.attempts import Attempts
from batchyard.dispatch.dispatcher import Dispatcher
from batchyard.store.memory_batch import StoredBatch
from tests.simulation.invariants import INVARIANTS
from tests.simulation.play import played
from tests.simulation.simulate import shrunk, told
from tests.simulation.story import Step, Story, written

SHORT = 8
ROOT = Path(__file__).parents[2]
RARE = {
    "no call runs longer than the grace after the deadline",
    "results go when their time is over",
    "an answer in flight at a cancel is kept",
    "a drain cuts no call",
    "nothing expires while deadlines are held",
    "no batch expires before its deadline",
}
"""Claimed only where a story happens to come to it: not in each few stories."""


def test_no_story_breaks_an_invariant_and_every_invariant_is_claimed() -> None:
    made: Counter[str] = Counter()
    for seed in range(SHORT):
        result = played(written(seed))
        assert result.broken is None, told(written(seed), result.broken)
        made += result.claims.made

    assert len(INVARIANTS) >= 30
    assert {sentence for sentence in INVARIANTS if not made[sentence]} <= RARE


def test_a_story_is_the_same_each_time_in_whatever_process() -> None:
    def trace(hash_seed: str) -> bytes:
        command = [sys.executable, "-m", "tests.simulation.simulate", "3", "5", "--story"]
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        environ = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
        return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=True).stdout

    first = trace("1")

    assert first.count(b"trace ") == 2
    assert trace("2") == first


def test_a_bug_is_told_by_the_smallest_story_that_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def free(self: StoredBatch, row: Any, now: Any) -> None:
        self.release(row, now, paid=0)  # what a death left costs nothing: the bug

    monkeypatch.setattr(StoredBatch, "reclaim", free)
    steps = [
        Step(1.0, "create", 400.0, requests=12, word="w"),
        Step(3.0, "jump", number=3600.0),
        Step(6.0, "kill", 1.0),
        Step(20.0, "cancel"),
    ]
    story = Story(seed=1, limit=2, longest_call=5.0, store_seconds=0.01, odds={"failed": 0.1}, steps=tuple(steps))

    broken = played(story).broken
    assert broken is not None
    least, again = shrunk(story, broken)

    assert again.args[0] == broken.args[0] == "a request that was sent twice is marked as a possible duplicate"
    assert [step.do for step in least.steps] == ["create", "kill"]
    assert least.steps[0].requests < 12
    assert not any(least.odds.values())
    assert "BROKEN: a request that was sent twice" in told(least, again)


def test_a_delete_whose_answer_was_lost_leaves_no_bytes() -> None:
    steps = (
        Step(17.65, "create", 40.0, requests=1, word="v"),
        Step(27.22, "create", 120.0, requests=10, word="v"),
        Step(30.71, "trouble", 45.0, word="delete"),
        Step(57.30, "delete"),
    )

    for seed in range(5162, 5166):
        story = Story(seed=seed, limit=1, longest_call=12.0, steps=steps)
        assert played(story).broken is None


def test_an_invariant_that_breaks_inside_an_attempt_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Attempts, "_may_send", lambda *_: True)
    steps = (
        Step(1.0, "create", 400.0, requests=3, word="w"),
        Step(1.5, "trouble", 60.0, word="beat"),
        Step(2.0, "steal"),
    )

    broken = played(Story(seed=1, limit=1, longest_call=3.0, steps=steps)).broken
    assert broken is None, "the store itself refuses what the attempts no longer look at"
    monkeypatch.setattr(Dispatcher, "_may_lease", lambda *_: True)
    full = (Step(1.0, "create", 400.0, requests=30, word="w"), Step(5.0, "full", 20.0))
    broken = played(Story(seed=1, limit=1, longest_call=3.0, steps=full)).broken

    assert broken is not None
    assert broken.args[0] == "nothing is sent while the disk is short"


@pytest.mark.accept
def test_two_thousand_stories() -> None:
    """Ten thousand take an hour: ``make simulate SEEDS=0-9999``."""
    command = [sys.executable, "-m", "tests.simulation.simulate", "1000-2999", "--jobs", "2"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
