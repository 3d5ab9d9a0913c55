"""examples/inputs: each file runs through with `batchyard run`, and gets answers of the form that it asks for."""

import csv
import json
import re
import shlex
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import ServerProcess
from tests.sdk.tools import clean_environ

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = (EXAMPLES / "README.md").read_text()
INPUTS = sorted((EXAMPLES / "inputs").glob("*.jsonl"))
LARGEST = 300_000
USE_CASES = {"content", "invoices", "labelling", "resumes", "seo", "survey", "translation"}

Json = dict[str, Any]


def lines(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("inputs") / "data") as running:
        yield running


def answers(server: ServerProcess, path: Path, folder: Path) -> list[Json]:
    """Run the job as the page says; return the Messages in the order of the requests."""
    output = folder / "results.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "batchyard", "run", str(path), "-o", str(output)],
        env=clean_environ(ANTHROPIC_BASE_URL=server.url, PYTHONPATH=":".join(sys.path)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = lines(output)
    assert [result["custom_id"] for result in results] == [request["custom_id"] for request in lines(path)]
    assert {result["result"]["type"] for result in results} == {"succeeded"}
    return [result["result"]["message"] for result in results]


def text_of(message: Json) -> str:
    [block] = message["content"]
    assert block["type"] == "text"
    return str(block["text"])


def check_instance(schema: Json, value: Json) -> None:
    """Check what these schemas say, without the simulator's own checker: members, enumerations, lengths."""
    properties = schema["properties"]
    assert set(schema["required"]) <= set(value) <= set(properties)
    for name, member in value.items():
        wanted = properties[name]
        assert member in wanted.get("enum", [member])
        if wanted["type"] in ("string", "array"):
            least, most = ("minLength", "maxLength") if wanted["type"] == "string" else ("minItems", "maxItems")
            assert wanted.get(least, 0) <= len(member) <= wanted.get(most, 1000)
        for inner in member if wanted["type"] == "array" else []:
            assert inner in wanted["items"].get("enum", [inner])


def test_there_is_one_input_for_each_use() -> None:
    assert {path.stem for path in INPUTS} == USE_CASES


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.stem)
def test_an_input_is_small_various_and_described(path: Path) -> None:
    requests = lines(path)

    assert path.stat().st_size < LARGEST
    assert 20 <= len(requests) <= 60
    assert len({json.dumps(request["params"]) for request in requests}) == len(requests)
    assert f"| `inputs/{path.name}` | {len(requests)} requests: " in PAGE
    assert re.search(rf"^batchyard run examples/inputs/{path.name} -o \w+\.jsonl$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", ["content", "translation"])
def test_texts_are_written(server: ServerProcess, tmp_path: Path, name: str) -> None:
    for message in answers(server, EXAMPLES / "inputs" / f"{name}.jsonl", tmp_path):
        assert text_of(message).startswith("This is a simulated answer")


def test_reviews_are_labelled(server: ServerProcess, tmp_path: Path) -> None:
    labels = [text_of(message) for message in answers(server, EXAMPLES / "inputs" / "labelling.jsonl", tmp_path)]

    assert set(labels) == {"positive", "negative", "neutral"}


@pytest.mark.parametrize("name", ["invoices", "resumes", "survey"])
def test_answers_follow_the_schema(server: ServerProcess, tmp_path: Path, name: str) -> None:
    path = EXAMPLES / "inputs" / f"{name}.jsonl"

    for request, message in zip(lines(path), answers(server, path, tmp_path), strict=True):
        schema = request["params"]["output_config"]["format"]["schema"]
        check_instance(schema, json.loads(text_of(message)))


def test_invoices_are_pdf_documents_of_one_page_each(server: ServerProcess, tmp_path: Path) -> None:
    path = EXAMPLES / "inputs" / "invoices.jsonl"

    for request, message in zip(lines(path), answers(server, path, tmp_path), strict=True):
        [document, _] = request["params"]["messages"][0]["content"]
        pdf = b64decode(document["source"]["data"], validate=True)
        assert pdf.startswith(b"%PDF-1.4")
        assert b"Total" in pdf
        assert pdf[int(pdf.split()[-2]) :].startswith(b"xref\n")
        assert message["usage"]["input_tokens"] > 1500


def test_page_texts_come_by_the_tool(server: ServerProcess, tmp_path: Path) -> None:
    path = EXAMPLES / "inputs" / "seo.jsonl"

    for request, message in zip(lines(path), answers(server, path, tmp_path), strict=True):
        [tool] = request["params"]["tools"]
        [use] = message["content"]
        assert (use["type"], use["name"], message["stop_reason"]) == ("tool_use", tool["name"], "tool_use")
        check_instance(tool["input_schema"], use["input"])


def test_a_table_runs_as_the_page_says(server: ServerProcess, tmp_path: Path) -> None:
    table = EXAMPLES / "tables" / "tickets.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert f"| `tables/{table.name}` | {len(rows)} rows: " in PAGE
    [command] = re.findall(rf"^batchyard (run examples/tables/{table.name} .*)$", PAGE, re.MULTILINE)
    words = [word.replace("examples/", f"{EXAMPLES}/") for word in shlex.split(command)]

    subprocess.run(
        [sys.executable, "-m", "batchyard", *words],
        env=clean_environ(ANTHROPIC_BASE_URL=server.url, PYTHONPATH=":".join(sys.path)),
        cwd=tmp_path,
        timeout=120,
        check=True,
    )

    with (tmp_path / "departments.csv").open(newline="") as file:
        answered = list(csv.DictReader(file))
    assert [{name: row[name] for name in rows[0]} for row in answered] == rows
    assert {row["result"] for row in answered} == {"succeeded"}
    assert all(row["answer"] for row in answered)
