"""The document of the API: complete, valid, and what its schemas say is what the wire writes."""

import asyncio
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import validate

from batchyard import wire
from batchyard.domain.catalog import ModelInfo
from batchyard.web.api import Api
from batchyard.web.openapi import DESCRIBED, OBJECTS, document
from batchyard.web.settings import WebSettings
from tests.wire.world import World


def api() -> Api:
    app = World().app
    assert isinstance(app, Api)
    return app


def told() -> Any:
    return asyncio.run(World().call("GET", "/openapi.json", headers={"x-api-key": None})).json()


def test_it_is_valid_and_served_without_a_key() -> None:
    validate(told())


def test_a_foreign_host_is_refused() -> None:
    reply = asyncio.run(World().call("GET", "/openapi.json", headers={"host": "evil.example"}))

    assert reply.error()[0] == 421


def test_every_route_is_described_and_nothing_else_is() -> None:
    routes = {(route.method, route.path) for route in api().routes.all}

    assert routes - set(DESCRIBED) == set(), "describe them in web/described"
    assert set(DESCRIBED) - routes == set()


def test_every_path_that_is_answered_is_in_it() -> None:
    paths = document(api().routes.all, owned=True)["paths"]
    probes = [["healthz"], ["readyz"], ["metrics"], ["openapi.json"]]

    assert all(api().health.route(probe) is not None and f"/{probe[0]}" in paths for probe in probes)
    assert {"/batchyard/v1/folder/check", "/batchyard/v1/folder/backup"} < set(paths)
    assert not any("folder" in path for path in document(api().routes.all, owned=False)["paths"])


def test_each_operation_has_a_name_of_its_own_and_says_its_scope() -> None:
    paths = told()["paths"]
    operations = [operation for path in paths.values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]

    assert len(names) == len(set(names))
    for route in api().routes.all:
        assert f"`{route.scope.value}`" in paths[route.path][route.method.lower()]["description"]


@pytest.mark.parametrize(
    ("name", "struct"),
    [
        ("MessageBatch", wire.MessageBatch),
        ("BatchPage", wire.BatchPage),
        ("DeletedBatch", wire.DeletedBatch),
        ("ModelPage", wire.ModelPage),
        ("Model", ModelInfo),
        ("Error", wire.ErrorEnvelope),
    ],
)
def test_schemas_have_the_members_that_the_wire_writes(name: str, struct: type[msgspec.Struct]) -> None:
    fields = [field.encode_name for field in msgspec.structs.fields(struct)]

    assert list(OBJECTS[name]["properties"]) == fields == list(OBJECTS[name]["required"])


def test_limits_are_those_of_the_settings() -> None:
    counts = [field.name for field in msgspec.structs.fields(wire.RequestCounts)]

    assert OBJECTS["CreateBatch"]["properties"]["requests"]["maxItems"] == WebSettings().max_requests
    assert list(OBJECTS["MessageBatch"]["properties"]["request_counts"]["properties"]) == counts
