"""Real servers on one real PostgreSQL: killed, frozen, cut off, their database killed. Nothing is lost.

At the end of each: every request has one line, in order, with its own answer; counts never went back and sum to the
total; the database holds nothing of the batch but its own row; calls are repeated within what the deaths may cost.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import CountingUpstream, ServerProcess
from tests.postgres import Cluster

SLOTS = 20
PASSING = ("requests", "results", "attempts", "parts", "waiting", "leases", "tallies", "streams", "sweeps")
"""Tables that hold nothing once all batches are sealed."""


class Fleet:
    """Some servers that share one database and one folder of blobs, and an upstream that counts."""

    def __init__(
        self,
        folder: Path,
        cluster: Cluster,
        upstream: CountingUpstream,
        *,
        roles: Sequence[str],
        lease: str,
        objects: Mapping[str, str],
    ) -> None:
        self.cluster, self.upstream = cluster, upstream
        self.schema = "fleet"
        options = ("--upstream", upstream.url, "--concurrency", str(SLOTS))
        self.servers = []
        for number, role in enumerate(roles):
            own = folder / f"server{number}"
            own.mkdir()
            database = cluster.schema_url(self.schema)
            environ = {"BATCHYARD_LEASE": lease, "BATCHYARD_DATABASE": database, "BATCHYARD_ROLE": role, **objects}
            self.servers.append(ServerProcess(own / "data", *options, environ=environ))
        self._done = 0
        if not objects:
            self._share(folder)

    def _share(self, folder: Path) -> None:
        """Lead all data folders to one, as a shared file system does."""
        shared = folder / "server0" / "data"
        shared.mkdir()
        for number in range(1, len(self.servers)):
            (folder / f"server{number}" / "data").symlink_to(shared)

    def start(self) -> None:
        for server in self.servers:
            server.start()

    def kill(self) -> None:
        for server in self.servers:
            server.kill()

    def look(self, server: ServerProcess, batch: str, requests: int) -> dict[str, Any]:
        """Return the batch as a server shows it; its counts fit together and with what was shown before."""
        shown: dict[str, Any] = server.call("GET", f"/v1/messages/batches/{batch}")
        counts = shown["request_counts"]
        assert sum(counts.values()) == requests
        assert counts["succeeded"] >= self._done
        self._done = counts["succeeded"]
        return shown

    def until_ended(self, batch: str, requests: int, seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            shown, answer = self.servers[0].raw("GET", f"/v1/messages/batches/{batch}")
            assert shown in {200, 529}, (shown, answer)  # 529: the database is away
            if shown == 200 and b'"processing_status":"ended"' in answer.replace(b" ", b""):
                return
            assert time.monotonic() < deadline, self.servers[0].log()[-3000:]
            time.sleep(0.05)

    def check(self, batch: str, requests: int, *, repeated: int) -> None:
        """Check what must hold at the end."""
        shown = self.look(self.servers[0], batch, requests)
        assert shown["request_counts"]["succeeded"] == requests
        lines = self.servers[-1].results(batch)
        assert [line["custom_id"] for line in lines] == [f"r{number}" for number in range(requests)]
        texts = [line["result"]["message"]["content"][0]["text"] for line in lines]
        assert texts == [f"hello {number}" for number in range(requests)]
        assert len(self.upstream.calls) == requests
        assert self.upstream.repeated <= repeated
        deadline = time.monotonic() + 30
        while left := {table: count for table in PASSING if (count := self._rows(table))}:
            assert time.monotonic() < deadline, left
            time.sleep(0.1)

    def _rows(self, table: str) -> int:
        return int(self.cluster.ask(f"select count(*) from {self.schema}.{table}")[0][0])


@contextmanager
def fleet(
    folder: Path,
    *,
    roles: Sequence[str] = ("all", "all"),
    latency: float = 0.02,
    lease: str = "1s",
    objects: Mapping[str, str] | None = None,
) -> Iterator[Fleet]:
    """Start servers of these roles; ``objects`` is the environment of their object store, where there is one."""
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster())
        upstream = stack.enter_context(CountingUpstream(latency))
        made = Fleet(folder, cluster, upstream, roles=roles, lease=lease, objects=objects or {})
        stack.callback(made.kill)
        made.start()
        yield made


def meanwhile(here: Fleet, requests: int, acts: int, act: Callable[[random.Random], None], seed: int) -> str:
    """Create a batch and act at random moments while it runs; return its id once it has ended."""
    chance = random.Random(seed)
    batch = here.servers[0].create(requests)["id"]
    for _ in range(acts):
        time.sleep(chance.uniform(0.0, 2.0 * requests * here.upstream.latency / SLOTS / acts))
        act(chance)
    here.until_ended(batch, requests)
    return str(batch)


def killed(folder: Path, *, requests: int, kills: int, seed: int) -> None:
    with fleet(folder) as here:

        def kill_one(chance: random.Random) -> None:
            victim = chance.choice(here.servers)
            victim.kill()
            victim.start()

        batch = meanwhile(here, requests, kills, kill_one, seed)
        here.check(batch, requests, repeated=SLOTS * kills)
        assert [server.stop() for server in here.servers] == [0, 0]


def test_servers_that_are_killed_beside_each_other_lose_nothing(tmp_path: Path) -> None:
    killed(tmp_path, requests=400, kills=3, seed=1)


@pytest.mark.accept
def test_a_hundred_kills_of_a_batch_of_20_000(tmp_path: Path) -> None:
    killed(tmp_path, requests=20_000, kills=100, seed=2)


def frozen(folder: Path, *, requests: int, freezes: int, seed: int) -> None:
    with fleet(folder, latency=0.05) as here:

        def freeze_one(chance: random.Random) -> None:
            victim = chance.choice(here.servers[1:]).process
            assert victim is not None
            os.kill(victim.pid, signal.SIGSTOP)
            time.sleep(2.0)  # twice the lease: the other reclaims what this one holds
            os.kill(victim.pid, signal.SIGCONT)

        batch = meanwhile(here, requests, freezes, freeze_one, seed)
        here.check(batch, requests, repeated=SLOTS * freezes)


def test_an_owner_that_is_frozen_past_its_lease_writes_nothing_when_it_thaws(tmp_path: Path) -> None:
    frozen(tmp_path, requests=400, freezes=2, seed=1)


@pytest.mark.accept
def test_owners_that_are_frozen_again_and_again(tmp_path: Path) -> None:
    frozen(tmp_path, requests=5_000, freezes=20, seed=2)


def test_a_call_three_times_longer_than_the_lease_is_sent_once(tmp_path: Path) -> None:
    with fleet(tmp_path, latency=3.0) as here:
        batch = here.servers[0].create(30)["id"]
        here.until_ended(batch, 30)

        here.check(batch, 30, repeated=0)


def cut_off(folder: Path, *, requests: int, cuts: int, seed: int) -> None:
    """Kill the servers' connections, in the middle of commits too: as the owners live on, no call is made twice."""
    with fleet(folder, lease="30s") as here:

        def cut_some(chance: random.Random) -> None:
            for pid in here.cluster.backends():
                if chance.random() < 0.7:
                    here.cluster.ask("select pg_terminate_backend($1)", pid)

        batch = meanwhile(here, requests, cuts, cut_some, seed)
        here.check(batch, requests, repeated=0)


