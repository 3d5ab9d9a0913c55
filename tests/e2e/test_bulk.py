"""A large job, killed again and again: each row answered once, no batch made twice, memory that does not grow."""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.bulk_server import fails

ROOT = Path(__file__).parents[2]
MOST_MEGABYTES = 150
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("BATCHYARD_", "ANTHROPIC_"))}
JOB = """
import asyncio, sys
from pathlib import Path
from batchyard.client.api import Api
from batchyard.client.job import Job, prepared
from batchyard.client.limits import Limits

async def go(work, url):
    async with Api(url, "local") as api:
        return await work.go(api, lambda event: print(event, file=sys.stderr, flush=True), sys.stdout.buffer)

source, output, url, requests, settle = sys.argv[1:]
job = Job(source, Path(output), limits=Limits(int(requests)), retries=2, settle_seconds=float(settle))
with prepared(job, url) as work:
    tally = asyncio.run(go(work, url))
sys.exit(0 if tally.all_succeeded else 1)
"""

STARTER = """
import os, sys
client = os.posix_spawn(
    sys.executable, [sys.executable, *sys.argv[1:]], os.environ,
    file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
)
print(client, flush=True)
os.close(2)
sys.stdin.read()
_, status, usage = os.wait4(client, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss // 1024)
"""
"""Starts a client and says what it took. A process begins with the memory of the one that forks it, in Linux's sums:
a client started by the tests themselves would be charged with theirs. It is waited for only once its standard error
has ended, so that its id is nobody else's while it may be killed."""


@dataclass
class Server:
    """The server and what it has made."""

    folder: Path
    url: str

    def made(self) -> list[list[str]]:
        """The custom_ids of each batch, in the order in which the batches came."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        connection.request("GET", "/made")
        count = len(json.loads(connection.getresponse().read()))
        connection.close()
        return [(self.folder / f"{number}.ids").read_text().split("\n") for number in range(count)]


@contextmanager
def a_server(folder: Path, *options: str) -> Iterator[Server]:
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.bulk_server", str(folder), *options],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        yield Server(folder, f"http://127.0.0.1:{process.stdout.readline().strip()}")
    finally:
        process.kill()
        process.communicate()


@dataclass
class Runs:
    """Starts the same job again and again, and remembers the most memory that any start took."""

    arguments: list[str]
    kills: int = 0
    megabytes: int = 0
    errors: list[str] = field(default_factory=list)

    def once(self, *, lines: int | None = None, seconds: float | None = None) -> bool:
        """Start it; kill it after so many lines of standard error, or so many seconds. True if it ended by itself."""
        starter = subprocess.Popen(
            [sys.executable, "-S", "-c", STARTER, *self.arguments],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert starter.stdout is not None
        assert starter.stderr is not None
        pid = int(starter.stdout.readline())
        timer = threading.Timer(seconds or 3600, os.kill, (pid, signal.SIGKILL))
        timer.start()
        for count, line in enumerate(starter.stderr, start=1):
            self.errors.append(line)
            if count == lines:
                os.kill(pid, signal.SIGKILL)
        timer.cancel()
        timer.join()
        rest, _ = starter.communicate()
        returncode, megabytes = map(int, rest.split())
        self.megabytes = max(self.megabytes, megabytes)
        self.kills += returncode == -signal.SIGKILL
        assert returncode in (0, -signal.SIGKILL), "".join(self.errors[-20:])
        return returncode == 0


def write_input(path: Path, count: int) -> list[str]:
    ids = [f"request-{number:07d}" for number in range(count)]
    with path.open("w") as file:
        for custom_id in ids:
            words = f"Classify review {custom_id}: a great product, I would buy it again."
            params = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": words}]}
            file.write(json.dumps({"custom_id": custom_id, "params": params}) + "\n")
    return ids


def check_all(server: Server, output: Path, ids: list[str], batch_requests: int) -> None:
    """Each row once and in order, each batch once, and sent again what failed, once."""
    with output.open() as lines:
        results = (json.loads(line) for line in lines)
        assert all(
            line["custom_id"] == one and line["result"]["type"] == "succeeded"
            for line, one in zip(results, ids, strict=True)
        )
    made = server.made()
    failed = [one for one in ids if fails(one)]
    assert failed
    first = [ids[start : start + batch_requests] for start in range(0, len(ids), batch_requests)]
    again = [failed[start : start + batch_requests] for start in range(0, len(failed), batch_requests)]
    assert Counter(map(tuple, made)) == Counter(map(tuple, first + again))


def arguments(server: Server, source: Path, output: Path, batch_requests: int, *, knows_keys: bool) -> list[str]:
    if knows_keys:
        sizes = ["--batch-requests", str(batch_requests), "--base-url", server.url]
        return ["-m", "batchyard", "run", str(source), "-o", str(output), *sizes]
    return ["-c", JOB, str(source), str(output), server.url, str(batch_requests), "3"]


@pytest.mark.parametrize("knows_keys", [True, False])
def test_a_job_killed_at_every_stage_answers_each_row_once(tmp_path: Path, knows_keys: bool) -> None:
    ids = write_input(tmp_path / "in.jsonl", 6_000)
    with a_server(tmp_path / "server", *([] if knows_keys else ["--no-keys"])) as server:
        output = tmp_path / "out.jsonl"
        runs = Runs(arguments(server, tmp_path / "in.jsonl", output, 1_000, knows_keys=knows_keys))
        for lines in (1, 3, 2, 4, 3):
            if runs.once(lines=lines):
                break
        else:
            assert runs.once()

        check_all(server, output, ids, 1_000)

    assert runs.kills == 5
    assert runs.megabytes <= MOST_MEGABYTES


@pytest.mark.accept
@pytest.mark.parametrize("knows_keys", [True, False])
def test_a_million_requests_survive_fifty_kills_in_little_memory(tmp_path: Path, knows_keys: bool) -> None:
    chance = random.Random(7)
    ids = write_input(tmp_path / "in.jsonl", 1_000_000)
    options = [] if knows_keys else ["--no-keys"]
    with a_server(tmp_path / "still", *options) as server:
        undisturbed = tmp_path / "undisturbed.jsonl"
        still = Runs(arguments(server, tmp_path / "in.jsonl", undisturbed, 100_000, knows_keys=knows_keys))
        assert still.once()
        check_all(server, undisturbed, ids, 100_000)

    disturbed = Runs([])
    job = 0
    while disturbed.kills < 50:
        job += 1
        output = tmp_path / f"out-{job}.jsonl"
        with a_server(tmp_path / f"server-{job}", *options) as server:
            disturbed.arguments = arguments(server, tmp_path / "in.jsonl", output, 100_000, knows_keys=knows_keys)
            while not disturbed.once(seconds=chance.uniform(0.2, 25) if disturbed.kills < 50 else None):
                pass
            check_all(server, output, ids, 100_000)
        assert subprocess.run(["cmp", undisturbed, output], check=False).returncode == 0
        output.unlink()

    print(f"kills {disturbed.kills}, jobs {job}, MB still {still.megabytes}, MB disturbed {disturbed.megabytes}")  # noqa: T201
    assert max(still.megabytes, disturbed.megabytes) <= MOST_MEGABYTES
