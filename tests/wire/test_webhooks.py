"""Webhooks beside the wire: for admins alone, without a secret or an URL in any answer."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from batchyard.domain.errors import NotFound
from batchyard.domain.hooks import CHOICES, Hook, Kind, Notice, State
from batchyard.ports import Told
from tests.wire.world import NOW, World

ADMIN = {"x-api-key": "key-admin"}
PATH = "/batchyard/v1/webhooks"


class SomeWebhooks:
    """A ``Webhooks`` of one."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.tests = 0

    def hooks(self) -> Sequence[Hook]:
        return [Hook("ops", frozenset(CHOICES), frozenset("*"))]

    async def log(self, hook: str, limit: int) -> Sequence[Told]:
        if hook != "ops":
            raise NotFound("There is no such webhook.")
        self.asked.append(limit)
        return [Told("msgbatch_1.ended", "ops", "batch.ended", State.WAITING, 2, NOW, NOW, NOW, 503, "Busy")][:limit]

    async def test(self, hook: str) -> Notice:
        if hook != "ops":
            raise NotFound("There is no such webhook.")
        self.tests += 1
        return Notice("test.1", Kind.TEST, None, b"{}")


def call(world: World, method: str, path: str, headers: dict[str, str] | None = None) -> Any:
    return asyncio.run(world.call(method, path, headers=ADMIN if headers is None else headers))


def test_an_admin_sees_each_webhook_with_its_last_delivery() -> None:
    [shown] = call(World(webhooks=SomeWebhooks()), "GET", PATH).json()["data"]

    at = "2026-03-02T09:00:00.000000Z"
    assert (shown["name"], shown["workspaces"]) == ("ops", ["*"])
    assert shown["events"] == ["batch.canceled", "batch.ended", "batch.expiring", "lane.held"]
    assert shown["last"] == {
        "id": "msgbatch_1.ended", "webhook": "ops", "type": "batch.ended", "state": "waiting", "tries": 2,
        "created_at": at, "tried_at": at, "again_at": at,
        "status": 503, "reason": "Busy",
    }  # fmt: skip


def test_the_log_takes_a_limit_and_refuses_another_thing() -> None:
    hooks = SomeWebhooks()
    world = World(webhooks=hooks)

    assert len(call(world, "GET", f"{PATH}/ops/deliveries").json()["data"]) == 1
    assert call(world, "GET", f"{PATH}/ops/deliveries?limit=7").status == 200
    assert hooks.asked == [50, 7]
    for limit in ("0", "1001", "x", "-1"):
        status, kind, words = call(world, "GET", f"{PATH}/ops/deliveries?limit={limit}").error()
        assert (status, kind) == (400, "invalid_request_error"), limit
        assert "limit" in words


def test_a_test_is_asked_for_by_name() -> None:
    hooks = SomeWebhooks()

    reply = call(World(webhooks=hooks), "POST", f"{PATH}/ops/test")

    assert reply.json() == {"id": "test.1", "webhook": "ops", "type": "test"}
    assert hooks.tests == 1


@pytest.mark.parametrize(("method", "rest"), [("GET", ""), ("GET", "/ops/deliveries"), ("POST", "/ops/test")])
@pytest.mark.parametrize("key", ["key-one", "key-read", "key-submit", "key-delete"])
def test_other_keys_learn_nothing(method: str, rest: str, key: str) -> None:
    hooks = SomeWebhooks()

    assert call(World(webhooks=hooks), method, PATH + rest, {"x-api-key": key}).status == 403
    assert hooks.tests == 0


@pytest.mark.parametrize(("method", "rest"), [("GET", "/none/deliveries"), ("POST", "/none/test")])
def test_a_name_that_is_not_there_is_not_found(method: str, rest: str) -> None:
    assert call(World(webhooks=SomeWebhooks()), method, PATH + rest).status == 404
    assert call(World(), method, PATH + rest).status == 404


def test_a_server_without_webhooks_has_an_empty_list() -> None:
    assert call(World(), "GET", PATH).json() == {"data": []}
