"""Every form of an input becomes the same request lines; what is wrong is told with its place, and all at once."""

import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from batchyard.client.errors import BadInput, WrongUse
from batchyard.client.intakes import taken
from batchyard.client.limits import Limits
from batchyard.client.making import Making
from batchyard.client.template import Template

PARAMS = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "ja – ü"}]}
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


def lines(path: Path | str, making: Making | None = None, limits: Limits | None = None, form: str | None = None) -> Any:
    """Read an input; return its requests."""
    with taken(str(path), making=making or Making(), limits=limits or Limits(), form=form) as intake:
        intake.lines.seek(0)
        return [json.loads(line) for line in intake.lines.read().splitlines()]


def problems(
    path: Path, making: Making | None = None, limits: Limits | None = None, form: str | None = None
) -> list[str]:
    with pytest.raises(BadInput) as bad:
        lines(path, making, limits, form)
    return [problem.removeprefix(f"{path}:") for problem in bad.value.problems]


def rows(prompt: str = "Say {word}.", **options: Any) -> Making:
    return Making(Template(prompt, "--template"), model="m", max_tokens=5, **options)


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def request(number: int) -> dict[str, object]:
    return {"custom_id": f"r{number}", "params": PARAMS}


REQUEST_LINES = "".join(json.dumps(request(number)) + "\n" for number in range(3)).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.jsonl", REQUEST_LINES),
        ("in.jsonl.gz", gzip.compress(REQUEST_LINES)),
        ("in.jsonl.gz", gzip.compress(REQUEST_LINES[:40]) + gzip.compress(REQUEST_LINES[40:])),
        ("in.jsonl.zst", zstandard.compress(REQUEST_LINES)),
        ("in.jsonl.ZST", zstandard.compress(REQUEST_LINES[:40]) + zstandard.compress(REQUEST_LINES[40:])),
        ("in.json", json.dumps({"requests": [request(number) for number in range(3)]}).encode()),
        ("in.json", json.dumps({"requests": [request(number) for number in range(3)]}, indent=2).encode()),
        ("in.json.gz", gzip.compress(json.dumps({"requests": [request(n) for n in range(3)]}, indent=2).encode())),
        ("in.jsonl", REQUEST_LINES.replace(b"}]}}", b'}]},"result":{"type":"expired"}}')),
    ],
)
def test_whole_requests_come_out_as_they_went_in(tmp_path: Path, name: str, content: bytes) -> None:
    assert lines(file(tmp_path, name, content)) == [request(number) for number in range(3)]


def test_what_comes_by_standard_input_is_recognised_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (REQUEST_LINES, gzip.compress(REQUEST_LINES), zstandard.compress(REQUEST_LINES)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert lines("-") == [request(number) for number in range(3)]


def test_a_create_body_keeps_every_byte_of_its_params_but_the_ends_of_lines(tmp_path: Path) -> None:
    odd = '{"custom_id":"a", "params" : {"n":1e999,"big":118059162071741130342400,\r\n "\\u00fc":"[{\\"","x":"}]"}}'
    path = file(tmp_path, "in.json", '\n { "requests" : [\n' + odd + "\n]\n}\n")

    with taken(str(path), making=Making(), limits=Limits()) as intake:
        intake.lines.seek(0)
        assert intake.lines.read().decode() == odd.replace("\r\n", "  ") + "\n"


def test_a_create_body_larger_than_any_window_is_read_request_by_request(tmp_path: Path) -> None:
    many = [{"custom_id": f"r{n}", "params": {"x": "é" * (n % 7) * 20_000}} for n in range(40)]

    assert lines(file(tmp_path, "in.json", json.dumps({"requests": many}, ensure_ascii=False))) == many


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"requests": [{"custom_id":"a","params":{}} {"custom_id":"b","params":{}}]}', "1: cannot be read on: ','"),
        ('{"requests": [{"custom_id":"a","params":{}},]}', "2: not JSON"),
        ('{"requests": [{"custom_id":"a","params":{}}', "1: "),
        ('{"requests": [{"custom_id":"a","params":{}}], "x": 1}', "1: the body has more members than 'requests'"),
        ('{"requests": [{"custom_id":"a","params":{}}]} x', "1: something follows"),
        ('{"requests": [{"custom_id":"a","params":{"x":tru}}]}', "1: not JSON"),
        ('{"requests": [{"custom_id":"a","params":{}},7]}', "2: must be an object"),
        ('{"requests": [' + "[" * 100_000, "1: "),
    ],
)
def test_a_wrong_create_body_is_told_by_the_place_of_the_request(tmp_path: Path, content: str, problem: str) -> None:
    told = problems(file(tmp_path, "in.json", content))

    assert len(told) == 1
    assert told[0].replace("cannot be read on: ','", "cannot be read on: ','").startswith(problem[:2])
    assert problem.partition(": ")[2].removeprefix("cannot be read on: ") in told[0]


