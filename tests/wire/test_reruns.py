"""Only the failures once more: the same bytes of params, under the same name, as a batch of their own."""

import asyncio
import json
from typing import Any

import pytest

from batchyard.domain.events import BatchCreated
from batchyard.domain.result import Canceled, Errored, Expired, RequestError, Result, Succeeded
from tests.wire.world import MESSAGE, Reply, World

ERRORED = Errored(RequestError("api_error", "no"))
FATES: dict[str, Result] = {
    "good": Succeeded(MESSAGE),
    "bad": ERRORED,
    "late": Expired(),
    "stopped": Canceled(),
    "worse": ERRORED,
}
ODD = '{"model":"simulator", "max_tokens":5,"x":100000000000000000000000000001e2 ,"messages":[], "%s":"\\u00e9é"}'


async def ended(world: World, **headers: str) -> str:
    """Return a batch with one request of each fate, whose params are odd in their bytes."""
    requests = ",".join(f'{{"custom_id":"{name}","params":{ODD % name}}}' for name in FATES)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = await world.call("POST", "/v1/messages/batches", f'{{"requests":[{requests}]}}'.encode(), headers=named)
    batch = str(reply.json()["id"])
    await world.finish(batch, *FATES.values())
    return batch


async def rerun(world: World, batch: str, query: str = "", headers: dict[str, str] | None = None) -> Reply:
    return await world.call("POST", f"/batchyard/v1/batches/{batch}/rerun{query}", headers=headers)


async def requests_of(world: World, batch: str) -> list[tuple[str, bytes]]:
    rows = await world.store.views.rows("w1", batch, first=0, limit=100)
    read = [await world.blobs.read(row.params.blob, row.params.offset, row.params.length) for row in rows]
    return [(row.custom_id, params) for row, params in zip(rows, read, strict=True)]


def test_what_errored_or_expired_becomes_a_batch_byte_for_byte() -> None:
    async def go() -> None:
        world = World()
        batch = await ended(world, anthropic_beta="some-beta", batchyard_name="nightly", batchyard_labels="run=1")

        reply = await rerun(world, batch)

        assert reply.status == 200, reply.body
        made = reply.json()
        assert made["id"] != batch
        assert made["request_counts"]["processing"] == 3
        wanted = [(name, (ODD % name).encode()) for name in ("bad", "late", "worse")]
        assert await requests_of(world, made["id"]) == wanted
        new = await world.store.get("w1", made["id"])
        assert new.betas == ("some-beta",)
        assert (new.labels.name, dict(new.labels.pairs)) == ("nightly", {"run": "1", "rerun-of": batch})
        assert world.events[-1] == BatchCreated(new.id, "w1", 3)
        await world.finish(new.id)
        results = await world.call("GET", f"/v1/messages/batches/{new.id}/results")
        assert [json.loads(line)["custom_id"] for line in results.body.splitlines()] == ["bad", "late", "worse"]

    asyncio.run(go())


def test_other_fates_may_be_named_and_headers_name_the_new_batch() -> None:
    async def go() -> None:
        world = World()
        batch = await ended(world, batchyard_name="nightly", batchyard_labels="run=1")

        headers = {"batchyard-name": "again", "batchyard-labels": "run=2"}
        made = (await rerun(world, batch, "?results=canceled,errored", headers)).json()

        assert [name for name, _ in await requests_of(world, made["id"])] == ["bad", "stopped", "worse"]
        labels = (await world.store.get("w1", made["id"])).labels
        assert (labels.name, dict(labels.pairs)) == ("again", {"run": "2", "rerun-of": batch})

    asyncio.run(go())


def test_a_repeat_with_its_idempotency_key_gives_the_first_batch() -> None:
    async def go() -> None:
        world = World()
        batch = await ended(world)

        first, again = [(await rerun(world, batch, "", {"idempotency-key": "k"})).json() for _ in range(2)]

        assert again == first
        assert len(world.blobs.names) == 5  # two bodies and three sealed files: the second body is gone

    asyncio.run(go())


def test_there_must_be_an_end_and_a_failure() -> None:
    async def go() -> None:
        world = World()
        running = await world.create("a")
        good = await world.ended("a")

        assert "has not ended" in (await rerun(world, running)).error()[2]
        assert (await rerun(world, good)).error()[2] == (
            f"Message Batch {good} has no request that errored or expired."
        )
        for query in ("?results=succeeded", "?results=", "?results=all"):
            assert (await rerun(world, good, query)).error()[:2] == (400, "invalid_request_error")

    asyncio.run(go())


@pytest.mark.parametrize(("headers", "status"), [({"x-api-key": "key-two"}, 404), ({"x-api-key": "key-read"}, 403)])
def test_a_rerun_is_a_create_of_the_batchs_own_workspace(headers: dict[str, Any], status: int) -> None:
    async def go() -> None:
        world = World()
        batch = await ended(world)

        assert (await rerun(world, batch, "", headers)).status == status

    asyncio.run(go())


def test_damaged_params_make_no_batch() -> None:
    async def go() -> None:
        world = World()
        batch = await ended(world)
        world.blobs.flip((await world.store.get("w1", batch)).body, len(ODD) + 10)

        reply = await rerun(world, batch)

        assert reply.error()[:2] == (500, "api_error")
        assert len((await world.store.page("w1", after=None, before=None, limit=9)).batches) == 1

    asyncio.run(go())
