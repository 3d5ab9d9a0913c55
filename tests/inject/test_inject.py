"""At each call of a small whole life that touches the disk: a kill, a fault of the disk, a full disk.

Whatever was told before is true afterwards, the store is sound, and the life can be lived to its end.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from batchyard.blobs.check import problem
from batchyard.blobs.disk import Disk
from batchyard.blobs.files import Content
from batchyard.store import database, sqlite_upkeep
from batchyard.store.check import look, numbers, page_faults
from tests.inject.life import BRITTLE, REQUESTS, SLOTS, Life

ROOT = Path(__file__).parents[2]
CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "write", "rename", "unlink")
"""What the store and the files ask of the kernel; reads change nothing, and their faults are tried elsewhere."""
OPENING = Counter(pwrite64=120, fdatasync=20, ftruncate=6, fsync=6, rename=3, unlink=6, write=3)
"""More than the calls of a kind that the main thread makes while it opens the store."""
FAULTS = ("signal=KILL", "error=EIO", "error=ENOSPC")
PARTS = 25
"""Of the long form, some minutes each; no multiple of three, so that each has all faults."""


@dataclass(frozen=True)
class Hurt:
    """The n-th of these calls of a thread goes wrong; ``stays``: so do all after it."""

    call: str
    fault: str
    n: int
    stays: bool = False
    kills: bool = False
    """The process dies as soon as the client heard of it."""
    late: bool = True
    """Counted from when the store is open; else before."""

    def __str__(self) -> str:
        return f"inject={self.call}:{self.fault}:when={self.n}{'+' if self.stays else ''}"


class Zygote:
    """Forks lives that have imported everything already."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.inject.life"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
        )

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def live(self, folder: Path, hurt: Hurt | None, log: Path, *, late: bool) -> None:
        """Let one life be lived under strace, which hurts it and logs the calls."""
        pid = int(self._ask(f"{'late' if late else 'early'} {folder}"))
        deadline = time.monotonic() + 30
        while not told_in(folder):
            assert time.monotonic() < deadline, "it does not come to where it waits"
            time.sleep(0.002)
        expression = ["-e", str(hurt)] if hurt else []
        tracer = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-o", str(log), "-e", f"trace={','.join(CALLS)}", *expression],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        assert "attached" in said, said
        self._ask("go")
        tracer.wait(60)
        tracer.stderr.close()


@contextmanager
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def lives() -> Iterator[Zygote]:
    if shutil.which("strace") is None:
        reason = "strace is missing: run scripts/install_strace.sh"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with zygote() as made, TemporaryDirectory() as folder:
        try:
            made.live(Path(folder, "data"), None, Path(folder, "log"), late=True)
        except AssertionError as refused:  # a container may forbid tracing
            pytest.skip(f"strace may trace nothing here: {refused}")
        yield made


