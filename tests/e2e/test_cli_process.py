"""The program as a process: signals, pipes, standard input, what it imports to print help."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.fake_api import FakeApi, running

COMMAND = [sys.executable, "-m", "batchyard"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("BATCHYARD_", "ANTHROPIC_"))}
INPUT = "".join(json.dumps({"custom_id": f"r{n}", "params": {}}) + "\n" for n in range(2000))
FOR_EVER = 10**9


def start(*arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start the program with Ctrl-C as a terminal has it: a shell that runs the tests in the background ignores it."""
    ours = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return subprocess.Popen(
            [*COMMAND, *arguments], env=ENVIRONMENT, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    finally:
        signal.signal(signal.SIGINT, ours)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_the_batches_running_and_says_how_to_come_back(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "in.jsonl").write_text(INPUT)
    with running(FakeApi(looks=FOR_EVER)) as server:
        command = ("run", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl"), "--base-url", server.base)
        process = start(*command)
        assert process.stderr is not None
        heard = b""
        while b"0 of 2,000" not in heard:
            heard += process.stderr.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)

        assert process.returncode == code
        assert b"the same command goes on where this one stopped" in err
        assert out == b""
        [batch] = server.batches.values()
        batch.looks = 0
        again = start(*command)
        again.communicate(timeout=30)

    assert again.returncode == 0
    assert len(server.batches) == 1
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2000


def test_input_may_come_by_a_pipe_and_results_leave_by_one(tmp_path: Path) -> None:
    with running(FakeApi()) as server:
        process = start("run", "-", "--base-url", server.base, stdin=subprocess.PIPE)
        out, err = process.communicate(INPUT.encode(), timeout=30)

    assert process.returncode == 0, err
    assert [json.loads(line)["custom_id"] for line in out.splitlines()] == [f"r{n}" for n in range(2000)]


def test_a_reader_that_goes_away_ends_the_program_quietly(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(INPUT)
    with running(FakeApi()) as server:
        process = start("run", str(tmp_path / "in.jsonl"), "--base-url", server.base)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.wait(timeout=30)
        process.stderr.close()

    assert process.returncode == 141
    assert b"Traceback" not in err
    assert b"Exception ignored" not in err


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_server_whose_streams_are_closed_runs_and_stops_as_any(tmp_path: Path, closed: str) -> None:
    """Without care the event loop gets their numbers, and aborts the process when it closes them."""
    data, log = tmp_path / "data", tmp_path / "log"
    open_streams = "" if "2>&-" in closed else f"2>{log}"
    process = subprocess.Popen(
        ["sh", "-c", f'exec "$@" {closed} {open_streams}', "sh", *COMMAND, "serve", "--port", "0", "--data", str(data)],
        env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: "http" in (data / "owner.lock").read_text() if (data / "owner.lock").exists() else False, process)
        process.terminate()
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
    assert "Traceback" not in (log.read_text() if log.exists() else "")


@pytest.mark.parametrize("command", ["list", "--version"])
def test_data_that_cannot_be_written_is_no_success(command: str) -> None:
    with running(FakeApi()) as server:
        for where in (">&-", ">/dev/full"):
            done = subprocess.run(
                ["sh", "-c", f'exec "$@" {where}', "sh", *COMMAND, command],
                env=ENVIRONMENT | {"ANTHROPIC_BASE_URL": server.base}, capture_output=True, check=False, timeout=60,
            )  # fmt: skip
            assert done.returncode == 2
            assert done.stderr.startswith(b"batchyard: reading or writing: ")
            assert done.stderr.count(b"\n") == 1


def until(true: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_help_imports_no_server_no_client_and_no_tables() -> None:
    program = (
        "import sys; sys.argv = ['batchyard', '--help']\nfrom batchyard.cli.main import status\nstatus(['--help'])\n"
    )
    heavy = "{'aiohttp', 'starlette', 'uvicorn', 'apsw', 'rich', 'msgspec', 'asyncio.unix_events'}"

    done = subprocess.run(
        [sys.executable, "-c", f"{program}sys.stderr.write(repr(sorted({heavy} & set(sys.modules))))"],
        env=ENVIRONMENT, capture_output=True, check=True, timeout=60,
    )  # fmt: skip

    assert done.stderr == b"[]"
    assert b"Usage: batchyard" in done.stdout
