"""The whole job against a server with faults: each request answered once, no batch made twice, whatever stops it."""

import asyncio
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from batchyard.client.api import Api
from batchyard.client.errors import BadReply, RefusedByServer, Unreachable, WrongUse
from batchyard.client.events import Event
from batchyard.client.job import Job, prepared
from batchyard.client.limits import Limits
from batchyard.client.patience import Patience
from batchyard.client.tally import Tally
from tests.e2e.fake_api import Cut, Drop, FakeApi, Fault, Refuse


class Killed(BaseException):
    """The process died here, as far as anything but the files can tell."""


async def no_time(_seconds: float) -> None:
    """Sleep for a virtual while."""
    await asyncio.sleep(0)


def requests(count: int, fates: dict[int, str] | None = None) -> str:
    each = ({"custom_id": f"r{n}", "params": {"fate": (fates or {}).get(n, "succeeded")}} for n in range(count))
    return "".join(json.dumps(one) + "\n" for one in each)


def a_job(folder: Path, text: str, *, most: int = 100, to_file: bool = True, force: bool = False) -> Job:
    (folder / "in.jsonl").write_text(text)
    return Job(str(folder / "in.jsonl"), folder / "out.jsonl" if to_file else None, force, Limits(most, 100_000))


def run(
    job: Job, server: FakeApi, *, hear: Callable[[Event], None] = lambda _: None, url: str = "http://server"
) -> tuple[Tally, list[str]]:
    """Run against the server, known under a name of its own: it has another port each time it starts."""
    out = io.BytesIO()

    async def go() -> Tally:
        with prepared(job, url) as work:
            async with server, Api(server.base, "k", patience=Patience(1), sleep=no_time) as api:
                return await work.go(api, hear, out, no_time)

    tally = asyncio.run(go())
    written = job.output.read_text() if job.output else out.getvalue().decode()
    return tally, [json.loads(line)["custom_id"] for line in written.splitlines()]


def die_after(kind: str) -> Callable[[Event], None]:
    def hear(event: Event) -> None:
        if type(event).__name__ == kind:
            raise Killed

    return hear


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("backwards", [True, False])
@pytest.mark.parametrize("to_file", [True, False])
def test_results_come_in_the_order_of_the_input_over_several_batches(
    tmp_path: Path, to_file: bool, backwards: bool
) -> None:
    server = FakeApi(looks=3, backwards=backwards)
    job = a_job(tmp_path, requests(25, {3: "errored", 7: "expired", 8: "canceled"}), most=10, to_file=to_file)

    tally, ids = run(job, server)

    assert ids == [f"r{n}" for n in range(25)]
    assert [len(batch.requests) for batch in server.batches.values()] == [10, 10, 5]
    assert tally.counts == {"succeeded": 22, "errored": 1, "canceled": 1, "expired": 1}
    assert (tally.input_tokens, tally.output_tokens) == (220, 66)
    assert tally.reasons == {"invalid_request_error: max_tokens: must be greater than or equal to 1": 1}
    assert left_in(tmp_path) == ({"in.jsonl", "out.jsonl"} if to_file else {"in.jsonl"})


def test_result_lines_are_written_as_the_server_sent_them(tmp_path: Path) -> None:
    job = a_job(tmp_path, requests(2))

    run(job, FakeApi(backwards=True))

    assert job.output is not None
    assert '"text": "ja – ü"' in job.output.read_text()


def test_every_verb_may_fail_for_a_while(tmp_path: Path) -> None:
    server = FakeApi(looks=2)
    for verb in ("list", "create", "retrieve", "results"):
        server.fail(verb, Refuse(500))
    server.fail("create", Drop(effect=True), Refuse(429, {"retry-after": "3"}), Drop(effect=False))
    server.fail("retrieve", *[Drop(effect=False)] * 20)
    server.fail("results", Cut(50), Cut(0), Refuse(529), Cut(700))

    tally, ids = run(a_job(tmp_path, requests(25), most=10), server)

    assert (tally.all_succeeded, len(ids), len(set(ids))) == (True, 25, 25)
    assert len(server.batches) == 3


@pytest.mark.parametrize("moment", ["Checked", "Created", "Counted", "Collecting"])
def test_the_same_command_goes_on_where_it_was_killed(tmp_path: Path, moment: str) -> None:
    server = FakeApi(looks=2)
    job = a_job(tmp_path, requests(25), most=10)
    with pytest.raises(Killed):
        run(job, server, hear=die_after(moment))

    _, ids = run(job, server)

    assert ids == [f"r{n}" for n in range(25)]
    assert len(server.batches) == 3
    assert left_in(tmp_path) == {"in.jsonl", "out.jsonl"}