def test_bare_params_get_ids_of_their_lines_and_what_they_lack(tmp_path: Path) -> None:
    whole = '{"model":"m","max_tokens":5,"messages":[],"n":118059162071741130342400}'
    path = file(tmp_path, "in.jsonl", whole + '\n\n{"messages":[]}\n')

    with taken(str(path), making=Making(model="z", max_tokens=9), limits=Limits()) as intake:
        intake.lines.seek(0)
        first, second = intake.lines.read().decode().splitlines()

    assert first == '{"custom_id":"line-1","params":' + whole + "}"
    assert json.loads(second) == {
        "custom_id": "line-3",
        "params": {"messages": [], "model": "z", "max_tokens": 9},
    }


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_rows_are_put_into_the_template(tmp_path: Path, kind: str) -> None:
    table = [{"id": "a", "word": 'ja, "ü"', "n": "1"}, {"id": "b", "word": "two\nlines", "n": "2"}]
    path = tmp_path / f"in.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table), path)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table))
    else:
        sign = "," if kind == "csv" else "\t"
        path.write_text(
            f"id{sign}word{sign}n\na{sign}" + '"ja, ""ü"""' + f"{sign}1\nb{sign}" + '"two\nlines"' + f"{sign}2\n"
        )

    made = lines(path, rows("{{{n}}} {word}!", id_column="id", system=Template("Nr {n}", "--system"), params={"k": 1}))

    assert [one["custom_id"] for one in made] == ["a", "b"]
    assert made[0]["params"] == {
        "model": "m",
        "max_tokens": 5,
        "system": "Nr 1",
        "k": 1,
        "messages": [{"role": "user", "content": '{1} ja, "ü"!'}],
    }
    assert made[1]["params"]["messages"][0]["content"] == "{2} two\nlines!"


def test_rows_without_an_id_column_are_counted(tmp_path: Path) -> None:
    made = lines(file(tmp_path, "in.csv", "word\none\n\ntwo\n"), rows())

    assert [one["custom_id"] for one in made] == ["row-1", "row-2"]


def test_a_byte_order_mark_before_a_table_is_left_out(tmp_path: Path) -> None:
    assert len(lines(file(tmp_path, "in.csv", b"\xef\xbb\xbfword\none\n"), rows())) == 1


def test_cells_that_are_no_text_are_written_as_json(tmp_path: Path) -> None:
    path = file(tmp_path, "in.jsonl", '{"word":[1,"a"],"n":1.50,"none":null}\n')

    [made] = lines(path, rows("{word} {n} {none}."))

    assert made["params"]["messages"][0]["content"] == '[1,"a"] 1.5 .'


def test_attachments_go_before_the_prompt(tmp_path: Path) -> None:
    file(tmp_path, "a.png", PNG)
    file(tmp_path, "b.pdf", b"%PDF-1.4 ...")
    file(tmp_path, "c.txt", "notes")
    path = file(
        tmp_path,
        "in.jsonl",
        '{"word":"x","files":["a.png","b.pdf"],"more":"c.txt"}\n{"word":"y","files":[],"more":""}\n',
    )

    first, second = lines(path, rows(attach=("files", "more"), folder=tmp_path))

    content = first["params"]["messages"][0]["content"]
    assert [block["type"] for block in content] == ["image", "document", "document", "text"]
    assert [block["source"]["media_type"] for block in content[:3]] == ["image/png", "application/pdf", "text/plain"]
    assert second["params"]["messages"][0]["content"] == "Say y."


