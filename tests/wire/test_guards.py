"""What a browser is told of our answers: they are data, for nobody's page, and stay in no cache."""

import asyncio

import pytest

from batchyard.web.calls import GUARDS
from tests.wire.test_tenants import ROUTES
from tests.wire.world import World, a_body

PATH = "/v1/messages/batches"
OPEN = [("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/openapi.json"), ("GET", "/nothing"), ("PUT", PATH)]
CALLS = [*((route.method, route.path.replace("{batch_id}", "x").replace("{model}", "x")) for route in ROUTES), *OPEN]


@pytest.mark.parametrize(("method", "path"), CALLS, ids=lambda part: part)
def test_every_answer_is_guarded_whatever_it_says(method: str, path: str) -> None:
    for headers in ({}, {"x-api-key": "wrong"}, {"host": "evil.example"}):
        reply = asyncio.run(World().call(method, path, a_body("a"), headers=headers))

        for name, value in GUARDS:
            assert reply.header(name) == value, (name, reply.status)
        assert [key for key, _ in reply.headers] == list(dict.fromkeys(key for key, _ in reply.headers))


def test_results_are_a_download_with_a_name_of_ours() -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.ended()
        for method in ("GET", "HEAD"):
            reply = await world.call(method, f"{PATH}/{batch_id}/results")

            assert reply.header("content-disposition") == f'attachment; filename="{batch_id}_results.jsonl"'
            assert reply.header("content-type") == "application/x-jsonl"
            assert all(reply.header(name) == value for name, value in GUARDS)

    asyncio.run(scenario())
