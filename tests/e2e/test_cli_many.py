"""Several batches at once, what a batch left over, and completion, as a shell sees them."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from batchyard.cli.main import status
from tests.e2e.fake_api import Drop, FakeApi, FakeBatch, Refuse, running
from tests.e2e.test_cli import Shell, ids

DAYS = (1, 10, 40)


@pytest.fixture(autouse=True)
def _no_server_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


def batches(server: FakeApi, *looks: int, days: tuple[int, ...] = DAYS) -> list[str]:
    """Give the server a batch for each number of looks after which it ends, each so many days old."""
    made = []
    for number, (each, old) in enumerate(zip(looks, days, strict=True), start=1):
        name = f"msgbatch_{number}"
        request: dict[str, object] = {"custom_id": "r0", "params": {}}
        created = (datetime.now(UTC) - timedelta(days=old)).isoformat()
        server.batches[name] = FakeBatch(name, [request], each, created_at=created)
        made.append(name)
    return made


def failed(server: FakeApi, *fates: str, looks: int = 0) -> str:
    each: list[dict[str, object]] = [{"custom_id": f"r{n}", "params": {"fate": fate}} for n, fate in enumerate(fates)]
    server.batches["msgbatch_1"] = FakeBatch("msgbatch_1", each, looks)
    return "msgbatch_1"


def input_of(server: FakeApi, name: str, path: Path) -> Path:
    path.write_text("".join(json.dumps(request) + "\n" for request in server.batches[name].requests))
    return path


def test_several_batches_are_watched_to_their_ends(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        one, two, three = batches(server, 2, 4, 0)
        server.batches[two].requests[0]["params"] = {"fate": "errored"}
        shell = Shell(capsysbinary, server)

        assert shell("watch", one, three) == 0
        assert [line.split()[:2] for line in shell.out.decode().splitlines()[1:]] == [[one, "ended"], [three, "ended"]]
        assert shell("watch", one, two, "--json") == 1

    changes = [(told["id"], told["processing_status"]) for told in map(json.loads, shell.out.splitlines())]
    assert changes == [(one, "ended"), (two, "in_progress"), (two, "ended")]


def test_what_runs_is_watched_where_no_batch_is_named(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        _, two, three = batches(server, 0, 2, 3)
        shell = Shell(capsysbinary, server)

        assert shell("watch") == 0
        assert {line.split()[0] for line in shell.out.decode().splitlines()[1:]} == {two, three}
        assert shell("watch") == 0
        assert (shell.out, shell.err) == (b"", "no batch is running\n")


def test_a_wrong_id_among_several_is_told_at_once(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        one, *_ = batches(server, 1000, 0, 0)
        shell = Shell(capsysbinary, server)

        assert shell("watch", one, "msgbatch_9") == 3

    assert "Message Batch msgbatch_9 not found." in shell.err


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--all-ended"], ["msgbatch_2"]),
        (["--older-than", "5d"], ["msgbatch_1", "msgbatch_2"]),
        (["--all-ended", "--older-than", "60d"], ["msgbatch_1", "msgbatch_2", "msgbatch_3"]),
        (["msgbatch_1", "msgbatch_3", "msgbatch_1"], ["msgbatch_2"]),
    ],
)
def test_batches_are_deleted_by_what_they_are_or_by_name(
    capsysbinary: pytest.CaptureFixture[bytes], options: list[str], left: list[str]
) -> None:
    with running(FakeApi()) as server:
        made = batches(server, 0, 1000, 0)
        shell = Shell(capsysbinary, server)

        assert shell("delete", *options, "--json") == 0

    assert list(server.batches) == left
    assert {json.loads(line)["id"] for line in shell.out.splitlines()} == set(made) - set(left)


def test_more_batches_than_a_page_has_are_found(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        batches(server, *[0] * 230, days=(1,) * 230)
        shell = Shell(capsysbinary, server)

        assert shell("delete", "--all-ended") == 0

    assert server.batches == {}
    assert [call.count("deleted") for call in [shell.err]] == [230]


def test_batches_are_cancelled_by_what_they_are_or_by_name(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        one, two, three = batches(server, 1000, 1000, 0)
        shell = Shell(capsysbinary, server)

        assert shell("cancel", "--all-running", "--older-than", "5d") == 0
        assert shell.err == f"{two}: canceling\n"
        assert [batch.canceled for batch in server.batches.values()] == [False, True, False]
        assert shell("cancel", one, three, "--json") == 0
        assert [json.loads(line)["id"] for line in shell.out.splitlines()] == [one, three]


def test_one_that_is_refused_does_not_keep_the_others_from_it(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        one, _, three = batches(server, 0, 0, 0)
        shell = Shell(capsysbinary, server)

        assert shell("delete", one, "msgbatch_9", three) == 3

    assert list(server.batches) == ["msgbatch_2"]
    assert "msgbatch_9: the server refused: 404 not_found_error: Message Batch msgbatch_9 not found." in shell.err


def test_nothing_to_delete_is_no_failure(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell("delete", "--all-ended") == 0

    assert shell.err == "there is nothing to delete\n"


class Terminal:
    """A standard stream that is one, and answers a question."""

    def __init__(self, answer: str) -> None:
        self._answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self._answer


@pytest.mark.parametrize(
    ("answer", "options", "left"), [("n\n", [], 3), ("", [], 3), ("y\n", [], 0), ("n\n", ["--yes"], 0)]
)
def test_on_a_terminal_it_is_asked_first(
    capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    options: list[str],
    left: int,
) -> None:
    with running(FakeApi()) as server:
        batches(server, 0, 0, 0)
        shell = Shell(capsysbinary, server)
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        monkeypatch.setattr(type(sys.stderr), "isatty", lambda _stream: True)

        assert shell("delete", "--all-ended", *options) == 0

    assert len(server.batches) == left
    assert ("delete 3 batches? [y/N]" in shell.err) == (not options)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("delete",), "name the batches, or choose them with --all-ended or --older-than"),
        (("cancel",), "name the batches, or choose them with --all-running or --older-than"),
        (("delete", "msgbatch_1", "--all-ended"), "name batches, or choose them with --all-ended"),
        (("delete", "--older-than", "soon"), "--older-than 'soon': must be a duration from 0s to 36500d"),
        (("retry",), "BATCH"),
        (("retry", "msgbatch_1", "/nonexistent"), "/nonexistent: cannot be read"),
    ],
)
def test_wrong_use_is_told_and_nothing_is_sent(
    capsysbinary: pytest.CaptureFixture[bytes], arguments: tuple[str, ...], told: str
) -> None:
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell(*arguments) == 2

    assert told in shell.err
    assert server.calls == []


def a_detached_job(shell: Shell, *options: str) -> str:
    """Leave a job of two batches to the server; return the name of its state file."""
    Path("in.jsonl").write_text("".join(json.dumps({"custom_id": f"r{n}", "params": {}}) + "\n" for n in range(4)))
    assert shell("run", "in.jsonl", "-o", "out.jsonl", "--batch-requests", "2", "--detach", *options) == 0
    assert "`batchyard watch out.jsonl.batchyard` looks on" in shell.err
    return "out.jsonl.batchyard"


def test_the_state_file_of_a_job_stands_for_its_batches(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi(looks=2)) as server:
        shell = Shell(capsysbinary, server)
        state = a_detached_job(shell)
        other = server.add([{"custom_id": "x", "params": {}}]).id
        job = [name for name in server.batches if name != other]

        assert shell("watch", state, "--json") == 0
        assert {json.loads(line)["id"] for line in shell.out.splitlines()} == set(job)
        assert shell("cancel", state, job[0], other, "--json") == 0
        assert [json.loads(line)["id"] for line in shell.out.splitlines()] == [*job, other]
        assert shell("run", "in.jsonl", "-o", "out.jsonl", "--batch-requests", "2") == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "x.batchyard: cannot be read: No such file or directory"),
        (b"", "is not the state of a job"),
        (b"words\n", "is not the state of a job"),
        (
            b'{"batchyard_job":2,"input":"i","sha256":"","base_url":"http://other"}\n',
            "x.batchyard is of a job at http://other: name that server",
        ),
    ],
)
def test_a_state_file_that_cannot_be_meant_is_told(
    capsysbinary: pytest.CaptureFixture[bytes], content: bytes | None, told: str
) -> None:
    if content is not None:
        Path("x.batchyard").write_bytes(content)
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert [shell(verb, "x.batchyard") for verb in ("watch", "cancel", "delete")] == [2, 2, 2]

    assert told in shell.err
    assert server.calls == []


def test_each_batch_of_a_job_is_named_and_labelled(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        a_detached_job(Shell(capsysbinary, server), "--name", "Nächtlich", "--label", "team=search")

    named = [(call["batchyard-name"], call["batchyard-labels"]) for call in server.called("create")]
    assert named == [("N%C3%A4chtlich", "team=search")] * 2


FATES = ("succeeded", "expired", "errored:api_error", "errored", "canceled")


@pytest.mark.parametrize(("options", "again"), [([], ["r1", "r2"]), (["--all"], ["r1", "r2", "r3", "r4"])])
@pytest.mark.parametrize("knows_keys", [True, False])
def test_what_a_batch_left_over_is_sent_again_from_its_input(
    tmp_path: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
    options: list[str],
    again: list[str],
    knows_keys: bool,
) -> None:
    with running(FakeApi(knows_keys=knows_keys)) as server:
        source = input_of(server, failed(server, *FATES), tmp_path / "in.jsonl")
        shell = Shell(capsysbinary, server)

        assert shell("retry", "msgbatch_1", source, *options) == 0

    [_, made] = server.batches
    assert shell.out == made.encode() + b"\n"
    assert [request["custom_id"] for request in server.batches[made].requests] == again
    assert server.batches[made].requests[0] == server.batches["msgbatch_1"].requests[1]
    assert ("left out: 1 errored, 1 canceled, which --all sends too" in shell.err) == (not options)


def test_the_same_retry_twice_is_one_batch(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        source = input_of(server, failed(server, *FATES), tmp_path / "in.jsonl")
        shell = Shell(capsysbinary, server)

        assert [shell("retry", "msgbatch_1", source) for _ in range(2)] == [0, 0]

    assert len(server.batches) == 2


def test_a_server_that_keeps_requests_needs_no_input(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        failed(server, "succeeded", "expired", "errored:api_error")
        shell = Shell(capsysbinary, server)

        assert shell("retry", "msgbatch_1", "--json") == 0
        assert json.loads(shell.out)["request_counts"]["processing"] == 2
        failed(server, *FATES)
        assert shell("retry", "msgbatch_1") == 2
        assert "1 of what errored would fail again, and the server cannot leave them out" in shell.err
        assert "name the INPUT" in shell.err
        assert shell("retry", "msgbatch_1", "--all") == 0

    assert [len(batch.requests) for batch in server.batches.values()] == [5, 2, 4]


@pytest.mark.parametrize(
    ("fates", "arguments", "status", "told"),
    [
        (("succeeded", "succeeded"), [], 0, "there is nothing to send again\n"),
        (("succeeded", "errored"), [], 0, "nothing to send again; left out: 1 errored, which --all sends too"),
        (("expired",), [], 2, "this server keeps no requests: name the INPUT that msgbatch_1 was made of"),
        (("expired",), ["other.jsonl"], 2, "other.jsonl lacks 1 of the requests, such as 'r0'"),
    ],
)
def test_what_cannot_be_sent_again_is_told(
    capsysbinary: pytest.CaptureFixture[bytes], fates: tuple[str, ...], arguments: list[str], status: int, told: str
) -> None:
    Path("other.jsonl").write_text('{"custom_id": "x", "params": {}}\n')
    with running(FakeApi(knows_keys=False)) as server:
        failed(server, *fates)
        shell = Shell(capsysbinary, server)

        assert shell("retry", "msgbatch_1", *arguments) == status

    assert told in shell.err
    assert shell.out == b""
    assert list(server.batches) == ["msgbatch_1"]


def test_a_batch_that_runs_leaves_nothing_over_yet(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        failed(server, "expired", looks=1000)
        shell = Shell(capsysbinary, server)

        assert shell("retry", "msgbatch_1") == 2

    assert "msgbatch_1 has not ended: `batchyard watch msgbatch_1` waits for it" in shell.err


@pytest.mark.parametrize("fault", [Drop(effect=True), Refuse(500)])
def test_a_create_that_may_have_made_a_batch_is_not_repeated(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], fault: Drop | Refuse
) -> None:
    (tmp_path / "in.jsonl").write_text('{"custom_id": "x", "params": {}}\n')
    with running(FakeApi(knows_keys=False)) as server:
        server.fail("create", fault)
        shell = Shell(capsysbinary, server)

        assert shell("create", "in.jsonl") == 3

    assert "it may have made a batch all the same: `batchyard list` shows it" in shell.err
    assert len(server.called("create")) == 1


def test_results_in_a_file_are_told_as_json(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        failed(server, *FATES)
        shell = Shell(capsysbinary, server)

        assert shell("results", "msgbatch_1", "-o", "out.jsonl", "--json") == 0

    assert json.loads(shell.out) == {"batch": "msgbatch_1", "results": 5, "output": "out.jsonl"}
    assert len(ids((tmp_path / "out.jsonl").read_bytes())) == 5


def test_a_shell_completes_commands_options_and_batches(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def complete(line: str) -> list[str]:
        monkeypatch.setenv("_BATCHYARD_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
        with pytest.raises(SystemExit) as end:
            status([])
        assert end.value.code == 0
        offered = capsysbinary.readouterr()
        assert offered.err == b""
        return offered.out.decode().split()

    with running(FakeApi()) as server:
        made = batches(server, 0, 0, 0)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base)

        assert complete("batchyard ca") == ["cancel"]
        assert "--older-than" in complete("batchyard delete --o")
        assert complete("batchyard show ms") == made[::-1]
        assert complete(f"batchyard watch {made[0]} ") == [made[2], made[1]]
        monkeypatch.delenv("ANTHROPIC_BASE_URL")
        assert complete(f"batchyard show --base-url {server.base} msgbatch_3") == ["msgbatch_3"]
    assert complete(f"batchyard show --base-url {server.base} ms") == []
