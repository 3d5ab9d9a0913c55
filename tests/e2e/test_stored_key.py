"""A model server's key from the data folder: stored by a command, sent to its URL, seen nowhere else."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.processes import CountingUpstream, ServerProcess

KEY = "sk-stored-0123456789abcdef"
SECRET = {"BATCHYARD_VAULT_SECRET": "a-secret-that-is-kept-elsewhere"}


def command(folder: Path, *words: str, environ: dict[str, str], typed: str = "") -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "batchyard", "upstreams", *words],
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        env={**os.environ, **environ},
    )
    assert KEY not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_stored_key_reaches_its_upstream_and_nobody_else(tmp_path: Path) -> None:
    with CountingUpstream() as upstream:
        settings = f'data = "data"\n[upstreams.hosted]\nurl = "{upstream.url}"\nkey_stored = true\n'
        (tmp_path / "batchyard.toml").write_text(settings)
        status, told = command(tmp_path, "set-key", "hosted", environ=SECRET, typed=f"{KEY}\n")
        assert (status, told) == (0, f"stored; it goes to {upstream.url} alone\n")
        with ServerProcess(tmp_path / "data", environ=SECRET) as server:
            batch = server.create(3)
            until = time.monotonic() + 60
            while server.call("GET", f"/v1/messages/batches/{batch['id']}")["processing_status"] != "ended":
                assert time.monotonic() < until, server.log()[-2000:]
                time.sleep(0.1)
            assert KEY not in server.log()
            assert all(KEY not in str(line) for line in server.results(batch["id"]))
        assert upstream.keys == {KEY}


@pytest.mark.parametrize(
    ("environ", "url", "words"),
    [
        ({}, "http://127.0.0.1:9", "BATCHYARD_VAULT_SECRET_FILE"),
        ({"BATCHYARD_VAULT_SECRET": "another-secret-of-that-length"}, "http://127.0.0.1:9", "cannot be opened"),
        (SECRET, "http://127.0.0.1:10", "goes to no other URL"),
    ],
)
def test_a_server_that_cannot_open_it_does_not_start(
    tmp_path: Path, environ: dict[str, str], url: str, words: str
) -> None:
    text = 'data = "data"\n[upstreams.hosted]\nurl = "{}"\nkey_stored = true\n'
    (tmp_path / "batchyard.toml").write_text(text.format("http://127.0.0.1:9"))
    assert command(tmp_path, "set-key", "hosted", environ=SECRET, typed=KEY)[0] == 0
    (tmp_path / "batchyard.toml").write_text(text.format(url))

    status, told = command(tmp_path, "test", environ=environ)

    assert status == 2
    assert words in told
    assert command(tmp_path, "forget-key", "hosted", environ=SECRET)[0] == 0
