"""Nobody reaches what is not theirs: every route, every form of an id, every kind of caller.

The routes are the program's own table, so a new one is tried without a word here.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from batchyard.domain.access import ALL, Scope
from batchyard.domain.ids import batch_id as id_of
from batchyard.web.api import Api
from batchyard.web.keys import KeyBook
from batchyard.web.routes import Route
from tests.wire.world import NOW, Reply, SetClock, World, a_body, rendered

PATH = "/v1/messages/batches"
UNKNOWN = id_of(NOW, 2**77)
FORMS = [
    UNKNOWN,
    UNKNOWN.lower(),
    UNKNOWN.upper(),
    UNKNOWN[:-1],
    UNKNOWN + "0",
    UNKNOWN + "\n",
    UNKNOWN + "\0",
    "x",
    "*",
    "%",
    "' or 1=1 --",
    "../batches",
    "..",
    ".",
    "message_batch_id",
    "ünïcode",
    "a" * 5_000,
    f"{UNKNOWN}/results",
    f"{UNKNOWN}?limit=1",
]
"""What stands in the place of an id, before it is encoded."""


def routes() -> tuple[Route, ...]:
    app = World().app
    assert isinstance(app, Api)
    return app.routes.all


ROUTES = routes()
BY_ID = [route for route in ROUTES if "{batch_id}" in route.path]
NAMED = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
NAMED_BY_ID = pytest.mark.parametrize("route", BY_ID, ids=lambda route: f"{route.method} {route.path}")


@dataclass
class Yard:
    """An API with keys of every kind, and batches of the workspace ``theirs``."""

    world: World
    keys: dict[str, str]
    theirs: list[str]

    async def ask(self, route: Route, form: str, caller: str) -> Reply:
        path = re.sub(r"\{\w+\}", quote(form, safe="").replace("\\", r"\\"), route.path)
        headers = {"x-api-key": self.keys[caller] if caller != "none" else None}
        body = b'{"labels": {}}' if path.endswith("/labels") else a_body("a")
        return await self.world.call(route.method, path, body, headers=headers)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    clock = SetClock()
    with closing(KeyBook(tmp_path / "keys.db", clock)) as book:
        world = World(keys=book, clock=clock)
        keys = {"theirs": book.create("theirs", scopes=ALL)[1], "mine": book.create("mine", scopes=ALL)[1]}
        keys |= {f"no {scope}": book.create("theirs", scopes=ALL - {scope})[1] for scope in Scope}
        revoked, keys["revoked"] = book.create("theirs")
        _, keys["expired"] = book.create("theirs", lifetime=timedelta(microseconds=1))
        keys["wrong"] = keys["theirs"][:-1] + ("0" if keys["theirs"][-1] != "0" else "1")
        keys["empty"], keys["id of a key"] = "", revoked.id
        book.revoke(revoked.id)
        yard = Yard(world, keys, [])
        asyncio.run(_fill(yard))
        yield yard


async def _fill(yard: Yard) -> None:
    """Their batches: one that runs, one being canceled, one that has ended, one that is deleted."""
    theirs: dict[str, str | None] = {"x-api-key": yard.keys["theirs"]}
    for _ in range(4):
        yard.theirs.append(await yard.world.create("a", headers=theirs))
    assert (await yard.world.call("POST", f"{PATH}/{yard.theirs[1]}/cancel", headers=theirs)).status == 200
    for batch_id in yard.theirs[2:]:
        await yard.world.finish(batch_id)
    assert (await yard.world.call("DELETE", f"{PATH}/{yard.theirs[3]}", headers=theirs)).status == 200


def seen(reply: Reply, *ids: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """All that a caller can see, but for the request's own id and the ids that it named itself."""
    own = reply.header("request-id")
    assert own is not None
    body = reply.body.replace(own.encode(), b"REQUEST")
    for each in ids:
        body = body.replace(each.encode(), b"ID")
    headers = [(name, "REQUEST" if name == "request-id" else value) for name, value in reply.headers]
    return reply.status, [pair for pair in headers if pair[0] != "content-length"], body


