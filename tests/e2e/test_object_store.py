"""Real servers on one PostgreSQL and object store, with no folder in common: one dies, the object store goes away."""

import time
from pathlib import Path

import pytest

from tests.e2e.processes import ServerProcess
from tests.e2e.test_postgres import SLOTS, Fleet, fleet
from tests.object_store import Gate, shared
from tests.postgres import Cluster


def prefix(folder: Path) -> str:
    return shared().url(f"e2e-{folder.name}-{time.time_ns()}")


def test_servers_without_a_shared_folder_lose_nothing_when_one_is_killed(tmp_path: Path) -> None:
    objects = {"BATCHYARD_OBJECTS": prefix(tmp_path), **shared().environ}
    with fleet(tmp_path, roles=("api", "dispatch", "dispatch", "api"), objects=objects) as here:
        batch = here.servers[0].create(300)["id"]
        time.sleep(0.3)
        here.servers[1].kill()
        here.until_ended(batch, 300)

        here.check(batch, 300, repeated=SLOTS)
        assert not (tmp_path / "server0" / "data" / "blobs").exists()
        assert deleted(here, batch)


def deleted(here: Fleet, batch: str) -> bool:
    """Delete the batch at one server; return whether another one has forgotten it with its results."""
    here.servers[0].call("DELETE", f"/v1/messages/batches/{batch}")
    return here.servers[-1].raw("GET", f"/v1/messages/batches/{batch}/results")[0] == 404


def test_an_object_store_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    gate = Gate(shared())
    objects = {"BATCHYARD_OBJECTS": prefix(tmp_path), **gate.environ}
    with fleet(tmp_path, roles=("all", "all"), lease="30s", objects=objects) as here:
        batch = here.servers[0].create(200)["id"]
        gate.shut()
        time.sleep(3.0)
        status, _ = here.servers[1].raw("GET", f"/v1/messages/batches/{batch}")
        assert status == 200
        gate.open()
        here.until_ended(batch, 200)

        here.check(batch, 200, repeated=0)
    gate.shut()


def test_a_server_is_refused_where_its_bucket_is_not_or_is_anothers(tmp_path: Path) -> None:
    url = prefix(tmp_path)
    with Cluster() as cluster:
        environ = {**shared().environ, "BATCHYARD_DATABASE": cluster.schema_url("one"), "BATCHYARD_OBJECTS": url}
        with ServerProcess(tmp_path / "one", environ=environ):
            pass
        for changed, told in (
            ({"BATCHYARD_OBJECTS": "s3://there-is-none/x"}, "there is no such bucket"),
            ({"BATCHYARD_DATABASE": cluster.schema_url("two")}, "belongs to another Batchyard"),
        ):
            refused = ServerProcess(tmp_path / "two", environ=environ | changed)
            with pytest.raises(AssertionError):
                refused.start()
            assert told in refused.log().splitlines()[-1]
