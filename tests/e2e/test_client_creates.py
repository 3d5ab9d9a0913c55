"""Each part becomes one batch, on servers that know no idempotency key: what was lost is found, never made twice."""

import contextlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from batchyard.client.errors import ServerError, Unreachable
from batchyard.client.events import Doubtful, Event
from batchyard.client.journal import Journal
from tests.e2e.fake_api import Drop, FakeApi, Fault, Refuse, drop
from tests.e2e.test_client_job import Killed, a_job, die_after, requests, run

EVERY_REQUEST = [f"r{n}" for n in range(25)]


def another_server(*, backwards: bool = False) -> FakeApi:
    return FakeApi(looks=2, knows_keys=False, backwards=backwards)


def others(count: int) -> list[dict[str, object]]:
    """Requests of somebody else in the same workspace."""
    return [{"custom_id": f"other-{n}", "params": {}} for n in range(count)]


def sizes(server: FakeApi) -> list[int]:
    return [len(batch.requests) for batch in server.batches.values()]


@pytest.mark.parametrize("fault", [Drop(effect=True), Drop(effect=False), Refuse(500), Refuse(503), Refuse(529)])
def test_a_create_without_an_answer_is_looked_for_before_it_is_repeated(tmp_path: Path, fault: Fault) -> None:
    server = another_server()
    server.fail("create", fault, fault)

    _, ids = run(a_job(tmp_path, requests(25), most=10), server)

    assert ids == EVERY_REQUEST
    assert sizes(server) == [10, 10, 5]


def test_a_batch_that_is_shown_late_is_waited_for(tmp_path: Path) -> None:
    server = another_server()
    server.fail("create", Drop(effect=True))
    show, looks = server._list, 0

    async def late(request: object, batch_id: str) -> object:
        nonlocal looks
        looks += 1
        hidden, server.batches = server.batches, {} if looks < 6 else server.batches
        try:
            return await show(request, batch_id)  # type: ignore[arg-type]
        finally:
            server.batches = hidden

    server._list = late  # type: ignore[method-assign, assignment]
    run(a_job(tmp_path, requests(3)), server)

    assert sizes(server) == [3]


@pytest.mark.parametrize("effect", [True, False])
@pytest.mark.parametrize("later", [True, False])
def test_somebody_elses_batch_of_the_same_size_is_told_by_its_custom_ids(
    tmp_path: Path, effect: bool, later: bool
) -> None:
    server = another_server()
    server.fail("create", Drop(effect=effect))
    create, told = server._create, list[Event]()

    async def beside(request: object, batch_id: str) -> object:
        crowd = len(server.batches) < 2
        if crowd and not later:
            server.add(others(10))
        answer = await create(request, batch_id)  # type: ignore[arg-type]
        if crowd and later:
            server.add(others(10))
        return answer

    server._create = beside  # type: ignore[method-assign, assignment]
    if not effect:
        server.add(others(10))
        server.add(others(10))
    _, ids = run(a_job(tmp_path, requests(25), most=10), server, hear=told.append)

    ours = [batch for batch in server.batches.values() if batch.requests[0]["custom_id"] != "other-0"]
    assert ids == EVERY_REQUEST
    assert sorted(len(batch.requests) for batch in ours) == [5, 10, 10]
    assert any(isinstance(event, Doubtful) for event in told) == effect


def test_a_batch_of_somebody_else_alone_leads_to_one_create_after_it_ended(tmp_path: Path) -> None:
    server = another_server()
    create = server._create

    async def lost(request: web.Request, _batch_id: str) -> web.Response:
        await request.read()
        server._create = create  # type: ignore[method-assign]
        server.add(others(3))
        return drop(request)

    server._create = lost  # type: ignore[method-assign]
    _, ids = run(a_job(tmp_path, requests(3)), server)

    assert ids == ["r0", "r1", "r2"]
    assert [batch.requests[0]["custom_id"] for batch in server.batches.values()] == ["other-0", "r0"]


