"""`batchyard run` on every form of input and output, as a shell sees it: what is sent, what is written, the status."""

import csv
import json
from pathlib import Path

import pyarrow.parquet
import pytest

from tests.e2e.fake_api import FakeApi, running
from tests.e2e.test_cli import Shell, _no_server_is_named, write  # noqa: F401 - a fixture that is always on

REVIEWS = 'id,review\na-1,Great!\na-2,"Broken,\nsadly"\na-3,So so\n'
ROWS = ("--template", "Classify: {review}", "--model", "m", "--max-tokens", "5", "--id", "id")


def reviews(folder: Path, name: str = "reviews.csv") -> Path:
    path = folder / name
    path.write_text(REVIEWS)
    return path


def params_sent(server: FakeApi) -> list[object]:
    return [request["params"] for batch in server.batches.values() for request in batch.requests]


def test_rows_of_a_table_come_back_with_their_answers(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    with running(FakeApi(backwards=True)) as server:
        shell = Shell(capsysbinary, server)

        assert shell("run", reviews(tmp_path), *ROWS, "-o", "labels.csv", "--batch-requests", "2") == 0

    assert params_sent(server)[1] == {
        "model": "m",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "Classify: Broken,\nsadly"}],
    }
    with (tmp_path / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["a-1", "a-2", "a-3"]
    assert rows[1] == {
        "id": "a-2",
        "review": "Broken,\nsadly",
        "result": "succeeded",
        "answer": "ja – ü",
        "error": "",
        "stop_reason": "",
        "input_tokens": "10",
        "output_tokens": "3",
    }


@pytest.mark.parametrize("output", ["out.jsonl", "out.parquet", "out.tsv"])
def test_the_name_of_the_output_tells_its_form(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], output: str
) -> None:
    with running(FakeApi()) as server:
        assert Shell(capsysbinary, server)("run", reviews(tmp_path), *ROWS, "-o", output) == 0

    match output:
        case "out.jsonl":
            rows = [json.loads(line) for line in Path(output).read_text().splitlines()]
        case "out.parquet":
            rows = pyarrow.parquet.read_table(output).to_pylist()
        case _:
            with Path(output).open(newline="") as file:
                rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["id"], row["answer"]) for row in rows] == [("a-1", "ja – ü"), ("a-2", "ja – ü"), ("a-3", "ja – ü")]


