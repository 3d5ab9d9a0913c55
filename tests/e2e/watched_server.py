"""``batchyard serve`` whose event loop is watched: how much CPU passed between two ticks, which come each millisecond.

    python tests/e2e/watched_server.py REPORT serve ...

CPU, not wall: what else the machine does is no stall of ours. A tick comes once a turn of the loop, however many calls
the turn makes, so what lies between two is the longest time that a caller would have waited for an idle machine.
REPORT is written anew each half second: JSON with ``longest_ms`` of the loop's own thread, ``process_ms`` of all
threads where the loop made none of it (one of them may have kept the interpreter), and where the loop stood.
"""

import asyncio
import json
import sys
import threading
import time
import traceback
from pathlib import Path

from batchyard.cli.main import main
from batchyard.web.server import Server

TICK = 0.001
SLOW = 0.04
"""Seconds of CPU in one turn from which on it is told where the loop stood."""


class Watch:
    """The ticks of one loop, and a thread that looks where it stands when one is late."""

    def __init__(self, report: Path) -> None:
        self._report = report
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._loop_thread = threading.get_ident()
        self._longest = self._process = self._turns = 0.0
        self._slow: list[tuple[float, str]] = []
        self._stood = ""
        self._cpu, self._all, self._wall = self._read()
        self._write_at = 0.0
        threading.Thread(target=self._look, daemon=True).start()

    def _read(self) -> tuple[float, float, float]:
        return time.clock_gettime(self._clock), time.process_time(), time.monotonic()

    def tick(self, loop: asyncio.AbstractEventLoop) -> None:
        cpu, every, wall = self._read()
        turn = cpu - self._cpu
        if turn > SLOW:
            self._slow.append((round(turn * 1000, 1), self._stood))
        self._longest = max(self._longest, turn)
        self._process = max(self._process, min(wall - self._wall, every - self._all) if turn < SLOW / 4 else 0.0)
        self._turns += 1
        self._stood = ""
        if wall > self._write_at:
            self._write_at = wall + 0.5
            self._write()
        self._cpu, self._all, self._wall = self._read()
        loop.call_later(TICK, self.tick, loop)

    def _write(self) -> None:
        told = {"longest_ms": self._longest * 1000, "process_ms": self._process * 1000, "turns": self._turns}
        part = self._report.with_suffix(".part")
        part.write_text(json.dumps({**told, "slow": sorted(self._slow)[-20:]}))
        part.replace(self._report)

    def _look(self) -> None:
        while True:
            time.sleep(SLOW / 4)
            if time.clock_gettime(self._clock) - self._cpu > SLOW / 2:
                frame = sys._current_frames().get(self._loop_thread)
                self._stood = " < ".join(
                    f"{each.filename.rpartition('/')[2]}:{each.lineno} {each.name}"
                    for each in reversed(traceback.extract_stack(frame)[-6:])
                )


def watched(report: Path) -> None:
    """Let the server's loop tick from its start on."""
    start = Server.start

    async def ticking(self: Server, host: str, port: int) -> None:
        await start(self, host, port)
        loop = asyncio.get_running_loop()
        Watch(report).tick(loop)

    Server.start = ticking  # type: ignore[method-assign]


if __name__ == "__main__":
    watched(Path(sys.argv.pop(1)))
    main()
