"""``serve --compat-fixtures``, asked by hand: what is different, and that nothing else is."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.processes import ServerProcess
from tests.sdk.raw import BATCHES, KEY, a_create, ask
from tests.sdk.tools import clean_environ

FIXTURE = f"{BATCHES}/message_batch_id"
CURSORS = "?after_id=after_id&before_id=before_id&limit=1"
WORKSPACE = {"anthropic-workspace-id": "wrkspc_011CZkZaBF1tNoB5wlCeusgy"}
UNKNOWN = "msgbatch_01AAAAAAAAAAAAAAAAAAAAAA"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("fixtures") / "data", "--compat-fixtures") as running:
        yield running


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("usual") / "data") as running:
        yield running


def test_the_batch_of_the_fixtures_outlives_everything(server: ServerProcess) -> None:
    for method, path in [("DELETE", ""), ("POST", "/cancel"), ("GET", ""), ("DELETE", ""), ("GET", "/results")] * 2:
        reply = ask(server.url, method, FIXTURE + path, b"" if method != "GET" else None)

        assert reply.status == 200
        assert reply.headers["request-id"].startswith("req_")


def test_its_results_are_where_it_says_they_are(server: ServerProcess) -> None:
    batch = ask(server.url, "GET", FIXTURE).json()

    assert batch["results_url"] == f"{server.url}{FIXTURE}/results"
    assert batch["request_counts"] == {"processing": 0, "succeeded": 1, "errored": 0, "canceled": 0, "expired": 0}
    lines = ask(server.url, "GET", f"{FIXTURE}/results")
    assert lines.headers["content-type"] == "application/x-jsonl"
    assert lines.body.count(b"\n") == 1
    assert lines.json()["result"]["message"]["role"] == "assistant"


def test_canceled_it_looks_as_a_batch_does_that_is_cancelled(server: ServerProcess) -> None:
    batch = ask(server.url, "POST", f"{FIXTURE}/cancel", b"").json()

    assert batch["processing_status"] == "canceling"
    assert batch["cancel_initiated_at"] is not None
    assert batch["results_url"] is batch["ended_at"] is None


def test_cursors_that_are_no_ids_are_left_out_and_the_rest_of_the_query_counts(server: ServerProcess) -> None:
    for _ in range(2):
        ask(server.url, "POST", BATCHES, a_create("a"), {**KEY, "x-api-key": "pages"})

    page = ask(server.url, "GET", BATCHES + CURSORS, None, {**KEY, "x-api-key": "pages"})

    assert page.status == 200
    assert len(page.json()["data"]) == 1
    assert page.json()["has_more"] is True
    assert ask(server.url, "GET", f"{BATCHES}?after_id=after_id&limit=0").status == 400
    assert ask(server.url, "GET", f"{BATCHES}?after_id=before_id").status == 400
    assert ask(server.url, "GET", f"{BATCHES}?after_id=nonsense").status == 400


def test_the_workspace_of_the_tests_and_any_beta_are_taken(server: ServerProcess) -> None:
    headers = {**KEY, **WORKSPACE, "anthropic-beta": "string", "anthropic-user-profile-id": "anthropic-user-profile-id"}

    assert ask(server.url, "POST", BATCHES, a_create("a"), headers).status == 200
    assert ask(server.url, "GET", f"{FIXTURE}?beta=true", None, headers).status == 200
    other = ask(server.url, "GET", FIXTURE, None, {**KEY, "anthropic-workspace-id": "another"})
    assert other.status == 403
    assert ask(server.url, "GET", FIXTURE, None, {"anthropic-version": "2023-06-01"}).status == 401


def test_other_batches_keep_their_rules(server: ServerProcess) -> None:
    created = ask(server.url, "POST", BATCHES, a_create("a", "b"), KEY).json()
    mine = f"{BATCHES}/{created['id']}"

    assert ask(server.url, "GET", mine).status == 200
    deadline = time.monotonic() + 60
    while ask(server.url, "GET", mine).json()["processing_status"] != "ended":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ask(server.url, "POST", f"{mine}/cancel", b"").status == 400
    assert ask(server.url, "DELETE", mine).status == 200
    assert ask(server.url, "DELETE", mine).status == 404
    assert ask(server.url, "GET", f"{BATCHES}/{UNKNOWN}").status == 404
    assert ask(server.url, "PUT", FIXTURE, b"").status == 405


def test_a_key_that_was_made_opens_its_own_workspace_and_a_strangers_does_not(server: ServerProcess) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "batchyard", "keys", "create", "--workspace", "mine", "--data", str(server.data)],
        capture_output=True,
        text=True,
        check=True,
    )
    key = next(word for word in made.stdout.split() if word.startswith("byk_"))
    is_known = {**KEY, "x-api-key": key, "anthropic-workspace-id": "mine"}
    deadline = time.monotonic() + 30
    while ask(server.url, "GET", BATCHES, None, is_known).status != 200:  # it looks for new keys once a second
        assert time.monotonic() < deadline
        time.sleep(0.1)

    created = ask(server.url, "POST", BATCHES, a_create("a"), is_known)

    assert created.status == 200
    path = f"{BATCHES}/{created.json()['id']}"
    assert ask(server.url, "GET", path, None, {**KEY, "x-api-key": key}).status == 200
    assert ask(server.url, "GET", path).status == 404


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/results")])
def test_without_the_option_there_are_no_fixtures(method: str, path: str, usual: ServerProcess) -> None:
    assert ask(usual.url, method, FIXTURE + path, b"").status == 404
    assert ask(usual.url, "GET", BATCHES + CURSORS).status == 400
    assert ask(usual.url, "GET", BATCHES, None, {**KEY, **WORKSPACE}).status == 403


def test_other_machines_may_not_reach_a_server_that_takes_any_key(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "batchyard", "serve", "--compat-fixtures", "--host", "0.0.0.0", "--port", "0"]

    ran = subprocess.run(
        [*command, "--data", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**clean_environ(), "BATCHYARD_BOOTSTRAP_KEY": "a-key-of-mine", "PYTHONPATH": ":".join(sys.path)},
    )

    assert ran.returncode == 2
    assert "--compat-fixtures takes any key" in ran.stderr
