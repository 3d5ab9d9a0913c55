"""The wall clock jumps under a real server, while it runs and over restarts: nothing expires and nothing goes by it."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.processes import CountingUpstream, ServerProcess

DAY = 86_400.0
BATCHES = "/v1/messages/batches"
SITE = """
import time
from pathlib import Path

_true, _file = time.time, Path({file!r})
time.time = lambda: _true() + float(_file.read_text())
"""


class Jumping:
    """A wall clock that a server's Python reads, ahead of the true one by what a file says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "site"
        self.folder.mkdir()
        self._file = self.folder / "ahead"
        self.to(0.0)
        (self.folder / "sitecustomize.py").write_text(SITE.format(file=str(self._file)))

    def to(self, seconds: float) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)


def server_of(tmp_path: Path, clock: Jumping, upstream: CountingUpstream, **settings: str) -> ServerProcess:
    import os

    path = os.pathsep.join([str(clock.folder), os.environ.get("PYTHONPATH", "")])
    environ = {"PYTHONPATH": path, **{f"BATCHYARD_{name.upper()}": value for name, value in settings.items()}}
    return ServerProcess(tmp_path / "data", "--upstream", upstream.url, "--concurrency", "2", environ=environ)


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def events(server: ServerProcess, name: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


@pytest.mark.parametrize("jump", [31 * DAY, -31 * DAY])
def test_a_jump_ends_nothing_while_it_runs_nor_over_a_restart(tmp_path: Path, jump: float) -> None:
    clock = Jumping(tmp_path)
    with CountingUpstream(latency=0.3) as upstream, server_of(tmp_path, clock, upstream) as server:
        done = server.create(1)["id"]
        until(lambda: server.call("GET", f"{BATCHES}/{done}")["processing_status"] == "ended")
        running = server.create(40)["id"]
        before = server.call("GET", f"{BATCHES}/{running}")

        clock.to(jump)
        until(lambda: len(events(server, "clock_jumped")) == 1)
        server.kill()
        server.start()
        until(lambda: len(events(server, "clock_jumped")) == 2)
        after = server.call("GET", f"{BATCHES}/{server.create(1)['id']}")

        assert after["created_at"][:10] <= before["expires_at"][:10]
        assert after["created_at"] > before["created_at"]
        until(lambda: server.call("GET", f"{BATCHES}/{running}")["processing_status"] == "ended")
        assert server.call("GET", f"{BATCHES}/{running}")["request_counts"]["succeeded"] == 40
        assert [line["custom_id"] for line in server.results(done)] == ["r0"]
        assert not events(server, "deadlines_held")


def test_after_another_boot_deadlines_that_have_passed_are_held_with_an_alarm(tmp_path: Path) -> None:
    clock = Jumping(tmp_path)
    with CountingUpstream(latency=5.0) as upstream, server_of(tmp_path, clock, upstream) as server:
        running = server.create(40)["id"]
        until((tmp_path / "data" / "clock.json").exists)
        server.kill()
        note = json.loads((tmp_path / "data" / "clock.json").read_text())
        (tmp_path / "data" / "clock.json").write_text(json.dumps({**note, "boot": "another"}))
        clock.to(31 * DAY)

        server.start()

        [alarm] = events(server, "deadlines_held")
        assert (alarm["batches"], alarm["seconds"], alarm["level"]) == (1, 600.0, "error")
        calls = sum(upstream.calls.values())
        time.sleep(2.5)
        assert server.call("GET", f"{BATCHES}/{running}")["processing_status"] == "in_progress"
        assert sum(upstream.calls.values()) == calls

        server.kill()
        clock.to(0.0)
        server.start()
        assert len(events(server, "deadlines_held")) == 1
        until(lambda: sum(upstream.calls.values()) > calls)
