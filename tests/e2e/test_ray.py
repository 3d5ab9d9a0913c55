"""Dispatchers on a real Ray cluster of several nodes on loopback: a node dies, the program that made them dies, the
head is gone for seconds. Nothing is lost, and calls are repeated within what the deaths may cost.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.processes import CountingUpstream
from tests.e2e.test_postgres import SLOTS, Fleet
from tests.postgres import Cluster
from tests.sdk.tools import python_with

pytestmark = pytest.mark.accept
ROOT = Path(__file__).parents[2]
LEASE = "2s"
Program = subprocess.Popen[bytes]


class RayCluster:
    """The cluster, in a process of its own, and programs that use it."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.python = python_with("ray")
        self.folder = folder
        self.environ = {
            **os.environ,
            **environ,
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        log = (folder / "ray.log").open("w")
        self.process = subprocess.Popen(
            [self.python, ROOT / "tests" / "e2e" / "ray_cluster.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=self.environ,
            start_new_session=True,
        )
        log.close()
        self.address = self._line().removeprefix("ray ")

    def _line(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(("ray ", "done")):
                return line.strip()
        raise AssertionError((self.folder / "ray.log").read_text()[-3000:])

    def tell(self, what: str) -> None:
        """Give an order and wait until it is done."""
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        assert self._line() == "done"

    def up(self, *options: str) -> Program:
        """Start ``batchyard ray up``."""
        with (self.folder / "up.log").open("a") as log:
            command = [
                str(self.python),
                "-m",
                "batchyard",
                "ray",
                "up",
                "--address",
                self.address,
                "--resource",
                "dispatch",
            ]
            return subprocess.Popen([*command, *options], stderr=log, cwd=self.folder, env=self.environ)

    def until_said(self, words: str, seconds: float = 120.0) -> None:
        """Wait until a ``batchyard ray up`` has said something."""
        deadline = time.monotonic() + seconds
        while words not in (self.folder / "up.log").read_text():
            assert time.monotonic() < deadline, (self.folder / "up.log").read_text()[-2000:]
            time.sleep(0.2)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def on_ray(folder: Path, *options: str, latency: float = 0.05) -> Iterator[tuple[Fleet, RayCluster, list[Program]]]:
    """Start an API process, a Ray cluster and dispatchers on it."""
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster())
        upstream = stack.enter_context(CountingUpstream(latency))
        here = Fleet(folder, cluster, upstream, roles=["api"], lease=LEASE, objects={})
        stack.callback(here.kill)
        here.start()
        environ = {
            "BATCHYARD_DATABASE": cluster.schema_url(here.schema),
            "BATCHYARD_DATA": str(folder / "server0" / "data"),
            "BATCHYARD_LEASE": LEASE,
            "BATCHYARD_UPSTREAM": upstream.url,
            "BATCHYARD_CONCURRENCY": str(SLOTS),
        }
        ray = RayCluster(folder, environ)
        stack.callback(ray.close)
        programs = [ray.up(*options)]
        stack.callback(lambda: [ended(program) for program in programs])
        until_living(here, 1)
        yield here, ray, programs


def ended(program: Program) -> int:
    """Stop the program, if it still runs; return its exit status."""
    if program.poll() is None:
        program.send_signal(signal.SIGTERM)
    return program.wait(120)


def living(here: Fleet) -> int:
    return sum(owner["lives"] for owner in here.servers[0].call("GET", "/batchyard/v1/owners")["owners"])


def until_living(here: Fleet, count: int, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while living(here) != count if count == 0 else living(here) < count:
        assert time.monotonic() < deadline, here.servers[0].log()[-2000:]
        time.sleep(0.2)


def test_a_node_that_dies_in_the_middle_of_a_batch_of_20_000_loses_nothing(tmp_path: Path) -> None:
    with on_ray(tmp_path, "--dispatchers", "2", latency=0.02) as (here, ray, programs):
        until_living(here, 2)
        batch = here.servers[0].create(20_000)["id"]
        time.sleep(5.0)
        ray.tell("kill 0")
        here.until_ended(batch, 20_000, seconds=400)

        here.check(batch, 20_000, repeated=SLOTS)
        assert ended(programs[0]) == 0
        until_living(here, 0)


def test_dispatchers_outlive_the_program_that_made_them_and_the_next_one_finds_them(tmp_path: Path) -> None:
    with on_ray(tmp_path, "--dispatchers", "2") as (here, ray, programs):
        until_living(here, 2)
        batch = here.servers[0].create(1_000)["id"]
        programs[0].kill()
        programs[0].wait()
        ray.tell("hold 5")
        here.until_ended(batch, 1_000)
        programs.append(ray.up("--dispatchers", "1"))
        ray.until_said("1 dispatchers")

        here.check(batch, 1_000, repeated=0)
        assert ended(programs[1]) == 0
        until_living(here, 0)
