"""The first Python SDKs that can batch, and the newest: the same whole life, nothing changed but base URL and key."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import ServerProcess
from tests.sdk import tools

LIFE = Path(__file__).with_name("life.py")
SLOW = {"BATCHYARD_SIMULATOR_LATENCY": "100ms"}
WHOLE_LIFE = {
    "created": ["message_batch", "in_progress", 2],
    "pages": True,
    "older": True,
    "newer": True,
    "counts": [1, 1, 0],
    "good": ["good", "succeeded", "text"],
    "bad": ["bad", "errored", "invalid_request_error", "max_tokens: must be greater than or equal to 1"],
    "text beside the error": True,
    "delete while it runs": ["BadRequestError", 400],
    "cancel": ["canceling", True],
    "canceled": [200, "canceled", True],
    "cancel at the end": ["BadRequestError", 400],
    "delete": "message_batch_deleted",
    "after delete": ["NotFoundError", 404],
}


@dataclass(frozen=True)
class Release:
    """A pinned SDK: the environment that holds it, and how its calls look on the wire."""

    version: str
    environment: str | None
    key: dict[str, str]
    api_version: str
    sends_beta: bool


FIRST = Release("0.36.0", "oldest-sdk", {"x-api-key": "a-key"}, "2023-06-01", sends_beta=True)
FIRST_GA = Release("0.41.0", "oldest-ga-sdk", {"x-api-key": "a-key"}, "2023-06-01", sends_beta=True)
NEWEST = Release("2.11.0", None, {"authorization": "Bearer a-key"}, "2026-10-21", sends_beta=False)
CASES = [(FIRST, "beta"), (FIRST_GA, "messages"), (FIRST_GA, "beta"), (NEWEST, "messages"), (NEWEST, "beta")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", "--concurrency", "8", environ=SLOW) as running:
        yield running


@pytest.mark.parametrize(("release", "namespace"), CASES, ids=lambda case: getattr(case, "version", case))
def test_a_whole_life(release: Release, namespace: str, server: ServerProcess) -> None:
    python = tools.python_with(release.environment) if release.environment else Path(sys.executable)
    command = [str(python), str(LIFE), server.url, namespace]
    environ = tools.clean_environ(PYTHONWARNINGS="ignore")

    ran = subprocess.run(command, capture_output=True, text=True, timeout=150, env=environ, check=False)

    assert ran.returncode == 0, (ran.stderr, server.log())
    told = json.loads(ran.stdout)
    assert told["version"] == release.version
    assert told["seen"] == WHOLE_LIFE
    for call in told["sent"]:
        check_call(call, release, beta=namespace == "beta" and release.sends_beta)


def check_call(call: dict[str, Any], release: Release, *, beta: bool) -> None:
    """The server was asked as this release asks, so that the case is what its name says."""
    named = {name: call[name] for name in ("x-api-key", "authorization") if name in call}
    assert named == release.key
    assert call["anthropic-version"] == release.api_version
    is_plain = call["method"] == "DELETE" and release is not NEWEST
    assert ("message-batches-2024-09-24" in call.get("anthropic-beta", "")) == (beta and not is_plain)
    is_results = call["path"].endswith("/results")
    assert ("beta=true" in call["query"]) == (beta and not is_plain and not is_results)
    if is_results:
        assert call["accept"] == "application/binary"
