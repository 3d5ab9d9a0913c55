"""Several servers on one database before one that takes batches: killed, and frozen past their lease."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.processes import CountingUpstream, ServerProcess
from tests.e2e.test_carriers import TABLE
from tests.postgres import Cluster

FROZEN_SECONDS = 3.0
"""Three times the lease: the others have adopted by then, or do so soon."""


class Owners:
    """Some servers that share a database, a folder of blobs and a far server; a model server behind that one counts."""

    def __init__(self, folder: Path, cluster: Cluster, far: ServerProcess, *, owners: int, keyed: bool) -> None:
        self.far = far
        self.servers = []
        environ = {"BATCHYARD_LEASE": "1s", "BATCHYARD_DATABASE": cluster.schema_url("carriers"), "FAR_KEY": "any"}
        (folder / "shared").mkdir()
        for number in range(owners):
            own = folder / f"near{number}"
            own.mkdir()
            (own / "batchyard.toml").write_text(TABLE.format(url=far.url, most=50, keyed=str(keyed).lower()))
            (own / "data").symlink_to(folder / "shared")
            self.servers.append(ServerProcess(own / "data", environ=environ))

    def disturb(self, chance: random.Random) -> None:
        """Kill one, or freeze it for so long that another takes what it had; never the first, which is asked."""
        victim = chance.choice(self.servers[1:])
        if chance.random() < 0.4:
            victim.kill()
            victim.start()
            return
        assert victim.process is not None
        os.kill(victim.process.pid, signal.SIGSTOP)
        time.sleep(FROZEN_SECONDS)
        os.kill(victim.process.pid, signal.SIGCONT)


@contextmanager
def several(folder: Path, model: CountingUpstream, *, owners: int, keyed: bool) -> Iterator[Owners]:
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster())
        (folder / "far").mkdir()
        options = ("--upstream", model.url, "--concurrency", "20")
        far = stack.enter_context(ServerProcess(folder / "far" / "data", *options))
        made = Owners(folder, cluster, far, owners=owners, keyed=keyed)
        for server in made.servers:
            stack.enter_context(server)
        yield made


def disturbed(folder: Path, *, requests: int, times: int, seed: int, keyed: bool) -> None:
    chance = random.Random(seed)
    with CountingUpstream(latency=0.1) as model, several(folder, model, owners=3, keyed=keyed) as here:
        first = here.servers[0]
        batch_id = first.create(requests)["id"]
        path, done = f"/v1/messages/batches/{batch_id}", 0
        for _ in range(times):
            time.sleep(chance.uniform(0.0, 1.0))
            here.disturb(chance)
            counts = first.call("GET", path)["request_counts"]
            assert sum(counts.values()) == requests
            assert counts["succeeded"] >= done
            done = counts["succeeded"]
        until = time.monotonic() + 120 + requests / 20
        while first.call("GET", path)["processing_status"] != "ended":
            assert time.monotonic() < until, first.log()[-3000:]
            time.sleep(0.2)

        texts = [line["result"]["message"]["content"][0]["text"] for line in here.servers[-1].results(batch_id)]
        assert texts == [f"hello {number}" for number in range(requests)]
        far = here.far.call("GET", "/v1/messages/batches?limit=1000")["data"]
        assert {one["processing_status"] for one in far} == {"ended"}
        assert sum(sum(one["request_counts"].values()) for one in far) == requests  # nothing was made twice there
        assert len(model.calls) == requests
        assert model.repeated == 0
        assert [server.stop() for server in here.servers] == [0, 0, 0]


def test_owners_that_die_or_freeze_hand_their_carriers_on_and_make_none_twice(tmp_path: Path) -> None:
    disturbed(tmp_path, requests=400, times=3, seed=1, keyed=False)


@pytest.mark.accept
@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_owners_that_die_or_freeze_again_and_again(tmp_path: Path, seed: int, keyed: bool) -> None:
    disturbed(tmp_path, requests=2_000, times=15, seed=10 + seed, keyed=keyed)
