"""What is told of a job while it goes on."""

import pytest

from batchyard.cli.live import LONGEST_STILL, Live
from batchyard.client.replies import Counts


class Job:
    """Shows looks at a job of a hundred requests at seconds of its own; ``words`` are what was told of a standstill."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured
        self._now = 1000.0
        monkeypatch.setattr("batchyard.cli.live.time.monotonic", lambda: self._now)
        self._live = Live()

    def look(self, seconds: float, finished: int) -> None:
        self._now = 1000.0 + seconds
        self._live.count(Counts(processing=100 - finished, succeeded=finished))

    @property
    def words(self) -> list[str]:
        return [line for line in self._captured.readouterr().err.splitlines() if "no request has ended" in line]


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Job:
    return Job(monkeypatch, capsys)


def test_a_standstill_is_told_once_with_where_its_reason_is(job: Job) -> None:
    for seconds in range(0, 600, 10):
        job.look(seconds, 0)

    [told] = job.words
    assert told.startswith(f"no request has ended for {LONGEST_STILL:.0f} s;")
    assert "`batchyard show BATCH`" in told
    assert "`batchyard lanes list`" in told


def test_each_standstill_is_told_and_a_slow_job_is_none(job: Job) -> None:
    for number in range(10):
        job.look(number * (LONGEST_STILL - 1), number)
    assert job.words == []

    job.look(1000, 9)
    assert len(job.words) == 1
    job.look(1001, 10)
    job.look(2000, 10)
    assert len(job.words) == 1


def test_what_has_ended_stands_still_for_a_good_reason(job: Job) -> None:
    job.look(0, 100)
    job.look(1000, 100)

    assert job.words == []