def test_parquet_rows_keep_their_types(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    table = pyarrow.table({"n": pyarrow.array([1, 2], pyarrow.int8()), "tags": [["a"], []]})
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    options = ("--template", "{n}", "--model", "m", "--max-tokens", "5", "-o", "out.parquet")
    with running(FakeApi()) as server:
        assert Shell(capsysbinary, server)("run", "in.parquet", *options) == 0

    written = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert written.schema.field("n").type == pyarrow.int8()
    assert written.column("tags").to_pylist() == [["a"], []]
    assert written.column("input_tokens").to_pylist() == [10, 10]


def test_rows_may_come_back_as_plain_result_lines(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell("run", reviews(tmp_path), *ROWS, "--output-format", "lines") == 0

    assert [json.loads(line)["result"]["type"] for line in shell.out.splitlines()] == ["succeeded"] * 3


def test_answers_may_be_extracted_from_requests_too(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell("run", write(tmp_path, 2, fate="expired"), "--extract", "json", "--retries", "0") == 1

    assert [json.loads(line) for line in shell.out.splitlines()] == [
        {
            "custom_id": "r0",
            "result": "expired",
            "answer": None,
            "error": None,
            "stop_reason": None,
            "input_tokens": None,
            "output_tokens": None,
        },
        {
            "custom_id": "r1",
            "result": "succeeded",
            "answer": None,
            "error": "the answer is not JSON",
            "stop_reason": None,
            "input_tokens": 10,
            "output_tokens": 3,
        },
    ]


def test_what_did_not_succeed_is_an_input_again(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell("run", write(tmp_path, 3, fate="errored"), "-o", "out.jsonl") == 1
        assert "what did not succeed is in out.errors.jsonl" in shell.err
        assert shell("run", "out.errors.jsonl", "-o", "again.jsonl") == 1

    assert params_sent(server)[-1] == {"fate": "errored"}
    first, second = (json.loads((tmp_path / f"{name}.errors.jsonl").read_text()) for name in ("out", "again"))
    assert first == second


def test_what_may_succeed_the_next_time_is_sent_again_by_itself(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    with running(FakeApi(heals_after=2)) as server:
        shell = Shell(capsysbinary, server)

        assert shell("run", write(tmp_path, 3, fate="errored:overloaded_error"), "-o", "out.jsonl") == 0

    assert [len(batch.requests) for batch in server.batches.values()] == [3, 1, 1]
    assert "1 request may succeed the next time: sent again in 1 batch" in shell.err
    assert not (tmp_path / "out.errors.jsonl").exists()


def test_a_detached_job_is_left_to_the_server_and_fetched_by_the_same_command(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = write(tmp_path, 3)
    with running(FakeApi(looks=2)) as server:
        shell = Shell(capsysbinary, server)

        assert shell("run", path, "-o", "out.jsonl", "--detach", "--batch-requests", "2") == 0
        assert "the same command without --detach" in shell.err
        assert server.called("retrieve") == []
        assert not (tmp_path / "out.jsonl").exists()
        assert shell("run", path, "-o", "out.jsonl", "--batch-requests", "2") == 0

    assert len(server.batches) == 2
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3


def test_a_dry_run_checks_and_sends_nothing(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    path = write(tmp_path, 3)
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell("run", path, "--dry-run", "--json", "-o", "o.jsonl", "--batch-requests", "2") == 0
        assert json.loads(shell.out)["requests"] == 3
        assert [part["requests"] for part in json.loads(shell.out)["batches"]] == [2, 1]
        assert "3 requests in 2 batches" in shell.err
        assert "note: " + str(path) + ":1: params without max_tokens, in 3 requests" in shell.err
        path.write_text("?")
        assert shell("run", path, "--dry-run") == 2

    assert server.calls == []
    assert [one.name for one in tmp_path.iterdir()] == ["in.jsonl"]


def test_the_summary_may_be_json(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell("run", write(tmp_path, 3, fate="errored"), "-o", "out.jsonl", "--json") == 1

    told = json.loads(shell.out)
    assert (told["requests"], told["counts"]["succeeded"], told["counts"]["errored"]) == (3, 2, 1)
    assert told["cost_usd"] is None


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("missing.jsonl",), "missing.jsonl: cannot be read: No such file or directory"),
        (("folder",), "folder: cannot be read: Is a directory"),
        (("in.jsonl", "-o", "there.jsonl"), "there.jsonl exists: choose another output, or overwrite it with --force"),
        (("in.jsonl", "-o", "new.jsonl", "--errors", "there.jsonl"), "there.jsonl exists"),
        (("in.jsonl", "-o", "nowhere/out.jsonl"), "must be a file in a folder that exists"),
        (("in.jsonl", "-o", "in.jsonl", "--force"), "in.jsonl is the input"),
        (("in.jsonl", "-o", "theirs.jsonl"), "theirs.jsonl.batchyard is not the state of a job, or is damaged"),
        (("large.jsonl", "--batch-bytes", "101"), "large.jsonl:1: too large for any batch: the limit is 101 bytes"),
        (("rows.csv",), "give --template and --model and --max-tokens too"),
        (("rows.csv", *ROWS[2:6], "--template", "{x}"), "--template, line 1: there is no column 'x'"),
        (("rows.csv", *ROWS[2:6], "--template", "@missing"), "--template: missing cannot be read"),
        (("rows.csv", *ROWS[2:6], "--template", "@template"), "template, line 2: a single '{' that names no column"),
        (("rows.csv", *ROWS[2:6], "--template", "{id}", "--params", "[]"), "--params must be a JSON object"),
        (("answered.csv", *ROWS[2:6], "--template", "{answer}"), "column 'answer' has the name of one that the output"),
        (("in.jsonl", "--extract", "all"), "--extract 'all' is none of text, json, tool"),
        (("in.jsonl", "--format", "xml"), "--format 'xml' is none of requests"),
        (("in.jsonl", "--output-format", "xml"), "--output-format 'xml' is none of lines"),
        (("in.jsonl", "--output-format", "parquet"), "Parquet is written to a file: give -o OUTPUT"),
        (("in.jsonl", "--output-format", "lines", "--extract", "text"), "--extract makes a table of answers"),
        (("in.jsonl", "--detach"), "--detach needs -o OUTPUT"),
        (("in.jsonl", "--json"), "--json needs -o OUTPUT"),
    ],
)
def test_wrong_use_is_told_with_what_to_change_and_nothing_is_sent(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], arguments: tuple[str, ...], problem: str
) -> None:
    write(tmp_path, 3)
    (tmp_path / "folder").mkdir()
    (tmp_path / "there.jsonl").write_text("mine")
    (tmp_path / "theirs.jsonl.batchyard").write_text("mine\n")
    (tmp_path / "template").write_text("a\n{")
    (tmp_path / "large.jsonl").write_text(json.dumps({"custom_id": "a", "params": {"x": "y" * 99}}) + "\n")
    (tmp_path / "rows.csv").write_text("id\n1\n")
    (tmp_path / "answered.csv").write_text("answer\n1\n")
    before = {path.name: path.is_dir() or path.read_text() for path in tmp_path.iterdir()}
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell("run", *arguments) == 2

    assert problem in shell.err
    assert shell.out == b""
    assert server.calls == []
    assert {path.name: path.is_dir() or path.read_text() for path in tmp_path.iterdir()} == before
