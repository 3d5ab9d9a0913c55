"""The commands as a shell sees them: what goes to which stream, and the exit status."""

import json
from pathlib import Path

import pytest

from batchyard.cli.main import status
from tests.e2e.fake_api import Drop, FakeApi, FakeBatch, Refuse, running

BATCH = "msgbatch_01"


class Shell:
    """Runs commands in this process; ``out`` and ``err`` are what the last one wrote."""

    def __init__(self, capture: pytest.CaptureFixture[bytes], server: FakeApi | None) -> None:
        self._capture = capture
        self._server = server
        self.out = b""
        self.err = ""

    def __call__(self, *arguments: str | Path) -> int:
        self._capture.readouterr()
        address = ["--base-url", self._server.base] if self._server else []
        ended = status([*map(str, arguments), *address])
        captured = self._capture.readouterr()
        self.out, self.err = captured.out, captured.err.decode()
        return ended


@pytest.fixture(autouse=True)
def _no_server_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bare(capsysbinary: pytest.CaptureFixture[bytes]) -> Shell:
    return Shell(capsysbinary, None)


def write(folder: Path, count: int, *, fate: str = "succeeded") -> Path:
    path = folder / "in.jsonl"
    each = ({"custom_id": f"r{n}", "params": {"fate": fate if n == 0 else "succeeded"}} for n in range(count))
    path.write_text("".join(json.dumps(one) + "\n" for one in each))
    return path


def a_batch(server: FakeApi, *fates: str, looks: int = 0) -> str:
    each: list[dict[str, object]] = [{"custom_id": f"r{n}", "params": {"fate": fate}} for n, fate in enumerate(fates)]
    server.batches[BATCH] = FakeBatch(BATCH, each, looks)
    return BATCH


def ids(raw: bytes) -> list[str]:
    return [json.loads(line)["custom_id"] for line in raw.splitlines()]


