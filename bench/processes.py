"""Processes under measurement: started here, read through ``/proc``, ended by their pid."""

import os
import re
import selectors
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")
URL = re.compile(r"http://\S+")


class DidNotStart(Exception):
    """A process ended, or said nothing, before it was ready; the end of its log follows."""


class Running:
    """A server in a process of its own, ready when it has printed its address."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        ready_within: float = 30.0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, cwd=folder, env={**os.environ, **(environment or {})}
            )
        self.pid = self.process.pid
        try:
            self.url = self._address(ready_within)
        except DidNotStart:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End it at once; what it wrote is thrown away with its folder. Twice is allowed."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        if self.process.stdout:
            self.process.stdout.close()

    def cpu_seconds(self) -> float:
        """Return user and system time of the process, its threads and its children, dead ones too."""
        return sum(sum(cpu_ticks(pid)) for pid in family(self.pid)) / TICKS

    def resident_bytes(self) -> int:
        return sum(status_bytes(pid, "VmRSS") for pid in family(self.pid))

    def peak_bytes(self) -> int:
        """Return the most memory that was resident since the start, or since ``forget_peak``."""
        return sum(status_bytes(pid, "VmHWM") for pid in family(self.pid))

    def forget_peak(self) -> None:
        for pid in family(self.pid):
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def rest(self, within: float = 60.0) -> None:
        """Wait until it uses no more CPU to speak of, so that what it tidies up afterwards is counted too."""
        deadline = time.monotonic() + within
        before = self.cpu_seconds()
        while time.monotonic() < deadline:
            time.sleep(0.5)
            now = self.cpu_seconds()
            if now - before <= 0.02:
                return
            before = now

    def _address(self, within: float) -> str:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline().decode() if selector.select(within) else ""
        found = URL.search(line)
        if found is None:
            raise DidNotStart(f"{self.process.args!r} printed {line!r}\n{self.log.read_text()[-2000:]}")
        return found.group().rstrip("/")


def family(pid: int) -> Iterator[int]:
    """Yield the process and all processes below it that live."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = children.read_text().split()
        except OSError:  # the thread ended between the listing and the reading
            continue
        for child in below:
            yield from family(int(child))


def cpu_ticks(pid: int) -> tuple[int, ...]:
    """Return user, system, and both again of children that ended and were waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return tuple(int(ticks) for ticks in fields[11:15])


def status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0