@pytest.mark.parametrize(
    ("name", "content", "making", "problem"),
    [
        (
            "in.csv",
            "word\n1\n",
            rows("{words}"),
            " --template, line 1: there is no column 'words'; the columns are: word",
        ),
        (
            "in.csv",
            "word\n1\n",
            rows(system=Template("a\n{b}", "--system")),
            " --system, line 2: there is no column 'b'",
        ),
        ("in.csv", "word\n1\n", rows(attach=("file",)), " --attach: there is no column 'file'"),
        ("in.csv", "word\n1\n", rows(id_column="id"), " --id: there is no column 'id'"),
        ("in.csv", "", rows(), " holds no header line"),
        ("in.csv", "word,word\n1,2\n", rows(), " the header names column 'word' twice"),
        ("in.csv", "word\n", rows(), " holds no request"),
        ("in.csv", "word\n1\n2,3\n", rows(), "3: has 2 fields, the header has 1"),
        ("in.csv", 'word\n1\n"2\n', rows(), "3: not a row: unexpected end of data"),
        ("in.csv", "word\n1\n \n", rows("{word}"), "3: the prompt is empty"),
        ("in.csv", b"word\n1\n\xff\n", rows(), "3: not UTF-8"),
        ("in.csv", "word\na\nb c\n", rows(id_column="word"), "3: custom_id 'b c' must be"),
        ("in.csv", "word\na\nb\na\n", rows(id_column="word"), "4: custom_id 'a' is on line 2 already"),
        ("in.csv", "word\nnone.png\n", rows(attach=("word",)), "2: attachment none.png: cannot be read"),
        ("in.jsonl", '{"word":1}\n{"w":1}\n', rows(), "2: there is no column 'word'; the columns are: w"),
        ("in.jsonl", '{"word":1}\n[]\n', rows(), "2: must be an object of columns and values"),
        ("in.parquet", b"PAR1 nonsense", rows(), " not Parquet, or damaged"),
        ("in.jsonl.gz", b"nonsense", Making(), "1: cannot be read on"),
        ("in.jsonl.gz", gzip.compress(REQUEST_LINES)[:-9], Making(), "4: cannot be read on"),
        ("in.jsonl.zst", zstandard.compress(REQUEST_LINES)[:-5], Making(), "cannot be read on: damaged zstd"),
        ("in.jsonl.zst", b"nonsense", Making(), "1: cannot be read on: damaged zstd"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, name: str, content: str | bytes, making: Making, problem: str
) -> None:
    [told] = problems(file(tmp_path, name, content), making)

    assert problem in told


def test_every_wrong_row_is_told(tmp_path: Path) -> None:
    told = problems(file(tmp_path, "in.csv", "word\na b\nok\nc d\n" + "ok\n" * 2), rows(id_column="word"))

    assert [one.partition(":")[0] for one in told] == ["2", "4", "5", "6"]


def test_an_attachment_of_an_unknown_kind_is_told(tmp_path: Path) -> None:
    file(tmp_path, "a.exe", b"MZ")

    [told] = problems(file(tmp_path, "in.csv", "word\na.exe\n"), rows(attach=("word",), folder=tmp_path))

    assert "is no PNG, JPEG, GIF, WebP or PDF" in told


@pytest.mark.parametrize("text", ["{", "}", "a {} b", "{a", "a}", "{a{b}}"])
def test_a_template_with_a_single_brace_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--template, line 1: a single"):
        Template(text, "--template")


def test_rows_without_a_template_or_a_model_are_refused_with_what_to_give(tmp_path: Path) -> None:
    path = file(tmp_path, "in.csv", "word\n1\n")

    with pytest.raises(WrongUse, match="give --template and --model and --max-tokens too"):
        lines(path)


def test_parquet_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    with pytest.raises(WrongUse, match=r"pip install 'batchyard\[parquet\]'"):
        lines(file(tmp_path, "in.parquet", b"PAR1"), rows())


def test_the_format_may_be_named(tmp_path: Path) -> None:
    assert len(lines(file(tmp_path, "in.txt", "word\na\n"), rows(), form="csv")) == 1


WHAT = {"type": "text", "text": "What?"}
PICTURE = {"url": "data:image/png;base64,AAAA"}
CALL = {"name": "look", "arguments": '{"a":1}'}
OPENAI = {
    "custom_id": "o-1",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {
        "model": "gpt",
        "max_completion_tokens": 7,
        "temperature": 0.5,
        "stop": "END",
        "n": 1,
        "seed": None,
        "user": "u-1",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": [WHAT, {"type": "image_url", "image_url": PICTURE}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "t1", "type": "function", "function": CALL}]},
            {"role": "tool", "tool_call_id": "t1", "content": "found"},
            {"role": "user", "content": "And now?"},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    },
}  # fmt: skip


def test_lines_of_the_other_batch_format_are_carried_over(tmp_path: Path) -> None:
    [made] = lines(file(tmp_path, "in.jsonl", json.dumps(OPENAI) + "\n"), Making(model="claude"))

    assert made == {
        "custom_id": "o-1",
        "params": {
            "model": "claude",
            "max_tokens": 7,
            "temperature": 0.5,
            "stop_sequences": ["END"],
            "metadata": {"user_id": "u-1"},
            "system": "Be short.",
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What?"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                    ],
                },
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "found"}]},
                        {"type": "text", "text": "And now?"},
                    ],
                },
            ],
            "tools": [{"name": "look", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
            "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        },
    }


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"n": 2}, "'n' cannot be carried over"),
        ({"logit_bias": {"1": 2}}, "'logit_bias' cannot be carried over"),
        ({"response_format": {"type": "json_object"}}, "response_format 'json_object' has no counterpart"),
        ({"messages": "x"}, "messages must be a list"),
        ({"messages": [{"role": "judge", "content": "x"}]}, "role 'judge' has no counterpart"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "'input_audio' has no counterpart"),
        ({"max_completion_tokens": None}, "max_tokens is missing"),
        ({"tools": [{}]}, "tools: function is missing"),
    ],
)
def test_what_the_messages_api_has_no_word_for_is_refused_by_name(
    tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    body = {**OPENAI["body"], **change}  # type: ignore[dict-item]
    [told] = problems(file(tmp_path, "in.jsonl", json.dumps({**OPENAI, "body": body}) + "\n"))

    assert told.startswith("1: ")
    assert problem in told


def test_lines_for_another_endpoint_are_refused(tmp_path: Path) -> None:
    [told] = problems(file(tmp_path, "in.jsonl", json.dumps({**OPENAI, "url": "/v1/embeddings"}) + "\n"))

    assert "url '/v1/embeddings' has no counterpart" in told
