"""A real engine beside each dispatcher on a Ray node: started, awaited, watched, and ended with it."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import llama
from tests.e2e.processes import ServerProcess
from tests.e2e.test_ray import LEASE, Program, RayCluster, ended
from tests.postgres import Cluster

pytestmark = pytest.mark.accept
SECONDS = 600.0
TOKENS = 40


def options(folder: Path, dispatchers: int) -> list[str]:
    """What ``batchyard ray up`` is told."""
    engine = f"{llama.SERVER} -m {folder / 'tiny.gguf'} --host 127.0.0.1 --port {{port}} -np {llama.SLOTS} "
    engine += f"-c {llama.SLOTS * llama.CONTEXT} --threads 1 --no-webui"
    return ["--dispatchers", str(dispatchers), "--engine", engine, "--engine-path", "/health"]


@contextmanager
def beside_engines(folder: Path, dispatchers: int) -> Iterator[tuple[ServerProcess, Program, RayCluster]]:
    """Start an API process that knows no upstream, and dispatchers on Ray with an engine each."""
    llama.build()
    (folder / "tiny.gguf").symlink_to(llama.MODEL)
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster())
        environ = {
            "BATCHYARD_DATABASE": cluster.schema_url("engines"),
            "BATCHYARD_LEASE": LEASE,
            "BATCHYARD_CONCURRENCY": str(llama.SLOTS * dispatchers),
        }
        api = ServerProcess(folder / "data", environ={**environ, "BATCHYARD_ROLE": "api"})
        stack.enter_context(api)
        ray = RayCluster(folder, {**environ, "BATCHYARD_DATA": str(folder / "data")})
        stack.callback(ray.close)
        program = ray.up(*options(folder, dispatchers))
        stack.callback(lambda: ended(program))
        yield api, program, ray


def engines(folder: Path) -> set[int]:
    """The process ids of the engines that serve the model in this folder."""
    model = str(folder / "tiny.gguf").encode()
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == str(llama.SERVER).encode() and model in words:
            found.add(int(process.name))
    return found


def until_engines(folder: Path, count: int, *, without: frozenset[int] = frozenset()) -> set[int]:
    deadline = time.monotonic() + SECONDS
    while len(found := engines(folder) - without) != count:
        assert time.monotonic() < deadline, (count, found)
        time.sleep(0.2)
    return found


def created(api: ServerProcess, count: int) -> str:
    """Create a batch whose requests each want so many tokens more than the one before."""
    requests = [
        {
            "custom_id": f"r{number}",
            "params": {
                "model": "tiny",
                "max_tokens": TOKENS + number % 7,
                "messages": [{"role": "user", "content": f"number {number}"}],
            },
        }
        for number in range(count)
    ]
    return str(api.call("POST", "/v1/messages/batches", json.dumps({"requests": requests}).encode())["id"])


def until(api: ServerProcess, batch: str, succeeded: int) -> dict[str, Any]:
    """Wait until so many of the batch's requests have succeeded, or it has ended; return it."""
    deadline = time.monotonic() + SECONDS
    while True:
        shown: dict[str, Any] = api.call("GET", f"/v1/messages/batches/{batch}")
        if shown["processing_status"] == "ended" or shown["request_counts"]["succeeded"] >= succeeded:
            return shown
        assert time.monotonic() < deadline, shown
        time.sleep(0.1)


def until_ended(api: ServerProcess, batch: str, count: int) -> None:
    assert until(api, batch, count)["request_counts"]["succeeded"] == count
    deadline = time.monotonic() + SECONDS
    while api.call("GET", f"/v1/messages/batches/{batch}")["processing_status"] != "ended":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def check_answers(api: ServerProcess, batch: str, count: int) -> None:
    """Each request has one line, in order, with an answer as long as it asked for: from the engine, so not made up."""
    lines = api.results(batch)
    assert [line["custom_id"] for line in lines] == [f"r{number}" for number in range(count)]
    messages = [line["result"]["message"] for line in lines]
    assert [one["usage"]["output_tokens"] for one in messages] == [TOKENS + number % 7 for number in range(count)]
    assert all(one["content"][0]["text"] for one in messages)


def outcomes(api: ServerProcess, batch: str) -> Counter[str]:
    status, ledger = api.raw("GET", f"/batchyard/v1/batches/{batch}/attempts")
    assert status == 200
    return Counter(trace[0] for line in ledger.splitlines() for trace in json.loads(line)["traces"])


def test_an_engine_that_is_killed_is_begun_anew_and_its_batch_ends_right(tmp_path: Path) -> None:
    with beside_engines(tmp_path, 1) as (api, program, _):
        [first] = until_engines(tmp_path, 1)
        batch = created(api, 200)
        shown = until(api, batch, 10)
        assert shown["processing_status"] == "in_progress"
        os.kill(first, signal.SIGKILL)
        until_engines(tmp_path, 1, without=frozenset({first}))
        until_ended(api, batch, 200)

        check_answers(api, batch, 200)
        seen = outcomes(api, batch)
        assert seen["answered"] == 200
        assert seen["unknown"] + seen["hung"] <= llama.SLOTS, seen
        assert ended(program) == 0
        assert engines(tmp_path) == set()


def test_each_dispatcher_has_an_engine_of_its_own_and_a_drain_finishes_what_it_writes(tmp_path: Path) -> None:
    with beside_engines(tmp_path, 2) as (api, program, ray):
        until_engines(tmp_path, 2)
        batch = created(api, 160)
        until(api, batch, 20)
        assert ended(program) == 0

        assert engines(tmp_path) == set()
        halfway = api.call("GET", f"/v1/messages/batches/{batch}")["request_counts"]["succeeded"]
        assert 20 <= halfway < 160
        seen = outcomes(api, batch)
        assert seen == {"answered": halfway}
        again = ray.up(*options(tmp_path, 2))
        try:
            until_ended(api, batch, 160)
        finally:
            assert ended(again) == 0
        check_answers(api, batch, 160)
        assert outcomes(api, batch) == {"answered": 160}
        assert engines(tmp_path) == set()