def test_a_kill_between_a_create_and_its_answer_makes_no_second_batch(tmp_path: Path) -> None:
    server = FakeApi()
    job = a_job(tmp_path, requests(25), most=10)
    server.fail("create", Drop(effect=True), *[Drop(effect=False)] * 1000)
    with pytest.raises(Unreachable):
        run(job, server)
    assert len(server.batches) == 1
    server.faults.clear()

    _, ids = run(job, server)

    assert len(ids) == 25
    assert len(server.batches) == 3


def test_the_announcement_of_a_create_is_durable_before_it_is_sent(tmp_path: Path) -> None:
    server = FakeApi()
    job = a_job(tmp_path, requests(3))
    journal = tmp_path / "out.jsonl.batchyard"
    seen: list[str] = []
    create = server._create

    async def look_first(request: object, batch_id: str) -> object:
        seen.append(journal.read_text())
        return await create(request, batch_id)  # type: ignore[arg-type]

    server._create = look_first  # type: ignore[method-assign, assignment]
    run(job, server)

    [key] = server.keys
    assert key in seen[0]
    assert '"sending"' in seen[0].splitlines()[-1]


@pytest.mark.parametrize("torn", [1, 5, 30])
def test_a_torn_last_line_of_the_journal_is_as_if_it_was_not_written(tmp_path: Path, torn: int) -> None:
    server = FakeApi()
    job = a_job(tmp_path, requests(25), most=10)
    with pytest.raises(Killed):
        run(job, server, hear=die_after("Collecting"))
    journal = tmp_path / "out.jsonl.batchyard"
    journal.write_bytes(journal.read_bytes()[:-torn])

    run(job, server)

    assert len(server.batches) == 3


def test_a_long_torn_line_does_not_show_behind_the_next_short_one(tmp_path: Path) -> None:
    server = FakeApi()
    job = a_job(tmp_path, requests(25), most=10)
    with pytest.raises(Killed):
        run(job, server, hear=die_after("Created"))
    with (tmp_path / "out.jsonl.batchyard").open("ab") as journal:
        journal.write(b'{"written":"' + b"0" * 500)
    with pytest.raises(Killed):
        run(job, server, hear=die_after("Created"))

    run(job, server)

    assert len(server.batches) == 3