def test_run_puts_results_on_standard_output_and_words_on_standard_error(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    with running(FakeApi()) as server:
        run = Shell(capsysbinary, server)

        assert run("run", write(tmp_path, 3)) == 0

    assert ids(run.out) == ["r0", "r1", "r2"]
    assert "3 requests: 3 succeeded" in run.err
    assert "30 tokens in, 9 tokens out" in run.err
    assert "without -o no state is kept" in run.err
    assert server.calls[0][1]["x-api-key"] == "local"


def test_run_writes_a_file_and_ends_with_1_when_not_all_succeeded(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    with running(FakeApi(looks=2)) as server:
        shell = Shell(capsysbinary, server)

        assert shell("run", write(tmp_path, 3, fate="errored"), "-o", "out.jsonl", "--batch-requests", "2") == 1

    assert shell.out == b""
    assert ids((tmp_path / "out.jsonl").read_bytes()) == ["r0", "r1", "r2"]
    assert "1 errored" in shell.err
    assert "1 × invalid_request_error: max_tokens" in shell.err
    assert len(server.batches) == 2


def test_bad_input_is_told_line_by_line_and_nothing_is_sent(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = write(tmp_path, 2)
    path.write_text(path.read_text() + '{"custom_id":"r0","params":{}}\nnonsense\n')
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        for command in (("run", path, "-o", "out.jsonl"), ("create", path)):
            assert shell(*command) == 2
            assert f"{path}:3: custom_id 'r0' is on line 1 already" in shell.err
            assert f"{path}:4: not JSON" in shell.err

    assert server.calls == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


def test_a_server_that_stops_answering_ends_a_run_with_3_and_words_on_how_to_go_on(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    with running(FakeApi()) as server:
        server.fail("retrieve", Refuse(404))
        shell = Shell(capsysbinary, server)

        assert shell("run", write(tmp_path, 3), "-o", "out.jsonl") == 3
        assert "the same command goes on where this one stopped" in shell.err
        server.fail("results", Refuse(404))
        assert shell("run", tmp_path / "in.jsonl") == 3
        assert "batchyard results msgbatch_000000000000000000000002" in shell.err
        assert shell("run", tmp_path / "in.jsonl", "-o", "out.jsonl") == 0

    assert len(server.batches) == 2


def test_create_prints_the_id_alone(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell("create", write(tmp_path, 3)) == 0
        [batch_id] = server.batches
        assert shell.out == batch_id.encode() + b"\n"
        assert shell("create", tmp_path / "in.jsonl", "--json") == 0

    assert json.loads(shell.out)["request_counts"]["processing"] == 3
    assert shell.out.count(b"\n") == 1
    assert len(server.batches) == 2


def test_list_shows_a_table_and_json_lines(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        for number in range(3):
            server.batches[f"msgbatch_{number}"] = FakeBatch(f"msgbatch_{number}", [{"params": {}}], 1)
        shell = Shell(capsysbinary, server)

        assert shell("list", "--limit", "2") == 0
        assert [line.split()[:2] for line in shell.out.decode().splitlines()[1:]] == [
            ["msgbatch_2", "in_progress"],
            ["msgbatch_1", "in_progress"],
        ]
        assert "there are more: --after msgbatch_1" in shell.err
        assert shell("list", "--after", "msgbatch_1", "--json") == 0

    assert [json.loads(line)["id"] for line in shell.out.splitlines()] == ["msgbatch_0"]


def test_show_cancel_and_delete(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        a_batch(server, "succeeded", "errored")
        shell = Shell(capsysbinary, server)

        assert shell("show", BATCH) == 0
        assert b"2: 1 succeeded, 1 errored" in shell.out
        assert f"{server.base}/v1/messages/batches/{BATCH}/results".encode() in shell.out
        assert shell("show", BATCH, "--json") == 0
        assert list(json.loads(shell.out))[:2] == ["id", "type"]
        assert shell("cancel", BATCH, "--json") == 0
        assert json.loads(shell.out)["processing_status"] == "canceling"
        assert shell("delete", BATCH, "--json") == 0
        assert shell.out == b'{"id":"msgbatch_01","type":"message_batch_deleted"}\n'
        assert shell("delete", BATCH) == 3
        assert "404 not_found_error: Message Batch msgbatch_01 not found." in shell.err


@pytest.mark.parametrize(("fate", "code"), [("succeeded", 0), ("expired", 1)])
def test_watch_follows_to_the_end(capsysbinary: pytest.CaptureFixture[bytes], fate: str, code: int) -> None:
    with running(FakeApi()) as server:
        a_batch(server, fate, looks=3)
        shell = Shell(capsysbinary, server)

        assert shell("watch", BATCH, "--json") == code

    assert [json.loads(line)["processing_status"] for line in shell.out.splitlines()] == ["in_progress", "ended"]


def test_results_go_to_standard_output_or_to_a_file(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        a_batch(server, *["succeeded"] * 5)
        shell = Shell(capsysbinary, server)

        assert shell("results", BATCH) == 0
        raw = shell.out
        assert shell("results", BATCH, "-o", "out.jsonl") == 0
        assert shell("results", BATCH, "-o", "out.jsonl") == 2
        assert "--force" in shell.err
        assert shell("results", BATCH, "-o", "out.jsonl", "--force") == 0

    assert (tmp_path / "out.jsonl").read_bytes() == raw
    assert len(ids(raw)) == 5


@pytest.mark.parametrize("left", [b"", b"half a li", b"not a result\n"])
def test_a_download_goes_on_where_an_earlier_one_stopped(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], left: bytes
) -> None:
    with running(FakeApi()) as server:
        a_batch(server, *["succeeded"] * 5)
        shell = Shell(capsysbinary, server)
        shell("results", BATCH)
        whole = shell.out
        kept = b"".join(whole.splitlines(keepends=True)[:2])
        (tmp_path / f"out.jsonl.{BATCH}.partial").write_bytes(kept + left)

        assert shell("results", BATCH, "-o", "out.jsonl") == 0

    assert (tmp_path / "out.jsonl").read_bytes() == whole
    assert server.called("results")[-1]["range"] == f"bytes={len(kept)}-"


def test_a_server_that_is_not_there_is_named(bare: Shell) -> None:
    assert bare("list", "--base-url", "http://127.0.0.1:1") == 3
    assert bare.err == "batchyard: cannot reach http://127.0.0.1:1: Connection refused\n"


def test_the_server_is_the_one_of_the_environment(bare: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(FakeApi()) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "from-the-environment")

        assert bare("list") == 0

    assert server.calls[0][1]["x-api-key"] == "from-the-environment"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["list", "--base-url", "https://api.example"], "https://api.example needs an API key: set ANTHROPIC_API_KEY"),
        (["list", "--base-url", "api.example"], "--base-url 'api.example': must be http(s)://"),
        (["list", "--base-url", "http://me:hunter2@h"], "--base-url 'http://…@h'"),
        (["list", "--api-key", "hunter2\nx"], "must be printable ASCII"),
        (["list", "--limit", "0"], "--limit"),
        (["run"], "INPUT"),
        (["run", "/nonexistent"], "/nonexistent: cannot be read: No such file or directory"),
        (["run", "."], ".: cannot be read: Is a directory"),
        (["run", "x", "--nope"], "No such option: --nope"),
        (["nope"], "No such command 'nope'"),
        (["serve", "--port", "99999"], "--port '99999': must be a whole number from 0 to 65535"),
        (["serve", "--database", "postgresql://me:hunter2@127.0.0.1:1/d"], "the database cannot be used: "),
        (["serve", "--prot", "1"], "--port"),
        (["keys", "create"], "--workspace"),
        (["keys", "list", "--config", "/nonexistent.toml"], "/nonexistent.toml: cannot be read"),
    ],
)
def test_wrong_use_is_one_line_and_2(bare: Shell, arguments: list[str], told: str) -> None:
    assert bare(*arguments) == 2
    assert told in bare.err
    assert bare.err.count("\n") == 1
    assert bare.out == b""
    assert "hunter2" not in bare.err


def test_a_wrong_variable_or_file_stops_a_server_before_it_starts(
    bare: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "batchyard.toml").write_text("prot = 1")

    assert bare("serve") == 2
    assert bare.err == "batchyard: batchyard.toml: unknown key 'prot'; did you mean port?\n"
    (tmp_path / "batchyard.toml").unlink()
    monkeypatch.setenv("BATCHYARD_LEASE", "30")
    assert bare("serve") == 2
    assert bare.err.startswith("batchyard: BATCHYARD_LEASE='30': must be a duration")


def test_what_a_server_says_cannot_move_the_cursor(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        server.fail("retrieve", Refuse(400, body=b'{"error":{"type":"x","message":"\\u001b[2Jgone"}}'))
        shell = Shell(capsysbinary, server)

        assert shell("show", BATCH) == 3

    assert "\x1b" not in shell.err
    assert "[2Jgone" in shell.err


def test_trouble_that_passes_is_told_once(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        server.fail("retrieve", Drop(effect=False), Drop(effect=False))
        shell = Shell(capsysbinary, server)

        assert shell("run", write(tmp_path, 1)) == 0

    assert shell.err.count("trying again") == 1


def test_the_version_is_data(bare: Shell) -> None:
    assert bare("--version") == 0
    assert bare.out.startswith(b"batchyard 0.")


def test_what_is_done_to_a_key_can_be_read_by_a_program(bare: Shell) -> None:
    def told(*arguments: str) -> dict[str, object]:
        assert bare("keys", *arguments, "--json") == 0
        shown = json.loads(bare.out)
        assert isinstance(shown, dict)
        return shown

    made = told("create", "--workspace", "w", "--name", "laptop")
    after = told("rotate", str(made["id"]))
    ended = told("revoke", str(after["id"]))

    assert (made["workspace"], made["label"], str(made["key"])[:4]) == ("w", "laptop", "byk_")
    assert after["key"] != made["key"]
    assert ended["revoked_at"] is not None
    assert "key" not in ended
    assert bare("keys", "list", "--json") == 0
    assert b"byk_" not in bare.out