@NAMED
@pytest.mark.parametrize("caller", ["none", "empty", "wrong", "revoked", "expired", "id of a key"])
def test_who_has_no_good_key_is_told_the_same_whatever_the_id(yard: Yard, route: Route, caller: str) -> None:
    async def scenario() -> None:
        forms = [*FORMS, *yard.theirs] if "{" in route.path else [UNKNOWN]
        answers = [seen(await yard.ask(route, form, caller)) for form in forms]
        message = b"x-api-key header is required" if caller in ("none", "empty") else b"API key is invalid."

        assert answers[0][0] == 401
        assert message in answers[0][2]
        assert all(answer == answers[0] for answer in answers)

    asyncio.run(scenario())


@NAMED
def test_a_key_without_the_scope_is_told_the_same_whatever_the_id(yard: Yard, route: Route) -> None:
    async def scenario() -> None:
        forms = [*FORMS, *yard.theirs] if "{" in route.path else [UNKNOWN]
        answers = [seen(await yard.ask(route, form, f"no {route.scope}")) for form in forms]

        assert answers[0][0] == 403
        assert b"permission_error" in answers[0][2]
        assert all(answer == answers[0] for answer in answers)
        for scope in Scope:
            if scope is not route.scope:
                assert (await yard.ask(route, UNKNOWN, f"no {scope}")).status != 403

    asyncio.run(scenario())


@NAMED_BY_ID
def test_a_foreign_batch_cannot_be_told_from_an_unknown_one(yard: Yard, route: Route) -> None:
    async def scenario() -> None:
        unknown = seen(await yard.ask(route, UNKNOWN, "mine"), UNKNOWN)
        assert unknown[0] == 404
        for batch_id in yard.theirs:
            assert seen(await yard.ask(route, batch_id, "mine"), batch_id) == unknown

    asyncio.run(scenario())


@NAMED_BY_ID
@pytest.mark.parametrize("form", FORMS, ids=lambda form: repr(form[:40]))
def test_every_other_form_of_an_id_is_a_404_too(yard: Yard, route: Route, form: str) -> None:
    reply = asyncio.run(yard.ask(route, form, "mine"))

    assert reply.error()[:2] == (404, "not_found_error")
    assert len(reply.body) < 400


def test_what_foreigners_try_changes_nothing(yard: Yard) -> None:
    async def scenario() -> None:
        theirs: dict[str, str | None] = {"x-api-key": yard.keys["theirs"]}
        before = [seen(await yard.world.call("GET", f"{PATH}/{each}", headers=theirs)) for each in yard.theirs]
        for route in BY_ID:
            for batch_id in yard.theirs:
                for caller in ("mine", "none", "revoked", f"no {route.scope}"):
                    await yard.ask(route, batch_id, caller)

        after = [seen(await yard.world.call("GET", f"{PATH}/{each}", headers=theirs)) for each in yard.theirs]
        assert after == before

    asyncio.run(scenario())


def test_lists_and_cursors_show_nothing_of_others(yard: Yard) -> None:
    async def scenario() -> None:
        mine: dict[str, str | None] = {"x-api-key": yard.keys["mine"]}
        assert (await yard.world.call("GET", PATH, headers=mine)).json()["data"] == []
        own = [await yard.world.create("a", headers=mine) for _ in range(3)]
        for cursor in ("after_id", "before_id"):
            for batch_id in yard.theirs:
                beside = batch_id[:-1] + ("0" if batch_id[-1] != "0" else "1")
                pages = [
                    seen(await yard.world.call("GET", f"{PATH}?{cursor}={named}&limit=2", headers=mine))
                    for named in (batch_id, beside)
                ]
                assert pages[0] == pages[1]
                assert not any(each.encode() in pages[0][2] for each in yard.theirs)
        listed = (await yard.world.call("GET", PATH, headers=mine)).json()["data"]
        assert [each["id"] for each in listed] == own[::-1]

    asyncio.run(scenario())


def test_metrics_are_for_this_machine_or_for_an_admin(yard: Yard) -> None:
    async def scenario() -> None:
        yard.world.metrics = rendered
        asked = {
            caller: (await yard.world.call("GET", "/metrics", headers={"x-api-key": key}, peer="10.0.0.9")).status
            for caller, key in yard.keys.items()
        }
        assert {caller for caller, status in asked.items() if status == 200} == {
            "theirs",
            "mine",
            *(f"no {scope}" for scope in Scope if scope is not Scope.ADMIN),
        }
        assert asked["no admin"] == 403
        assert asked["revoked"] == asked["expired"] == asked["wrong"] == 401
        assert (await yard.world.call("GET", "/metrics", headers={"x-api-key": None})).status == 200

    asyncio.run(scenario())