def told_in(folder: Path) -> list[list[Any]]:
    path = folder.parent / f"{folder.name}.told"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def lived(lives: Zygote, hurt: Hurt | None, *, late: bool = True) -> tuple[Counter[str], str]:
    """Live once with that; check what is left, and live it to its end. Return the most calls of a thread, and how it
    went."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name, BRITTLE if hurt and hurt.kills else "data")
        lives.live(folder, hurt, Path(name, "log"), late=late)
        told = told_in(folder)
        bugs = [line for line in told if line[0] == "bug"]
        assert not bugs, bugs
        how = next((line[0] for line in told if line[0] in {"whole", "gave up"}), "died")
        if (folder / database.NAME).exists():
            check(folder, told)
            finish(folder, told)
        else:
            assert not [line for line in told if line[0] == "created"]
        return counted(Path(name, "log")), how


def counted(log: Path) -> Counter[str]:
    by_thread: Counter[tuple[str, str]] = Counter()
    for line in log.read_text().splitlines():
        thread, _, rest = line.partition(" ")
        call = rest.strip().partition("(")[0]
        if call in CALLS:
            by_thread[thread, call] += 1
    most: Counter[str] = Counter()
    for (_, call), number in by_thread.items():
        most[call] = max(most[call], number)
    return most


def check(folder: Path, told: Sequence[Sequence[Any]]) -> None:
    """What a start finds is sound."""
    with closing(database.open_writer(folder / database.NAME, None)) as connection:
        assert page_faults(connection) == []
        for num in numbers(connection):
            assert look(connection, num)[1] == []
        for name in sqlite_upkeep.blobs(connection):
            assert problem(folder / "blobs" / name) is None, name
        rows = connection.execute("select id, closing, sha256 from batches")
        there = {str(row[0]): row[1:] for row in rows}
    deleted = {line[1] for line in told if line[0] == "deleting"}
    for what, batch, *facts in told:
        if what == "deleted":
            assert batch not in there
        elif what in {"created", "canceled", "counted", "ended"} and batch not in deleted:
            assert batch in there, (what, batch)
            assert what != "canceled" or there[batch][0] is not None
            assert what != "ended" or there[batch][1] == facts[0]


def finish(folder: Path, told: Sequence[Sequence[Any]]) -> None:
    """A start runs the rest: one line for each request, and no call is repeated but those that were in flight."""
    calls = Counter(line[1] for line in told if line[0] == "called")
    before = sum(calls.values())

    def tell(what: str, *words: Any) -> None:
        assert what != "bug", words
        if what == "called":
            calls[words[0]] += 1

    ended = asyncio.run(asyncio.wait_for(Life(folder, tell, seed=2).finish(), 60))
    created = {line[1] for line in told if line[0] == "created"}
    assert len(ended) <= 3
    for batch in ended:
        assert batch.sealed is not None
        path = folder / "blobs" / batch.sealed.results
        content = Content(path.name, path, Disk())
        lines = [json.loads(line) for line in content.read_checked(0, content.size).splitlines()]
        assert [line["custom_id"] for line in lines] == [f"r{seq}" for seq in range(REQUESTS)]
        kinds = {line["result"]["type"] for line in lines}
        assert kinds <= {"succeeded", "canceled"}, (lines, created)
    broken = before // 7 + sum(calls.values()) // 7 + 2  # of every seven calls one fails, and is made again
    repeated = sum(calls.values()) - len(calls)
    assert repeated <= SLOTS + broken, calls


def chosen(most: Counter[str], *, late: bool) -> list[Hurt]:
    """Each of the calls with each fault; a full disk stays full for the rest of the life, too."""
    hurts = []
    for call in CALLS:
        for n in range(1, most[call] + 1):
            hurts += [Hurt(call, fault, n) for fault in FAULTS]
            if call in {"fdatasync", "fsync"}:
                hurts.append(Hurt(call, "error=EIO", n, kills=True))
            if call in {"pwrite64", "write"} and n % 10 == 1:
                hurts.append(Hurt(call, "error=ENOSPC", n, stays=True))
    return [replace(hurt, late=late) for hurt in hurts]


def hurt_often(lives: Zygote, share: int, part: int = 0) -> Counter[str]:
    """Hurt one call in so many, from the ``part``-th on."""
    hurts = []
    for late in (False, True):
        most, how = lived(lives, None, late=late)
        assert how == "whole"
        found = chosen(most, late=late)
        hurts += found if late else [hurt for hurt in found if hurt.n <= OPENING[hurt.call]]
    came: Counter[str] = Counter()
    for hurt in hurts[part::share]:
        try:
            _, how = lived(lives, hurt, late=hurt.late)
        except Exception as bug:
            raise AssertionError(f"{hurt}: {bug!r}") from bug
        came[f"{hurt.fault}: {how}"] += 1
    return came


def test_a_create_whose_commit_failed_and_that_a_death_brings_back_has_its_body(lives: Zygote) -> None:
    """The pages of a commit whose sync failed lie in the log: after a death SQLite finds them, and makes them true."""
    died = [n for n in range(1, 9) if lived(lives, Hurt("fdatasync", "error=EIO", n, kills=True))[1] == "died"]

    assert died, "no create was hit"


def test_some_calls_go_wrong_and_nothing_is_lost(lives: Zygote) -> None:
    assert sum(hurt_often(lives, 149).values()) >= 8


@pytest.mark.accept
@pytest.mark.parametrize("part", range(PARTS))
def test_every_call_goes_wrong_and_nothing_is_lost(lives: Zygote, part: int) -> None:
    came = hurt_often(lives, PARTS, part)
    sys.stdout.write(f"{dict(came)}\n")
    assert came["signal=KILL: died"] > 50 // PARTS