def test_connections_that_are_cut_cost_nothing(tmp_path: Path) -> None:
    cut_off(tmp_path, requests=400, cuts=6, seed=1)


@pytest.mark.accept
def test_two_hundred_cuts_cost_nothing(tmp_path: Path) -> None:
    cut_off(tmp_path, requests=10_000, cuts=200, seed=2)


def crashed(folder: Path, *, requests: int, crashes: Sequence[str], seed: int) -> None:
    """Kill the database itself; the servers wait for it, and find out what became of commits that got no answer."""
    with fleet(folder, lease="30s") as here:
        kinds = iter(crashes)

        def crash(chance: random.Random) -> None:
            if next(kinds) == "all":
                here.cluster.stop(signal.SIGKILL)
                time.sleep(chance.uniform(0.0, 0.5))
                here.cluster.start()
            else:  # one backend dies: the postmaster ends all others and recovers
                backends = here.cluster.backends()
                if backends:
                    os.kill(chance.choice(backends), signal.SIGKILL)

        batch = meanwhile(here, requests, len(crashes), crash, seed)
        here.check(batch, requests, repeated=0)


def test_a_database_that_is_killed_loses_nothing_and_repeats_no_call(tmp_path: Path) -> None:
    crashed(tmp_path, requests=400, crashes=["all", "one", "all"], seed=1)


@pytest.mark.accept
def test_a_database_that_is_killed_again_and_again(tmp_path: Path) -> None:
    crashed(tmp_path, requests=10_000, crashes=["all", "one"] * 20, seed=2)


def test_a_drained_server_leaves_the_rest_to_the_others(tmp_path: Path) -> None:
    with fleet(tmp_path, lease="30s") as here:
        batch = here.servers[0].create(300)["id"]
        time.sleep(0.3)
        assert here.servers[1].stop() == 0
        here.servers[1].start()
        here.until_ended(batch, 300)

        here.check(batch, 300, repeated=0)


def away(folder: Path, *, requests: int, times: int, seconds: float, lease: str) -> None:
    """The database is away for longer than the lease, while calls are in flight: nobody is taken for dead by that."""
    with fleet(folder, roles=("all", "all", "all"), lease=lease, latency=1.0) as here:
        batch = here.servers[0].create(requests)["id"]
        for _ in range(times):
            time.sleep(1.5)
            here.cluster.stop(signal.SIGKILL)
            time.sleep(seconds)
            status, _ = here.servers[0].raw("GET", f"/v1/messages/batches/{batch}")
            assert status == 529
            here.cluster.start()
        here.until_ended(batch, requests, 300.0)

        here.check(batch, requests, repeated=0)
        assert {server.process and server.process.poll() for server in here.servers} == {None}


def test_a_database_that_is_away_for_longer_than_the_lease_costs_no_call(tmp_path: Path) -> None:
    away(tmp_path, requests=80, times=1, seconds=12.0, lease="9s")


@pytest.mark.accept
def test_a_database_that_is_away_for_minutes_again_and_again(tmp_path: Path) -> None:
    away(tmp_path, requests=600, times=3, seconds=100.0, lease="30s")
