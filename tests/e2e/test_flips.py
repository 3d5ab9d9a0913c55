"""Flipped bytes in database and payloads, at rest and while a server runs: no wrong line is ever served.

The damaged batch is reported and the others are served; or, where all need what is damaged, a start is refused, and the
newest backup named.
"""

import json
import random
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from batchyard import backup
from tests.e2e.processes import CountingUpstream, ServerProcess

BATCHES = "/v1/messages/batches"
SHARED = "what several batches need is damaged"
"""Seen while it runs; the next start must refuse, unless the page was written anew since, from memory."""
ENDED, RUNNING, DONE_BEFORE = 25, 60, 15


@dataclass(frozen=True)
class Pristine:
    """A sound folder, its backup, and what its ended batches say."""

    data: Path
    kept: Path
    ended: dict[str, bytes]
    running: str


def until(true: Any, seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def status(server: ServerProcess, batch: str) -> str:
    code, body = server.raw("GET", f"{BATCHES}/{batch}")
    return str(json.loads(body)["processing_status"]) if code == 200 else f"error {code}"


def made(folder: Path, upstream: CountingUpstream) -> Pristine:
    """Two batches that ended, and one that is paused in the middle."""
    data, kept = folder / "pristine" / "data", folder / "kept"
    data.parent.mkdir()
    ended: dict[str, bytes] = {}
    with ServerProcess(data, "--upstream", upstream.url, "--concurrency", "4") as server:
        for number in range(2):
            batch = server.create(ENDED, words=f"ended {number} " + "word " * 200)["id"]
            assert until(lambda batch=batch: status(server, batch) == "ended")
            ended[batch] = server.raw("GET", f"{BATCHES}/{batch}/results")[1]
        running = server.create(RUNNING, words="running")["id"]
        path = f"{BATCHES}/{running}"
        assert until(lambda: server.call("GET", path)["request_counts"]["succeeded"] >= DONE_BEFORE)
        server.call("POST", f"/batchyard/v1/batches/{running}/pause")
        assert server.stop() == 0
    backup.make(data, kept)
    return Pristine(data, kept, ended, running)


def flip(folder: Path, chance: random.Random) -> Path:
    """Flip one bit of a byte of the database or of a payload, each file as likely as another."""
    files = sorted([folder / "batchyard.db", *folder.glob("batchyard.db-wal"), *(folder / "blobs").iterdir()])
    path = chance.choice([folder / "batchyard.db", chance.choice(files)])
    with path.open("r+b") as file:
        offset = chance.randrange(max(1, path.stat().st_size))
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([(byte or b"\0")[0] ^ (1 << chance.randrange(8))]))
    return path


class Flipped:
    """One folder with one flip: what it is allowed to do about it."""

    def __init__(self, pristine: Pristine, folder: Path, upstream: CountingUpstream, seed: int) -> None:
        self.pristine, self.chance = pristine, random.Random(seed)
        self.folder = folder / f"flip{seed}"
        self.data = self.folder / "data"
        shutil.copytree(pristine.data, self.data)
        self.server = ServerProcess(self.data, "--upstream", upstream.url, "--concurrency", "4")
        self.said = ""

    def at_rest(self) -> str:
        flip(self.data, self.chance)
        try:
            self.server.start()
        except AssertionError:
            return self.refused(self.server.log())
        came = self.served()
        assert came != SHARED, "a start reads every page"
        return came

    def while_it_runs(self) -> str:
        with self.server:
            flip(self.data, self.chance)
            came = self.served()
        return self.started_again() if came == SHARED else came

    def started_again(self) -> str:
        try:
            self.server.start()
        except AssertionError:
            return self.refused(self.server.log())
        assert self.served() == "no harm"
        return "healed"

    def refused(self, said: str) -> str:
        assert str(self.pristine.kept) in said, said[-1000:]
        assert "Traceback" not in said
        return "refused"

    def served(self) -> str:
        """Read and run everything; return what came of it."""
        server, pristine = self.server, self.pristine
        hurt = [batch for batch, sound in pristine.ended.items() if not self.is_served(batch, sound)]
        server.raw("POST", f"/batchyard/v1/batches/{pristine.running}/resume")
        until(lambda: status(server, pristine.running) not in {"in_progress", "canceling"} or self.is_told(), 20.0)
        until(lambda: status(server, pristine.running) == "ended", 2.0)
        if status(server, pristine.running) != "ended" or not self.runs_right():
            hurt.append(pristine.running)
        if not hurt:
            return "no harm"
        assert self.is_told(), server.log()[-2000:]
        return "one batch damaged" if len(hurt) == 1 else SHARED

    def is_told(self) -> bool:
        return any(f'"{word}"' in self.server.log() for word in ("damage_found", "batch_stopped"))

    def is_served(self, batch: str, sound: bytes) -> bool:
        try:
            code, text = self.server.raw("GET", f"{BATCHES}/{batch}/results")
        except OSError:  # cut in the middle, for what follows is damaged
            return False
        if code == 200:
            assert text == sound, "a wrong line was served"
            return True
        assert code >= 500, (code, text)
        assert json.loads(text)["error"]["type"] in {"api_error", "overloaded_error"}
        return False

    def runs_right(self) -> bool:
        """Whether every line of the running batch is right; those of damaged params are errors that say so."""
        code, text = self.server.raw("GET", f"{BATCHES}/{self.pristine.running}/results")
        if code != 200:
            return False
        lines = [json.loads(line) for line in text.splitlines()]
        assert [line["custom_id"] for line in lines] == [f"r{number}" for number in range(RUNNING)]
        good = True
        for number, line in enumerate(lines):
            result = line["result"]
            if result["type"] == "succeeded":
                assert result["message"]["content"][0]["text"] == f"running {number}", "a wrong line was served"
            else:
                assert result["type"] == "errored"
                assert "damaged" in json.dumps(result)
                good = False
        return good


def flip_often(folder: Path, seeds: range) -> dict[str, int]:
    came: dict[str, int] = {}
    with CountingUpstream(latency=0.005) as upstream:
        pristine = made(folder, upstream)
        for seed in seeds:
            flipped = Flipped(pristine, folder, upstream, seed)
            try:
                what = flipped.while_it_runs() if seed % 2 else flipped.at_rest()
            except Exception as bug:
                raise AssertionError(f"flip {seed}: {bug!r}\n{flipped.server.log()[-3000:]}") from bug
            finally:
                flipped.server.kill()
            came[what] = came.get(what, 0) + 1
            shutil.rmtree(flipped.folder)
    return came


def test_four_flips_serve_no_wrong_line(tmp_path: Path) -> None:
    assert sum(flip_often(tmp_path, range(4)).values()) == 4


@pytest.mark.accept
def test_five_hundred_flips_serve_no_wrong_line(tmp_path: Path) -> None:
    came = flip_often(tmp_path, range(1000, 1500))
    sys.stdout.write(f"{came}\n")
    assert sum(came.values()) == 500
    assert came["refused"] > 20
    assert came["one batch damaged"] > 20
