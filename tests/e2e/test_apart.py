"""Servers of one PostgreSQL whose hosts' clocks are an hour apart: all go by the database's time."""

import os
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from tests.e2e.processes import CountingUpstream
from tests.e2e.test_clock import Jumping
from tests.e2e.test_postgres import SLOTS, Fleet
from tests.postgres import Cluster

HOUR = 3600.0


def test_clocks_of_hosts_that_are_two_hours_apart_change_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        cluster, upstream = stack.enter_context(Cluster()), stack.enter_context(CountingUpstream(0.3))
        here = Fleet(tmp_path, cluster, upstream, roles=("all", "all"), lease="3s", objects={})
        stack.callback(here.kill)
        for server, ahead in zip(here.servers, (HOUR, -HOUR), strict=True):
            clock = Jumping(server.data.parent)
            clock.to(ahead)
            server._environ["PYTHONPATH"] = os.pathsep.join([str(clock.folder), os.environ.get("PYTHONPATH", "")])
        here.start()
        fast, slow = here.servers

        batch = fast.create(150)["id"]
        later = slow.create(1)
        shown = [fast.call("GET", f"/v1/messages/batches/{batch}")["created_at"], later["created_at"]]
        for at in shown:
            assert abs((datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()) < HOUR / 4
        assert [one["id"] for one in slow.call("GET", "/v1/messages/batches")["data"]] == [later["id"], batch]
        time.sleep(0.5)
        for server in here.servers:
            owners = server.call("GET", "/batchyard/v1/owners")["owners"]
            assert [owner["lives"] for owner in owners] == [True, True]
            assert all(owner["seconds_since_heartbeat"] < HOUR / 4 for owner in owners)
        slow.kill()  # the other finds it dead by the database's clock, whatever its own says
        here.until_ended(batch, 150)

        slow.start()
        assert slow.call("GET", f"/v1/messages/batches/{batch}")["request_counts"]["succeeded"] == 150
        assert [line["custom_id"] for line in slow.results(batch)] == [f"r{number}" for number in range(150)]
        assert upstream.repeated <= SLOTS
