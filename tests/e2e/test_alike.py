"""How long an answer takes tells nothing: a batch of another workspace and one that never was look alike in time too.

Calls of both kinds come in turns of random order, each over a connection that is kept, and the times are compared by
their ranks: whatever else the machine does slows both kinds alike.
"""

import http.client
import json
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from batchyard.domain.ids import batch_id as id_of
from batchyard.web.api import Api
from tests.e2e.processes import ServerProcess
from tests.postgres import shared
from tests.wire.world import World

FOREIGN = 60
"""Batches of theirs; a third is canceled on its way."""
SURE = 5.0
"""Standard deviations: chance alone goes beyond it once in two million comparisons."""
PATH = "/v1/messages/batches"


def rank_z(first: Sequence[float], second: Sequence[float]) -> float:
    """Return by how many standard deviations ``first`` has other ranks than chance would give it (Mann-Whitney)."""
    ordered = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks, at = 0.0, 0
    while at < len(ordered):
        end = at
        while end < len(ordered) and ordered[end][0] == ordered[at][0]:
            end += 1
        ranks += (at + 1 + end) / 2 * sum(kind == 0 for _, kind in ordered[at:end])
        at = end
    n, m = len(first), len(second)
    above = ranks - n * (n + 1) / 2 - n * m / 2
    return above / math.sqrt(n * m * (n + m + 1) / 12)


def test_ranks_tell_apart_what_differs_and_not_what_does_not() -> None:
    chance = random.Random(1)
    noise = [[chance.expovariate(1.0) for _ in range(5000)] for _ in range(2)]

    assert abs(rank_z(*noise)) < SURE
    assert rank_z([each + 0.2 for each in noise[0]], noise[1]) > 2 * SURE
    assert rank_z([1.0] * 50, [1.0] * 50) == 0.0


def routes_by_id() -> list[tuple[str, str]]:
    """Return method and path of each route of the program's own table that names a batch."""
    app = World().app
    assert isinstance(app, Api)
    return [(route.method, route.path) for route in app.routes.all if "{batch_id}" in route.path]


class Caller:
    """One connection that is kept."""

    def __init__(self, server: ServerProcess, key: str) -> None:
        parts = urlsplit(server.url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self._headers = {"x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json"}

    def close(self) -> None:
        self._connection.close()

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes, float]:
        """Return status, body and seconds."""
        began = time.perf_counter()
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        return answer.status, content, time.perf_counter() - began


def key_of(data: Path, workspace: str, environ: dict[str, str] | None = None) -> str:
    made = subprocess.run(
        [sys.executable, "-m", "batchyard", "keys", "create", "--workspace", workspace, "--data", str(data),
         *(part for scope in ("submit", "read", "cancel", "delete") for part in ("--scope", scope))],
        capture_output=True, text=True, check=True, timeout=60, env={**os.environ, **(environ or {})},
    )  # fmt: skip
    return made.stdout.strip()


def fill(caller: Caller) -> list[str]:
    """Make batches, in several states, and return their ids."""
    params = {"model": "simulator", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
    made = []
    for number in range(FOREIGN):
        requests = [{"custom_id": f"r{each}", "params": {**params, "n": [number, each]}} for each in range(3)]
        status, content, _ = caller.call("POST", PATH, json.dumps({"requests": requests}).encode())
        assert status == 200, content
        made.append(json.loads(content)["id"])
        if number % 3 == 0:
            assert caller.call("POST", f"{PATH}/{made[-1]}/cancel")[0] in (200, 400)  # it may have ended by now
    until = time.monotonic() + 60
    while any(json.loads(caller.call("GET", f"{PATH}/{each}")[1])["processing_status"] != "ended" for each in made):
        assert time.monotonic() < until
        time.sleep(0.2)
    return made


@dataclass
class Times:
    """How long the calls of one route took, in microseconds: for foreign ids and for unknown ones."""

    route: str
    foreign: list[float] = field(default_factory=list)
    unknown: list[float] = field(default_factory=list)

    @property
    def z(self) -> float:
        return rank_z(self.foreign, self.unknown)

    def __str__(self) -> str:
        medians = (sorted(each)[len(each) // 2] for each in (self.foreign, self.unknown))
        return f"{self.route}: medians {' and '.join(f'{median:.1f} µs' for median in medians)}, z {self.z:+.1f}"


def compared(folder: Path, calls: int, environ: dict[str, str]) -> list[Times]:
    """Make so many calls of either kind to each route."""
    theirs_key, mine_key = (key_of(folder / "data", workspace, environ) for workspace in ("theirs", "mine"))
    found = []
    with (
        ServerProcess(folder / "data", environ=environ) as server,
        closing(Caller(server, theirs_key)) as theirs,
        closing(Caller(server, mine_key)) as caller,
    ):
        foreign, _ = fill(theirs), fill(caller)
        now, chance = datetime.now(UTC), random.Random(1)
        unknown = [id_of(now, chance.getrandbits(80)) for _ in foreign]
        for method, path in routes_by_id():
            times = Times(f"{method} {path}")
            body = b'{"labels":{}}' if path.endswith("/labels") else b""
            for _ in range(calls):
                turns = [(times.foreign, chance.choice(foreign)), (times.unknown, chance.choice(unknown))]
                for kind, named in chance.sample(turns, 2):
                    status, content, seconds = caller.call(method, path.replace("{batch_id}", named), body)
                    assert status == 404, content
                    kind.append(seconds * 1e6)
            found.append(times)
    return found


@pytest.mark.accept
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_foreign_batch_takes_as_long_as_one_that_never_was(store: str, tmp_path: Path) -> None:
    environ = {"BATCHYARD_DATABASE": shared().schema_url()} if store == "postgres" else {}
    found = compared(tmp_path, 4000, environ)

    together = Times("all, each beside the median of its route")
    for times in found:
        middle = sorted(times.unknown)[len(times.unknown) // 2]
        together.foreign += [each - middle for each in times.foreign]
        together.unknown += [each - middle for each in times.unknown]
    assert [str(times) for times in (*found, together) if abs(times.z) > SURE] == []