def test_a_batch_that_was_there_before_is_never_taken_for_ours(tmp_path: Path) -> None:
    server = another_server()
    for _ in range(3):
        server.add([json.loads(line) for line in requests(3).splitlines()])
    server.fail("create", Drop(effect=False))

    run(a_job(tmp_path, requests(3)), server)

    assert sizes(server) == [3, 3, 3, 3]


def test_a_server_that_is_gone_while_it_is_asked_leaves_the_doubt_to_the_next_run(tmp_path: Path) -> None:
    server = another_server()
    job = a_job(tmp_path, requests(25), most=10)
    server.fail("create", Drop(effect=True))
    listed = 0

    async def gone(request: web.Request, batch_id: str) -> web.Response:
        nonlocal listed
        listed += 1
        return drop(request) if listed > 2 else await FakeApi._list(server, request, batch_id)

    server._list = gone  # type: ignore[method-assign, assignment]
    with pytest.raises(ServerError):
        run(job, server)
    del server._list

    _, ids = run(job, server)

    assert ids == EVERY_REQUEST
    assert sizes(server) == [10, 10, 5]


@contextlib.contextmanager
def kill_at(step: int, monkeypatch: pytest.MonkeyPatch, *, written: bool) -> Iterator[None]:
    """Die at the so-manieth write of the journal, before it or after it."""
    append, steps = Journal._append, 0

    def dying(self: Journal, line: object) -> None:
        nonlocal steps
        steps += 1
        if steps == step and not written:
            raise Killed
        append(self, line)  # type: ignore[arg-type]
        if steps == step:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_append", dying)
        yield


@pytest.mark.parametrize("knows_keys", [True, False])
@pytest.mark.parametrize("written", [True, False])
def test_a_kill_at_any_write_of_the_journal_makes_no_second_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool, knows_keys: bool
) -> None:
    deaths = 0
    for step in range(1, 40):
        folder = tmp_path / str(step)
        folder.mkdir()
        server = FakeApi(looks=2, knows_keys=knows_keys, backwards=True)
        job = a_job(folder, requests(25), most=10)
        with contextlib.suppress(Killed), kill_at(step, monkeypatch, written=written):
            run(job, server)
            break
        deaths += 1
        assert run(job, server)[1] == EVERY_REQUEST
        assert sizes(server) == [10, 10, 5], step

    assert deaths > 10


@pytest.mark.parametrize("seed", range(12))
def test_faults_and_kills_together_make_no_second_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    server = another_server(backwards=True)
    job = a_job(tmp_path, requests(25), most=10)
    for _ in range(6):
        faults: list[Fault] = [Drop(effect=True), Drop(effect=False), Refuse(500), Refuse(429), Refuse(529)]
        server.fail("create", *chance.choices(faults, k=chance.randrange(3)))
        server.fail("results", *chance.choices(faults, k=chance.randrange(3)))
        death = kill_at(chance.randrange(1, 9), monkeypatch, written=chance.random() < 0.5)
        with contextlib.suppress(Killed, Unreachable), death:
            run(job, server)
        if (tmp_path / "out.jsonl").exists():
            break
    server.faults.clear()
    if not (tmp_path / "out.jsonl").exists():
        run(job, server)

    assert [
        json.loads(line)["custom_id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()
    ] == EVERY_REQUEST
    assert sizes(server) == [10, 10, 5]


def test_a_job_that_was_killed_while_in_doubt_goes_on_waiting_for_its_suspect(tmp_path: Path) -> None:
    server = another_server()
    server.fail("create", Drop(effect=True))
    job = a_job(tmp_path, requests(3))
    with pytest.raises(Killed):
        run(job, server, hear=die_after("Doubtful"))

    _, ids = run(job, server)

    assert (ids, sizes(server)) == (["r0", "r1", "r2"], [3])
