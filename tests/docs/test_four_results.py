"""docs/four-results.md: its request lines, on servers set up as it says, end as it says."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic

from batchyard.domain.result import ERROR_TYPES
from tests.e2e.processes import ServerProcess
from tests.sdk import tools

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "four-results.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
SECONDS = 60

Json = dict[str, Any]


def body(kind: str) -> bytes:
    """Return a create of every request line of the section."""
    blocks = re.findall(r"```jsonl\n(.*?)```", SECTIONS[kind], re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return ('{"requests": [' + ",".join(lines) + "]}").encode()


def options(kind: str) -> tuple[list[str], dict[str, str]]:
    """Return the options and the environment that the section starts its server with."""
    found = re.search(r"^(?:(BATCHYARD_\w+)=(\S+) )?batchyard serve(.*)$", SECTIONS[kind], re.MULTILINE)
    assert found is not None
    return found[3].split(), {found[1]: found[2]} if found[1] else {}


def follow(server: ServerProcess, batch_id: str) -> Json:
    deadline = time.monotonic() + SECONDS
    while True:
        batch: Json = server.call("GET", f"/v1/messages/batches/{batch_id}")
        if batch["processing_status"] == "ended":
            return batch
        assert time.monotonic() < deadline
        time.sleep(0.05)


def results(server: ServerProcess, batch_id: str) -> dict[str, Json]:
    return {line["custom_id"]: line["result"] for line in server.results(batch_id)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("four") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def canceled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, str]]:
    chosen, environ = options("Canceled")
    with ServerProcess(tmp_path_factory.mktemp("canceled") / "data", *chosen, environ=environ) as running:
        batch = running.call("POST", "/v1/messages/batches", body("Canceled"))
        while running.call("GET", f"/v1/messages/batches/{batch['id']}")["request_counts"]["succeeded"] < 1:
            time.sleep(0.02)
        canceling = running.call("POST", f"/v1/messages/batches/{batch['id']}/cancel")
        assert canceling["processing_status"] == "canceling"
        follow(running, batch["id"])
        yield running, batch["id"]


@pytest.fixture(scope="module")
def expired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, str]]:
    chosen, environ = options("Expired")
    with ServerProcess(tmp_path_factory.mktemp("expired") / "data", *chosen, environ=environ) as running:
        batch = running.call("POST", "/v1/messages/batches", body("Expired"))
        follow(running, batch["id"])
        yield running, batch["id"]


def test_requests_that_are_right_succeed(server: ServerProcess) -> None:
    batch = server.call("POST", "/v1/messages/batches", body("Succeeded"))
    follow(server, batch["id"])

    got = results(server, batch["id"])

    assert {name: (result["type"], result["message"]["stop_reason"]) for name, result in got.items()} == {
        "fine": ("succeeded", "end_turn"),
        "refused-by-the-model": ("succeeded", "refusal"),
        "cut": ("succeeded", "max_tokens"),
    }


def test_wrong_requests_and_markers_are_errored_with_their_type(server: ServerProcess) -> None:
    batch = server.call("POST", "/v1/messages/batches", body("Errored"))
    follow(server, batch["id"])

    got = results(server, batch["id"])

    wrong = dict.fromkeys(("no-tokens", "no-messages", "streams", "unknown-key"), "invalid_request_error")
    assert {result["type"] for result in got.values()} == {"errored"}
    assert {result["error"]["type"] for result in got.values()} == {"error"}
    assert {name: result["error"]["error"]["type"] for name, result in got.items()} == {
        **wrong,
        "unknown-model": "not_found_error",
        **{kind: kind for kind in ERROR_TYPES},
    }


def test_what_had_not_begun_is_canceled(canceled: tuple[ServerProcess, str]) -> None:
    server, batch_id = canceled

    got = results(server, batch_id)

    assert got["done"]["type"] == got["begun"]["type"] == "succeeded"
    assert got["waiting-1"] == got["waiting-2"] == {"type": "canceled"}


def test_what_had_not_begun_in_time_is_expired(expired: tuple[ServerProcess, str]) -> None:
    server, batch_id = expired

    got = results(server, batch_id)

    assert [(name, result["type"]) for name, result in got.items()] == [
        ("in-time", "succeeded"),
        ("slow", "succeeded"),
        ("too-late", "expired"),
    ]


def test_the_sdk_reads_each_kind(
    server: ServerProcess, canceled: tuple[ServerProcess, str], expired: tuple[ServerProcess, str]
) -> None:
    errored = server.call("POST", "/v1/messages/batches", body("Errored"))["id"]
    follow(server, errored)
    kinds = set()

    for running, batch_id in ((server, errored), canceled, expired):
        with Anthropic(base_url=running.url, api_key="any") as client:
            kinds |= {line.result.type for line in client.messages.batches.results(batch_id)}

    assert kinds == {"succeeded", "errored", "canceled", "expired"}


def test_the_typescript_example_prints_each_kind(
    server: ServerProcess, canceled: tuple[ServerProcess, str], expired: tuple[ServerProcess, str], tmp_path: Path
) -> None:
    node, packages = tools.node_with_packages()
    for name in ("retrieve-results.mjs", "sample.mjs"):
        (tmp_path / name).write_bytes((ROOT / "examples" / "typescript" / name).read_bytes())
    (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    errored = server.call("POST", "/v1/messages/batches", body("Errored"))["id"]

    printed = ""
    for running, batch_id in ((server, errored), canceled, expired):
        environ = tools.clean_environ(ANTHROPIC_BASE_URL=running.url, ANTHROPIC_API_KEY="any", POLL_SECONDS="0.1")
        done = subprocess.run(
            [node, "retrieve-results.mjs", batch_id],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
        printed += done.stdout + done.stderr

    assert "[in-time]: This is a simulated answer" in printed
    assert "[no-tokens] Error: invalid_request_error: max_tokens: must be greater than or equal to 1" in printed
    assert "[waiting-1] Canceled" in printed
    assert "[too-late] Expired" in printed
