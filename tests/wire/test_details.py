"""Names, labels, search and forecast beside the wire; the batch object of the API stays as it is."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from batchyard.domain.forecast import Wait
from batchyard.domain.outcome import Finish, Retry, Trace
from batchyard.domain.result import Succeeded
from batchyard.ports import Pick, Ready
from tests.wire.world import MESSAGE, NOW, World, a_body

TEN = [
    "id",
    "type",
    "processing_status",
    "request_counts",
    "ended_at",
    "created_at",
    "expires_at",
    "archived_at",
    "cancel_initiated_at",
    "results_url",
]
BESIDE = "/batchyard/v1/batches"


async def one(world: World, batch_id: str, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (await world.call("GET", f"{BESIDE}/{batch_id}", headers=named)).json()


def test_headers_of_a_create_name_and_label_the_batch() -> None:
    async def go() -> None:
        world = World()
        labels = "team=search, what=a%2Cb%20%E2%82%AC"
        batch = await world.create("a", headers={"batchyard-name": "Nacht %31 \xc3\xa9", "batchyard-labels": labels})

        told = await one(world, batch)

        assert told["name"] == "Nacht 1 é"
        assert told["labels"] == {"team": "search", "what": "a,b €"}
        assert list(told["batch"]) == TEN
        assert list((await world.call("GET", f"/v1/messages/batches/{batch}")).json()) == TEN

    asyncio.run(go())


@pytest.mark.parametrize(
    ("header", "value", "told"),
    [
        ("batchyard-labels", "team", "batchyard-labels: write key=value"),
        ("batchyard-labels", "a=1,a=2", "the key 'a' is there twice"),
        ("batchyard-labels", "a b=1", "labels: the key 'a b' must be 1 to 63 of the characters"),
        ("batchyard-labels", "a=%0A", "labels: a must be printable text"),
        ("batchyard-labels", ",".join(f"k{n}=v" for n in range(33)), "labels: a batch has at most 32."),
        ("batchyard-name", "%ff", "batchyard-name: must be UTF-8"),
        ("batchyard-name", "x" * 201, "name: must be printable text of at most 200 characters."),
    ],
)
def test_a_wrong_name_or_label_is_told_before_the_body_is_taken(header: str, value: str, told: str) -> None:
    async def go() -> None:
        reply = await World().call("POST", "/v1/messages/batches", headers={header: value}, unread=True)

        assert reply.error()[:2] == (400, "invalid_request_error")
        assert told in reply.error()[2]

    asyncio.run(go())


def test_labels_are_edited_and_removed_after_the_create() -> None:
    async def go() -> None:
        world = World()
        batch = await world.create("a", headers={"batchyard-labels": "a=1,b=2"})

        change = json.dumps({"name": "mine", "labels": {"a": None, "c": "3"}}).encode()
        told = (await world.call("POST", f"{BESIDE}/{batch}/labels", change)).json()

        assert (told["name"], told["labels"]) == ("mine", {"b": "2", "c": "3"})
        assert (await one(world, batch))["labels"] == {"b": "2", "c": "3"}
        only_name = (await world.call("POST", f"{BESIDE}/{batch}/labels", b'{"name":""}')).json()
        assert (only_name["name"], only_name["labels"]) == ("", {"b": "2", "c": "3"})

    asyncio.run(go())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"nam":"x"}', b'{"labels":{"a":1}}', b'{"name":"\xff"}', b"[" * 100_000, b"x" * 70_000]
)
def test_a_wrong_edit_is_refused_and_changes_nothing(body: bytes) -> None:
    async def go() -> None:
        world = World()
        batch = await world.create("a", headers={"batchyard-labels": "a=1"})

        reply = await world.call("POST", f"{BESIDE}/{batch}/labels", body)

        assert reply.error()[0] in (400, 413)
        assert (await one(world, batch))["labels"] == {"a": "1"}

    asyncio.run(go())


def test_batches_are_found_by_label_words_and_status_in_the_callers_workspace_alone() -> None:
    async def go() -> None:
        world = World()
        first = await world.create("a", headers={"batchyard-name": "nightly", "batchyard-labels": "team=search"})
        second = await world.create("a", headers={"batchyard-labels": "team=ads"})
        await world.create("a", headers={"x-api-key": "key-two", "batchyard-name": "nightly"})
        await world.finish(second)

        async def found(query: str) -> list[str]:
            told = (await world.call("GET", f"{BESIDE}?{query}")).json()
            return [each["batch"]["id"] for each in told["data"]]

        assert await found("") == [second, first]
        assert await found("q=Night") == [first]
        assert await found("label=team%3Dads") == [second]
        assert await found("label=team&label=team%3Dsearch") == [first]
        assert await found("status=ended") == [second]
        assert await found("limit=1") == [second]
        assert await found(f"limit=1&after_id={second}") == [first]
        assert (await world.call("GET", f"{BESIDE}?status=over")).error()[0] == 400
        assert (await world.call("GET", f"{BESIDE}?after_id=x")).error()[0] == 400
        assert await found("&".join(["label=team"] * 32)) == [second, first]
        too_many = await world.call("GET", f"{BESIDE}?{'&'.join(['label=team'] * 33)}")
        assert too_many.error() == (400, "invalid_request_error", "label: at most 32 can be looked for at once.")

    asyncio.run(go())


def test_a_foreign_batch_cannot_be_told_from_an_unknown_one() -> None:
    async def go() -> None:
        world = World()
        batch = await world.create("a")
        unknown = batch[:-4] + "1111"
        other = {"x-api-key": "key-two"}
        for method, tail, body in (("GET", "", b""), ("POST", "/labels", b"{}")):
            foreign = await world.call(method, f"{BESIDE}/{batch}{tail}", body, headers=other)
            missing = await world.call(method, f"{BESIDE}/{unknown}{tail}", body, headers=other)
            assert foreign.error()[:2] == missing.error()[:2] == (404, "not_found_error")
            assert foreign.error()[2].replace(batch, unknown) == missing.error()[2]

    asyncio.run(go())


def test_a_forecast_tells_of_the_rate_who_is_ahead_and_the_end() -> None:
    async def go() -> None:
        world = World()
        batch = await world.create(*"abcdefghij")
        await world.create(*"abcd", headers={"x-api-key": "key-two"})
        turn = await world.store.turn("engine", [], [Pick(batch, "simulator", 5)], NOW)
        world.clock.moment = NOW + timedelta(seconds=10)
        trace = Trace("answered", NOW, NOW + timedelta(seconds=5))
        await world.store.turn(
            "engine", [Finish(lease, Succeeded(MESSAGE), trace) for lease in turn.leases], [], world.clock.now()
        )

        told = (await one(world, batch))["forecast"]

        assert told == {
            "requests_per_second": 0.5,
            "remaining": 5,
            "requests_ahead": 4,
            "done_at": "2026-03-02T09:00:28.000000Z",
            "deadline_risk": "none",
            "waits_for": [],
        }
        await world.call("POST", f"{BESIDE}/{batch}/pause")
        assert (await one(world, batch))["forecast"]["waits_for"] == ["it is paused"]

    asyncio.run(go())


def test_a_batch_waits_only_where_all_its_models_do() -> None:
    waits: dict[str, Wait] = {"m": Wait("gpu is outside its hours", NOW + timedelta(hours=2))}

    async def go() -> None:
        world = World(waits=waits.get)
        body = json.loads(a_body("a", "b"))
        for request, model in zip(body["requests"], "mn", strict=True):
            request["params"]["model"] = model
        batch = (await world.call("POST", "/v1/messages/batches", json.dumps(body).encode())).json()["id"]
        assert (await one(world, batch))["forecast"]["waits_for"] == []

        waits["n"] = Wait("gpu is outside its hours", None)
        assert (await one(world, batch))["forecast"]["waits_for"] == ["gpu is outside its hours"]

    asyncio.run(go())


def test_a_batch_whose_rest_failed_waits_for_its_next_try() -> None:
    async def go() -> None:
        world = World()
        batch = await world.create("a")
        [lease] = (await world.store.turn("engine", [], [Pick(batch, "simulator", 1)], NOW)).leases
        again = NOW + timedelta(minutes=5)
        put_off = Retry(lease, again, Trace("notstarted", NOW, NOW), 0, 0, 0)
        await world.store.turn("engine", [put_off], [], NOW)

        assert (await one(world, batch))["forecast"]["waits_for"] == [
            "what is left of it failed, and is tried again later"
        ]
        world.clock.moment = again
        assert (await one(world, batch))["forecast"]["waits_for"] == []

    asyncio.run(go())


def test_what_a_batch_used_is_told_with_its_cost() -> None:
    async def go() -> None:
        world = World()
        batch = await world.create("a", "b")
        await world.finish(batch)

        told = await one(world, batch)

        assert told["usage"]["requests"] == 2
        assert told["usage"]["unpriced_requests"] == 2
        assert told["forecast"]["remaining"] == 0
        [listed] = (await world.call("GET", BESIDE)).json()["data"]
        assert listed["usage"] == told["usage"]

    asyncio.run(go())


def test_one_look_at_a_long_backlog_does_for_many_forecasts() -> None:
    async def go() -> None:
        world, looks = World(), list[float]()
        batch = await world.create("a", "b")
        backlog = world.store.backlog

        async def slow(now: datetime) -> Sequence[Ready]:
            looks.append(world.clock.seconds)
            world.clock.seconds += 1.0
            return await backlog(now)

        world.store.backlog = slow  # type: ignore[method-assign]  # this store alone is slow
        app = world.app
        asked = [world.call("GET", f"{BESIDE}/{batch}", app=app) for _ in range(20)]
        replies = [reply.json() for reply in await asyncio.gather(*asked)]
        assert [reply["forecast"]["remaining"] for reply in replies] == [2] * 20
        assert len(looks) == 1

        world.clock.seconds += 5.0
        await world.call("GET", f"{BESIDE}/{batch}", app=app)
        assert len(looks) == 2

    asyncio.run(go())