@pytest.mark.parametrize("renamed", [True, False])
def test_a_kill_around_the_last_rename_ends_well(
    tmp_path: Path, renamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeApi()
    job = a_job(tmp_path, requests(5, {1: "errored"}))
    replace = Path.replace

    def die(self: Path, target: Path) -> Path:
        if target == job.output and not renamed:
            raise Killed
        replace(self, target)
        if target == job.output:
            raise Killed
        return target

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        with pytest.raises(Killed):
            run(job, server)

    tally, ids = run(job, server)

    assert ids == [f"r{n}" for n in range(5)]
    assert tally.counts["errored"] == 1
    assert left_in(tmp_path) == {"in.jsonl", "out.jsonl"}


@pytest.mark.parametrize("refusal", [Refuse(400), Refuse(413), Refuse(403)])
def test_a_job_whose_create_is_refused_leaves_nothing_behind(tmp_path: Path, refusal: Fault) -> None:
    server = FakeApi()
    server.fail("create", refusal)

    with pytest.raises(RefusedByServer):
        run(a_job(tmp_path, requests(3)), server)

    assert left_in(tmp_path) == {"in.jsonl"}


def test_a_wrong_key_is_found_out_before_the_body_is_sent(tmp_path: Path) -> None:
    server = FakeApi()
    server.api_key = "another"

    with pytest.raises(RefusedByServer, match="401"):
        run(a_job(tmp_path, requests(3)), server)

    assert server.called("create") == []
    assert left_in(tmp_path) == {"in.jsonl"}


def test_a_refusal_after_a_lost_create_keeps_the_journal(tmp_path: Path) -> None:
    server = FakeApi()
    server.fail("create", Drop(effect=True), Refuse(403))

    with pytest.raises(RefusedByServer):
        run(a_job(tmp_path, requests(3)), server)

    assert "out.jsonl.batchyard" in left_in(tmp_path)


def test_a_batch_that_gives_no_line_for_a_request_is_told_with_the_line(tmp_path: Path) -> None:
    server = FakeApi()

    def lose_one(_event: Event) -> None:
        for batch in server.batches.values():
            batch.requests = [one for one in batch.requests if one["custom_id"] != "r1"]

    with pytest.raises(BadReply, match="no result for 'r1', line 2 of the input"):
        run(a_job(tmp_path, requests(3)), server, hear=lose_one)

    assert left_in(tmp_path) == {"in.jsonl", "out.jsonl.batchyard", "out.jsonl.batchyard.work"}
    assert left_in(tmp_path / "out.jsonl.batchyard.work") == set()


def test_a_batch_that_gives_no_line_for_its_last_request_is_told(tmp_path: Path) -> None:
    server = FakeApi()

    def lose_last(_event: Event) -> None:
        for batch in server.batches.values():
            batch.requests = batch.requests[:2]

    with pytest.raises(BadReply, match="no result for 'r2', line 3 of the input"):
        run(a_job(tmp_path, requests(3)), server, hear=lose_last)


@pytest.mark.parametrize("first", [True, False])
def test_a_batch_that_gives_a_line_too_many_is_told(tmp_path: Path, first: bool) -> None:
    server = FakeApi()

    def add_one(_event: Event) -> None:
        for batch in server.batches.values():
            ghost: list[dict[str, object]] = [{"custom_id": "ghost", "params": {}}]
            batch.requests = ghost + batch.requests if first else batch.requests + ghost

    with pytest.raises(BadReply, match="'ghost', which it was not sent"):
        run(a_job(tmp_path, requests(3)), server, hear=add_one)


def test_an_output_that_exists_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    server = FakeApi()
    (tmp_path / "out.jsonl").write_text("mine")

    with pytest.raises(WrongUse, match="--force"):
        run(a_job(tmp_path, requests(3)), server)

    assert (tmp_path / "out.jsonl").read_text() == "mine"
    assert left_in(tmp_path) == {"in.jsonl", "out.jsonl"}
    assert server.calls == []


def test_an_output_that_exists_is_overwritten_by_force_only_when_the_results_are_whole(tmp_path: Path) -> None:
    server = FakeApi()
    (tmp_path / "out.jsonl").write_text("mine")
    job = a_job(tmp_path, requests(3), force=True)
    with pytest.raises(Killed):
        run(job, server, hear=die_after("Collecting"))
    assert (tmp_path / "out.jsonl").read_text() == "mine"

    assert run(job, server)[1] == ["r0", "r1", "r2"]


@pytest.mark.parametrize("output", ["in.jsonl", "missing/out.jsonl", "folder"])
def test_an_output_that_cannot_be_is_refused(tmp_path: Path, output: str) -> None:
    (tmp_path / "folder").mkdir()
    job = a_job(tmp_path, requests(3))

    with pytest.raises(WrongUse):
        run(Job(job.input, tmp_path / output, force=True), FakeApi())

    assert (tmp_path / "in.jsonl").read_text() == requests(3)


def test_the_state_of_another_job_is_refused_with_its_input(tmp_path: Path) -> None:
    server = FakeApi()
    with pytest.raises(Killed):
        run(a_job(tmp_path, requests(3)), server, hear=die_after("Created"))

    with pytest.raises(WrongUse, match="another input"):
        run(a_job(tmp_path, requests(4)), server)
    with pytest.raises(WrongUse, match="a job at http://server"):
        run(a_job(tmp_path, requests(3)), server, url="http://elsewhere")

    assert len(server.batches) == 1


@pytest.mark.parametrize("content", [b"hello\n", b"{}\n", b"\xff\n", b'{"part":1,"sending":"x"}\n'])
def test_a_file_that_is_no_state_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "out.jsonl.batchyard").write_bytes(content)

    with pytest.raises(WrongUse, match="not the state of a job"):
        run(a_job(tmp_path, requests(3)), FakeApi())

    assert (tmp_path / "out.jsonl.batchyard").read_bytes() == content


def test_two_runs_of_one_job_at_a_time_are_refused(tmp_path: Path) -> None:
    job = a_job(tmp_path, requests(3))

    with prepared(job, "http://server"), pytest.raises(WrongUse, match="another run"), prepared(job, "http://server"):
        pass


@pytest.mark.parametrize("made", [True, False])
def test_a_create_that_was_announced_too_long_ago_is_looked_for_before_it_is_repeated(
    tmp_path: Path, made: bool
) -> None:
    server = FakeApi()
    job = a_job(tmp_path, requests(3))
    server.fail("create", Drop(effect=made), *[Drop(effect=False)] * 1000)
    with pytest.raises(Unreachable):
        run(job, server)
    journal = tmp_path / "out.jsonl.batchyard"
    old = [line.replace('"sending":"20', '"sending":"19') for line in journal.read_text().splitlines(keepends=True)]
    journal.write_text("".join(old))
    server.faults.clear()
    server.keys.clear()

    _, ids = run(job, server)

    assert ids == ["r0", "r1", "r2"]
    assert len(server.batches) == 1


def test_an_input_that_changes_while_it_is_sent_makes_no_batch(tmp_path: Path) -> None:
    server = FakeApi()
    job = a_job(tmp_path, requests(3))

    def change(_event: Event) -> None:
        with (tmp_path / "in.jsonl").open("r+b") as file:
            file.seek(-15, os.SEEK_END)
            file.write(b"X")

    with pytest.raises(WrongUse, match="changed while it was sent"):
        run(job, server, hear=change)

    assert server.batches == {}
    assert left_in(tmp_path) == {"in.jsonl"}
