"""A job against a server in trouble: slow, refusing, or gone for a minute. Each request once, no batch twice."""

import asyncio
import io
import random
from pathlib import Path

import pytest

from batchyard.client.api import Api
from batchyard.client.errors import RefusedByServer
from batchyard.client.events import Event
from batchyard.client.job import Job, prepared
from batchyard.client.limits import Limits
from batchyard.client.patience import Patience
from batchyard.client.tally import Tally
from tests.e2e.fake_api import Cut, Drop, FakeApi, Fault, Refuse
from tests.e2e.test_client_job import requests

COUNT, MOST = 25, 10
VERBS = ("list", "create", "retrieve", "results")
TROUBLE: tuple[Fault, ...] = (
    Refuse(429, {"retry-after": "20"}),
    Refuse(429),
    Refuse(500),
    Refuse(502, body=b"<html>Bad gateway"),
    Refuse(503),
    Refuse(529),
    Drop(effect=False),
    Drop(effect=True),
)


class Minute:
    """Virtual time, as far as a client waits; a server may be away from one moment of it to another."""

    def __init__(self) -> None:
        self.now = 0.0
        self.back_at = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    def is_away(self) -> bool:
        return self.now < self.back_at


def run(folder: Path, server: FakeApi, time: Minute, leave_at: str = "") -> tuple[Tally, str]:
    """Run a job of three batches; the server leaves for a minute when the job tells of this for the first time."""
    (folder / "in.jsonl").write_text(requests(COUNT))
    job = Job(str(folder / "in.jsonl"), folder / "out.jsonl", limits=Limits(MOST))

    def hear(event: Event) -> None:
        if type(event).__name__ == leave_at and not time.back_at:
            time.back_at = time.now + 60

    async def go() -> Tally:
        with prepared(job, "http://server") as work:
            async with server, Api(server.base, "k", patience=Patience(1), sleep=time.sleep) as api:
                return await work.go(api, hear, io.BytesIO(), time.sleep)

    return asyncio.run(go()), (folder / "out.jsonl").read_text()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    return run(tmp_path_factory.mktemp("undisturbed"), FakeApi(looks=3), Minute())[1]


def check_all(server: FakeApi, tally: Tally, results: str, undisturbed: str) -> None:
    assert tally.all_succeeded
    assert results == undisturbed
    assert [len(batch.requests) for batch in server.batches.values()] == [MOST, MOST, COUNT - 2 * MOST]


@pytest.mark.parametrize("leave_at", ["Created", "Counted", "Fetched"])
@pytest.mark.parametrize("knows_keys", [True, False])
def test_a_server_that_is_gone_for_a_minute_is_waited_for(
    tmp_path: Path, undisturbed: str, leave_at: str, knows_keys: bool
) -> None:
    time = Minute()
    server = FakeApi(looks=3, knows_keys=knows_keys)
    server.is_away = time.is_away

    tally, results = run(tmp_path, server, time, leave_at)

    check_all(server, tally, results, undisturbed)
    assert time.now >= 60


@pytest.mark.parametrize("knows_keys", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_refusals_and_cuts_at_every_call_change_nothing(
    tmp_path: Path, undisturbed: str, seed: int, knows_keys: bool
) -> None:
    chance = random.Random(seed)
    server = FakeApi(looks=3, knows_keys=knows_keys)
    for verb in VERBS:
        troubles: list[Fault | None] = [*TROUBLE, *[Cut(chance.randrange(900)) for _ in range(4)], *[None] * 8]
        server.fail(verb, *[None] * 2, *chance.choices(troubles, k=30))

    tally, results = run(tmp_path, server, Minute())

    check_all(server, tally, results, undisturbed)


@pytest.mark.parametrize("piece", [1, 1000])
def test_a_slow_server_is_waited_for(tmp_path: Path, undisturbed: str, piece: int) -> None:
    server = FakeApi(looks=3)
    server.piece = piece

    tally, results = run(tmp_path, server, Minute())

    check_all(server, tally, results, undisturbed)


def fill(server: FakeApi) -> None:
    """Let a batch of somebody else run."""
    server.add([{"custom_id": "x", "params": {}}])


@pytest.mark.parametrize("knows_keys", [True, False])
@pytest.mark.parametrize("asked", ["1", "900"])
def test_a_full_server_gets_the_rest_once_there_is_room(
    tmp_path: Path, undisturbed: str, asked: str, knows_keys: bool
) -> None:
    time, server = Minute(), FakeApi(looks=40, knows_keys=knows_keys)
    server.most_running, server.full = 1, Refuse(429, {"retry-after": asked})

    tally, results = run(tmp_path, server, time)

    check_all(server, tally, results, undisturbed)
    assert len(server.called("create")) < 20


def test_a_server_that_is_full_of_others_is_waited_for_some_minutes(tmp_path: Path) -> None:
    time, server = Minute(), FakeApi(looks=1000)
    fill(server)
    server.most_running = 1

    with pytest.raises(RefusedByServer, match="the queue is full"):
        run(tmp_path, server, time)

    assert time.now >= 300
    assert not (tmp_path / "out.jsonl.batchyard").exists()


def test_a_limit_that_waiting_does_not_help_against_ends_the_job_at_once(tmp_path: Path) -> None:
    time, server = Minute(), FakeApi(looks=1000)
    server.most_running, server.full = 1, Refuse(429, {"x-should-retry": "false"})

    with pytest.raises(RefusedByServer, match="the queue is full"):
        run(tmp_path, server, time)

    assert time.now < 10
