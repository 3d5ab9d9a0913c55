"""Bad input of every kind, as a shell sees it: said with its place and what to change, exit status 2, nothing sent."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from batchyard.cli.main import status
from tests.e2e.fake_api import FakeApi, running
from tests.e2e.test_cli import Shell

ROWS = ("--template", "Classify: {review}", "--model", "m", "--max-tokens", "5")


@pytest.fixture(autouse=True)
def _no_server_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


def line(name: str, words: str = "") -> str:
    return f'{{"custom_id":"{name}","params":{{"model":"m","x":"{words}"}}}}\n'


def content() -> dict[str, bytes]:
    """Return what is in the folder; of an input, its size is enough."""
    paths = [path for path in Path().iterdir() if path.is_file()]
    return {path.name: path.read_bytes() if path.stat().st_size < 10_000 else b"" for path in paths}


def write(count: int, **other: str) -> None:
    """Write ``in.jsonl``; ``line_17="…"`` stands in place of the seventeenth line."""
    with Path("in.jsonl").open("w") as file:
        for number in range(1, count + 1):
            file.write(other.get(f"line_{number}") or line(f"r{number}"))


def a_file_that_nobody_may_read() -> None:
    Path("in.jsonl").mkdir()


def a_broken_line_among_a_million() -> None:
    write(1_000_000, line_999999='{"custom_id": "r999999", "params": {"model": "m"\n')


def ids_that_repeat_across_batches() -> None:
    write(30, line_25=line("r3"), line_28=line("r4"))


def a_request_too_large_for_any_batch() -> None:
    write(30, line_11=line("r11", "x" * 5000))


def a_table_without_the_column() -> None:
    Path("in.csv").write_text("id,text\n1,good\n")


def an_input() -> None:
    write(3)


def a_list_of_requests() -> None:
    Path("in.jsonl").write_text(json.dumps([{"custom_id": f"r{n}", "params": {"model": "m"}} for n in range(40)]))


def a_list_of_requests_laid_out() -> None:
    each = [{"custom_id": f"r{n}", "params": {"model": "m"}} for n in range(40)]
    Path("in.jsonl").write_text("\n" + json.dumps(each, indent=2))


def requests_spread_over_lines() -> None:
    each = [json.dumps({"custom_id": f"r{n}", "params": {"model": "m"}}, indent=2) for n in range(40)]
    Path("in.jsonl").write_text("\r\n".join(each))


def params_spread_over_lines() -> None:
    Path("in.jsonl").write_text(json.dumps({"model": "m", "max_tokens": 5, "messages": []}, indent="\t"))


def letters_of_another_encoding() -> None:
    Path("in.jsonl").write_bytes(line("r1", "für").encode("latin-1"))


def an_output_that_exists() -> None:
    write(3)
    Path("out.jsonl").write_text("kept")


def the_state_of_another_job() -> None:
    """Left by a run that was detached."""
    write(2)
    with running(FakeApi()) as server:
        assert status(["run", "in.jsonl", "-o", "out.jsonl", "--detach", "--base-url", server.base]) == 0
    write(3)


KINDS: list[tuple[Callable[[], None], tuple[str, ...], tuple[str, ...]]] = [
    (a_file_that_nobody_may_read, ("in.jsonl",), ("in.jsonl: cannot be read: Is a directory",)),
    (
        a_broken_line_among_a_million,
        ("in.jsonl",),
        ("in.jsonl:999999: not JSON: Input data was truncated. A line must be one whole",),
    ),
    (
        ids_that_repeat_across_batches,
        ("in.jsonl", "--batch-requests", "10"),
        (
            "in.jsonl:25: custom_id 'r3' is on line 3 already",
            "in.jsonl:28: custom_id 'r4' is on line 4 already",
        ),
    ),
    (
        a_request_too_large_for_any_batch,
        ("in.jsonl", "--batch-bytes", "4000"),
        ("in.jsonl:11: too large for any batch: the limit is 4000 bytes. Make it smaller",),
    ),
    (
        a_table_without_the_column,
        ("in.csv", *ROWS),
        ("in.csv: --template, line 1: there is no column 'review'", "the columns are: id, text"),
    ),
    (a_list_of_requests, ("in.jsonl",), ("in.jsonl:1: a list in JSON: write each request on a line of its own",)),
    (a_list_of_requests_laid_out, ("in.jsonl",), ('or the list as {"requests": […]}',)),
    (requests_spread_over_lines, ("in.jsonl",), ("in.jsonl:1: an object that is spread over several lines",)),
    (
        params_spread_over_lines,
        ("in.jsonl", "--format", "params"),
        ("in.jsonl:1: an object that is spread over several lines: write each request on one line",),
    ),
    (letters_of_another_encoding, ("in.jsonl",), ("in.jsonl:1: not UTF-8 at byte ", ": save the file as UTF-8")),
    (
        an_input,
        ("",),
        ("batchyard run: Invalid value for 'INPUT': it is empty: is a variable of your script not set?",),
    ),
    *(
        (an_input, ("in.jsonl", "-o", name), (f"-o {said}: the output must be a file in a folder that exists",))
        for name, said in (("", "'.'"), (".", "'.'"), ("/", "'/'"))
    ),
    (
        an_output_that_exists,
        ("in.jsonl", "-o", "out.jsonl"),
        ("out.jsonl exists: choose another output, or overwrite it with --force",),
    ),
    (
        the_state_of_another_job,
        ("in.jsonl", "-o", "out.jsonl"),
        ("out.jsonl.batchyard belongs to a job of another input", "choose another output, or remove that file"),
    ),
]


@pytest.mark.parametrize(("made", "arguments", "told"), KINDS, ids=lambda one: getattr(one, "__name__", ""))
def test_bad_input_is_told_with_its_place_and_nothing_is_sent(
    capsysbinary: pytest.CaptureFixture[bytes],
    made: Callable[[], None],
    arguments: tuple[str, ...],
    told: tuple[str, ...],
) -> None:
    made()
    before = content()
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell("run", *arguments) == 2

    assert all(words in shell.err for words in told), shell.err
    assert shell.err.count("\n") == (2 if made is ids_that_repeat_across_batches else 1)
    assert (server.calls, shell.out) == ([], b"")
    assert content() == before
