"""A key that is revoked while a server runs opens nothing soon after, in the process that everybody calls."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.processes import ServerProcess
from tests.e2e.test_alike import key_of

PATH = "/v1/messages/batches"
LATEST = 5.0
"""Seconds that a revoked key may still open something."""


def keys(data: Path, *words: str) -> str:
    command = [sys.executable, "-m", "batchyard", "keys", *words, "--data", str(data)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.accept
def test_a_revoked_key_is_refused_within_five_seconds(tmp_path: Path) -> None:
    data = tmp_path / "data"
    kept = {"x-api-key": key_of(data, "kept")}
    with ServerProcess(data) as server:
        for number in range(5):
            mine = {"x-api-key": key_of(data, f"w{number}")}
            until = time.monotonic() + LATEST
            while server.raw("GET", PATH, headers=mine)[0] != 200:
                assert time.monotonic() < until, "a key that was made is not known"
            listed = [json.loads(line) for line in keys(data, "list", "--json").splitlines()]
            [key] = [each["id"] for each in listed if each["workspace"] == f"w{number}"]
            keys(data, "revoke", key)
            until = time.monotonic() + LATEST
            while server.raw("GET", PATH, headers=mine)[0] != 401:
                assert time.monotonic() < until, "a key that was revoked still opens"
            assert server.raw("GET", PATH, headers=kept)[0] == 200
