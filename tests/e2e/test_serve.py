"""``batchyard serve`` as a process: its line, its signals, its refusals."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.processes import CountingUpstream, ServerProcess


def refused(folder: Path, *options: str, environ: dict[str, str] | None = None) -> str:
    """Start a server that must not start; return its one line."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "batchyard", "serve", "--port", "0", "--data", str(folder / "data"), *options],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=folder,
        env={**os.environ, **(environ or {})},
    )
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert time.monotonic() - began < 20
    return lines[0]


def test_health_and_metrics(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        assert server.raw("GET", "/healthz")[0] == 200
        assert server.raw("GET", "/readyz")[0] == 200
        status, text = server.raw("GET", "/metrics")
        assert status == 200
        assert b"batchyard_attempts_in_flight" in text


def test_the_line_names_where_it_listens_and_the_results_where_clients_reach_it(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", "--public-url", "https://batches.example/api/") as server:
        assert server.url.startswith("http://127.0.0.1:")
        batch_id = server.create(1)["id"]
        while not (url := server.call("GET", f"/v1/messages/batches/{batch_id}")["results_url"]):
            time.sleep(0.05)

        assert url == f"https://batches.example/api/v1/messages/batches/{batch_id}/results"


def test_a_stop_finishes_what_is_in_flight_and_a_start_goes_on(tmp_path: Path) -> None:
    with CountingUpstream(latency=0.5) as upstream:
        options = ("--upstream", upstream.url, "--concurrency", "5")
        with ServerProcess(tmp_path / "data", *options) as server:
            batch_id = server.create(15)["id"]
            while sum(upstream.calls.values()) < 7:
                time.sleep(0.01)
            assert server.stop() == 0
            calls = sum(upstream.calls.values())
            assert calls < 15
            server.start()
            while server.call("GET", f"/v1/messages/batches/{batch_id}")["processing_status"] != "ended":
                time.sleep(0.05)

            assert len(server.results(batch_id)) == 15
            assert upstream.repeated == 0
            assert sum(upstream.calls.values()) == 15


def test_a_second_signal_stops_at_once_and_loses_nothing_stored(tmp_path: Path) -> None:
    with CountingUpstream(latency=30.0) as upstream, ServerProcess(tmp_path / "data", "--upstream", upstream.url) as it:
        batch_id = it.create(3)["id"]
        while sum(upstream.calls.values()) < 3:
            time.sleep(0.01)
        assert it.process is not None
        began = time.monotonic()
        it.process.send_signal(signal.SIGINT)
        while it.raw("GET", "/readyz")[0] == 200:
            time.sleep(0.01)
        it.process.send_signal(signal.SIGINT)
        it.process.wait(20)
        assert time.monotonic() - began < 20
        it.kill()
        it.start()
        assert it.call("GET", f"/v1/messages/batches/{batch_id}")["request_counts"]["processing"] == 3


def test_a_second_server_on_the_folder_leaves_and_says_who_holds_it(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        assert server.process is not None
        line = refused(tmp_path)
        assert str(server.process.pid) in line
        assert server.raw("GET", "/readyz")[0] == 200


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in refused(tmp_path, "--port", str(port))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--concurrency", "0"), "concurrency"),
        (("--concurrency", "many"), "concurrency"),
        (("--upstream", "ftp://example"), "upstream"),
        (("--upstream", "not a url"), "upstream"),
        (("--config", "missing.toml"), "missing.toml"),
        (("--database", "mysql://x"), "database"),
        (("--host", "0.0.0.0"), "key"),
    ],
)
def test_a_wrong_option_is_refused_and_nothing_is_touched(tmp_path: Path, options: tuple[str, ...], named: str) -> None:
    assert named in refused(tmp_path, *options)
    if "--host" not in options:
        assert not (tmp_path / "data").exists()


def test_a_wrong_variable_or_key_of_the_file_is_named(tmp_path: Path) -> None:
    assert "BATCHYARD_LEASE" in refused(tmp_path, environ={"BATCHYARD_LEASE": "soon"})
    (tmp_path / "batchyard.toml").write_text("concurency = 3\n")
    line = refused(tmp_path)
    assert "concurency" in line
    assert "concurrency" in line


def test_a_foreign_folder_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "batchyard.db").write_bytes(b"this is somebody's diary" * 100)
    assert "batchyard.db" in refused(tmp_path)
    assert [path.name for path in (tmp_path / "data").iterdir() if path.suffix == ".db"] == ["batchyard.db"]
    assert (tmp_path / "data" / "batchyard.db").read_bytes() == b"this is somebody's diary" * 100


def test_results_survive_a_restart_byte_for_byte(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        batch_id = server.create(20)["id"]
        while server.call("GET", f"/v1/messages/batches/{batch_id}")["processing_status"] != "ended":
            time.sleep(0.05)
        path = f"/v1/messages/batches/{batch_id}/results"
        before = server.raw("GET", path)
        server.kill()
        server.start()

        assert server.raw("GET", path) == before
