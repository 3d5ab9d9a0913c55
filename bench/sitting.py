"""One sitting: what is measured with which programs, and the verbs that all measurements share."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import inputs
from bench.client import BATCHES, Client, Unexpected
from bench.mock import Tally
from bench.processes import Running

ROOT = Path(__file__).parents[1]
SMALL = 300
"""Bytes of a small request: a review to be judged."""
LARGE = 1519
"""Bytes of a large one: 100,000 of them make a body of 152 MB."""


class Mock(Running):
    """The mock model server."""

    def tally(self) -> Tally:
        return Tally(**json.loads(self._ask("/tally")))

    def reset(self) -> None:
        self._ask("/reset")

    def _ask(self, path: str) -> bytes:
        client = Client(self.url, timeout=10)
        try:
            return client.get(path)
        finally:
            client.close()


@dataclass(frozen=True, slots=True)
class Loop:
    """What a baseline loop spent, without starting Python and importing."""

    requests: int
    succeeded: int
    cpu_seconds: float
    wall_seconds: float


@dataclass(frozen=True, slots=True)
class Upload:
    batch: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Sitting:
    """``server`` is the batchyard program, or None to measure the others alone."""

    server: Path | None
    wrk: str | None
    eatmydata: str | None
    scratch: Path
    short: bool
    count: int | None = None

    def size(self, full: int, short: int) -> int:
        """Return how many requests to measure with: what was asked for, or what the form says."""
        return self.count or (short if self.short else full)

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def folder(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=name + "-", dir=self.scratch))

    def body(self, count: int, size: int = SMALL) -> Path:
        return inputs.batch_body(self.scratch, count, size)

    def mock(
        self,
        *,
        latency: float = 0.0,
        spread: float = 0.0,
        text_bytes: int = 200,
        faults: bool = False,
        retry_after: int = 0,
    ) -> Mock:
        command = [sys.executable, "-m", "bench.mock", "--latency", str(latency), "--spread", str(spread)]
        command += ["--text-bytes", str(text_bytes)] + ["--faults"] * faults
        command += ["--retry-after", str(retry_after)]
        return Mock(command, folder=self.folder("mock"), environment={"PYTHONPATH": str(ROOT)})

    @contextmanager
    def batchyard(
        self, upstream: str, *, concurrency: int = 64, environment: Mapping[str, str] | None = None
    ) -> Iterator[Running]:
        """Run a server on an empty data folder of its own, and end it."""
        assert self.server is not None
        folder = self.folder("batchyard")
        command = [str(self.server), "serve", "--port", "0", "--data", str(folder / "data")]
        command += ["--upstream", upstream, "--concurrency", str(concurrency)]
        clean = {name: "" for name in os.environ if name.startswith("BATCHYARD_")}
        with Running(command, folder=folder, environment={**clean, **(environment or {})}) as server:
            yield server
        shutil.rmtree(folder / "data")

    def program(self, module: str, *arguments: str) -> Running:
        """Start one of the servers of this folder."""
        command = [sys.executable, "-m", module, *arguments]
        return Running(command, folder=self.folder(module), environment={"PYTHONPATH": str(ROOT)})

    def loop(self, module: str, url: str, *, count: int, in_flight: int) -> Loop:
        """Run a baseline loop over ``count`` small requests."""
        lines = inputs.request_lines(self.scratch, count, SMALL)
        target = self.scratch / "loop.jsonl"
        done = self._run(module, url, str(lines), str(target), str(in_flight))
        loop = Loop(**json.loads(done))
        if loop.succeeded != count:
            raise Unexpected(f"{module}: {loop}")
        return loop

    def uploads(self, url: str, body: Path, *, at_once: int = 1) -> list[Upload]:
        """Create the same body so many times at once, each from a process of its own."""
        command = [sys.executable, "-m", "bench.upload", url, str(body)]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) for _ in range(at_once)]
        answers = [process.communicate(timeout=600)[0] for process in running]
        if any(process.returncode for process in running):
            raise Unexpected(f"an upload to {url} failed")
        return [Upload(**json.loads(answer)) for answer in answers]

    def finished(self, url: str, count: int) -> str:
        """Create a batch of ``count`` small requests, wait for its end, return its id."""
        client = Client(url)
        try:
            batch = client.create(self.body(count))
            client.follow(batch)
        finally:
            client.close()
        return batch

    def _run(self, module: str, *arguments: str) -> bytes:
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, check=True, timeout=900).stdout


def slots_used(tally: Tally, slots: int) -> float:
    """Return the share of slot time that was spent in calls, from the first call's arrival to the last answer."""
    return tally.slot_seconds / (slots * (tally.last_at - tally.first_at))


def path_of(batch: str) -> str:
    return f"{BATCHES}/{batch}"
