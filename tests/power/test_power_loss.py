"""The power goes at random moments of a small whole life: nothing is corrupt, nothing that was told is lost."""

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from batchyard.domain.errors import NotFound
from batchyard.store import database
from batchyard.store.writer import Job, Outcome, Writer
from tests.power.disk import Told
from tests.power.life import Lost, crash, recorded

MEMORY = Path("/dev/shm")


def lose_power(*, life: int, seeds: range) -> int:
    """Crash one life so often; return how many entries its record has."""
    with recorded(life) as record, TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        for seed in seeds:
            crash(record, seed, Path(scratch))
        told = {entry.what for entry in record.entries if isinstance(entry, Told)}
        assert told == {"created", "canceled", "counted", "ended", "deleting", "deleted"}
        return len(record.entries)


@pytest.mark.parametrize("life", [1, 2])
def test_whatever_a_power_loss_leaves_is_sound_and_has_all_that_was_told(life: int) -> None:
    assert lose_power(life=life, seeds=range(120)) > 500


def early(self: Writer, group: Sequence[Job]) -> list[Outcome]:
    """Commit, but tell everybody before: the bug that this harness is for."""
    self._connection.execute("begin immediate")
    outcomes = [self._attempt(job, alone=len(group) == 1) for job in group]
    self._acknowledge(group, outcomes)
    time.sleep(0.02)
    if self._connection.in_transaction:
        self._connection.execute("commit")
    return outcomes


def test_an_answer_that_comes_before_its_commit_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Writer, "_commit", early)

    with pytest.raises((Lost, NotFound)):  # by a crash, or by whoever asks at once for what was told
        lose_power(life=3, seeds=range(1500))


def test_a_commit_that_is_not_synced_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WRITER", {**database.WRITER, "synchronous": 1})

    with pytest.raises(Lost, match="crash"):
        lose_power(life=4, seeds=range(1500))


@pytest.mark.accept
def test_a_hundred_thousand_power_losses() -> None:
    for life in range(100, 150):
        lose_power(life=life, seeds=range(2000))
