"""Who may call, judged before anything else; and the API version."""

import asyncio
from typing import Any

import pytest

from batchyard.testing.blobs import MemoryBlobs
from tests.wire.world import World, a_body, ask

PATH = "/v1/messages/batches"
UNKNOWN = "msgbatch_01AAAAAAAAAAAAAAAAAAAAAA"
NO_KEY: dict[str, str | None] = {"x-api-key": None}
ROUTES = [
    ("GET", PATH),
    ("POST", PATH),
    ("GET", f"{PATH}/{UNKNOWN}"),
    ("DELETE", f"{PATH}/{UNKNOWN}"),
    ("POST", f"{PATH}/{UNKNOWN}/cancel"),
    ("GET", f"{PATH}/{UNKNOWN}/results"),
    ("PUT", PATH),
]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "key-one"},
        {"x-api-key": None, "authorization": "Bearer key-one"},
        {"x-api-key": None, "authorization": "bearer   key-one"},
        {"x-api-key": "", "authorization": "Bearer key-one"},
        {"x-api-key": "key-one", "authorization": "Bearer key-one"},
        {"x-api-key": "key-one", "authorization": "Bearer key-one-b"},
        {"x-api-key": "key-one", "anthropic-workspace-id": "w1"},
    ],
)
def test_a_good_key_is_taken_from_either_header(headers: dict[str, str | None]) -> None:
    assert asyncio.run(World().call("GET", PATH, headers=headers)).status == 200


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"x-api-key": None}, "x-api-key header is required"),
        ({"x-api-key": ""}, "x-api-key header is required"),
        ({"x-api-key": "wrong"}, "API key is invalid."),
        ({"x-api-key": None, "authorization": "Bearer wrong"}, "API key is invalid."),
        ({"x-api-key": None, "authorization": "Basic key-one"}, "authorization: expected `Bearer` and an API key."),
        ({"x-api-key": None, "authorization": "Bearer"}, "authorization: expected `Bearer` and an API key."),
        ({"x-api-key": None, "authorization": "key-one"}, "authorization: expected `Bearer` and an API key."),
        ({"x-api-key": "key-one", "authorization": "Bearer wrong"}, "API key is invalid."),
        ({"x-api-key": "wrong", "authorization": "Bearer key-one"}, "API key is invalid."),
        ({"x-api-key": "key-one", "authorization": "Bearer key-two"}, "API key is invalid."),
    ],
)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_anything_else_is_a_401_whatever_the_route(
    method: str, path: str, headers: dict[str, str | None], message: str
) -> None:
    reply = asyncio.run(World().call(method, path, headers={**headers, "anthropic-version": None}))

    assert reply.error() == (401, "authentication_error", message)


def test_two_different_lines_of_one_header_must_both_be_good() -> None:
    lines = [("host", "localhost"), ("anthropic-version", "2023-06-01"), ("x-api-key", "key-one")]

    reply = asyncio.run(ask(World().app, "GET", PATH, [*lines, ("x-api-key", "key-two")]))

    assert reply.status == 401


def test_another_workspace_than_the_keys_is_a_403() -> None:
    reply = asyncio.run(World().call("GET", PATH, headers={"anthropic-workspace-id": "w2"}))

    assert reply.error()[:2] == (403, "permission_error")


class UnusedBlobs(MemoryBlobs):
    """Nothing may be begun for a stranger."""

    def writer(self, kind: str) -> Any:
        raise AssertionError("a stranger's body is stored")


def test_the_body_of_a_stranger_is_not_read() -> None:
    world = World(blobs=UnusedBlobs())

    reply = asyncio.run(world.call("POST", PATH, a_body("a"), headers=NO_KEY, unread=True))

    assert reply.status == 401


@pytest.mark.parametrize(("method", "path"), ROUTES[:-1])
def test_a_foreign_batch_cannot_be_told_from_an_unknown_one(method: str, path: str) -> None:
    async def scenario() -> None:
        world = World()
        theirs = await world.ended()
        running = await world.create()
        mine: dict[str, str | None] = {"x-api-key": "key-two"}

        answers = []
        for batch_id in (theirs, running, UNKNOWN):
            if UNKNOWN in path:
                reply = await world.call(method, path.replace(UNKNOWN, batch_id), headers=mine)
                answers.append((reply.status, reply.error()[2].replace(batch_id, "ID")))
        assert answers == ([(404, "Message Batch ID not found.")] * 3 if UNKNOWN in path else [])
        assert (await world.call("GET", PATH, headers=mine)).json()["data"] == []

    asyncio.run(scenario())


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
def test_both_versions_are_spoken(version: str) -> None:
    assert asyncio.run(World().call("GET", PATH, headers={"anthropic-version": version})).status == 200


@pytest.mark.parametrize(
    ("version", "message"),
    [(None, "anthropic-version: header is required"), ("", "anthropic-version: header is required")],
)
@pytest.mark.parametrize(("method", "path"), ROUTES[:-1])
def test_a_missing_version_is_a_400(method: str, path: str, version: str | None, message: str) -> None:
    reply = asyncio.run(World().call(method, path, a_body("a"), headers={"anthropic-version": version}))

    assert reply.error() == (400, "invalid_request_error", message)


@pytest.mark.parametrize("version", ["2020-01-01", "latest", "2023-06-01, 2026-10-21"])
def test_an_unknown_version_is_a_400(version: str) -> None:
    reply = asyncio.run(World().call("GET", PATH, headers={"anthropic-version": version}))

    assert reply.error()[:2] == (400, "invalid_request_error")
    assert reply.error()[2].startswith("anthropic-version: ")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", PATH, "submit"),
        ("GET", PATH, "read"),
        ("GET", f"{PATH}/{UNKNOWN}", "read"),
        ("GET", f"{PATH}/{UNKNOWN}/results", "read"),
        ("DELETE", f"{PATH}/{UNKNOWN}", "delete"),
        ("POST", f"{PATH}/{UNKNOWN}/cancel", "cancel"),
        ("POST", f"/batchyard/v1/batches/{UNKNOWN}/pause", "cancel"),
        ("POST", f"/batchyard/v1/batches/{UNKNOWN}/resume", "cancel"),
        ("GET", f"/batchyard/v1/batches/{UNKNOWN}/attempts", "read"),
        ("GET", "/batchyard/v1/owners", "admin"),
        ("POST", "/v1/messages", "submit"),
        ("POST", "/v1/messages/count_tokens", "submit"),
        ("GET", "/v1/models", "read"),
        ("GET", "/v1/models/simulator", "read"),
    ],
)
def test_each_call_takes_its_scope_and_no_other(method: str, path: str, scope: str) -> None:
    statuses = {
        name: asyncio.run(World().call(method, path, a_body("a"), headers={"x-api-key": f"key-{name}"})).status
        for name in ("submit", "read", "cancel", "delete", "admin")
    }

    assert [name for name, status in statuses.items() if status != 403] == [scope]
