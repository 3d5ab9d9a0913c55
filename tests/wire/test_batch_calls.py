"""Retrieve, list, cancel and delete."""

import asyncio
from datetime import timedelta

import pytest

from batchyard.domain.events import BatchDeleted, CancelAsked
from batchyard.domain.result import Canceled, Errored, RequestError, Succeeded
from tests.wire.world import MESSAGE, World

PATH = "/v1/messages/batches"
UNKNOWN = "msgbatch_01AAAAAAAAAAAAAAAAAAAAAA"


@pytest.mark.parametrize(
    "batch_id", [UNKNOWN, "x", "batch_1", "..", "%2e%2e", "a%2Fb", "a%0d%0ab", "%00", "%ff", "msgbatch_", "x" * 5000]
)
@pytest.mark.parametrize(
    ("method", "suffix"), [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/results"), ("HEAD", "/results")]
)
def test_any_id_that_is_none_of_ours_is_a_404(method: str, suffix: str, batch_id: str) -> None:
    reply = asyncio.run(World().call(method, f"{PATH}/{batch_id}{suffix}"))

    assert reply.status == 404
    if method != "HEAD":
        assert reply.error()[1] == "not_found_error"
        assert reply.error()[2].startswith("Message Batch ")
    assert all("\r" not in value and "\n" not in value for _, value in reply.headers)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/messages/batches/", "/v1/messages/batches//cancel", "/v1/unknown"])
def test_an_unknown_path_is_a_404_in_json(path: str) -> None:
    reply = asyncio.run(World().call("POST", path))

    assert reply.error()[:2] == (404, "not_found_error")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", PATH, "GET, HEAD, POST"),
        ("PATCH", f"{PATH}/{UNKNOWN}", "DELETE, GET, HEAD"),
        ("GET", f"{PATH}/{UNKNOWN}/cancel", "POST"),
        ("POST", f"{PATH}/{UNKNOWN}/results", "GET, HEAD"),
        ("OPTIONS", PATH, "GET, HEAD, POST"),
    ],
)
def test_an_unknown_method_is_a_405_in_json(method: str, path: str, allow: str) -> None:
    reply = asyncio.run(World().call(method, path))

    assert reply.error()[:2] == (405, "invalid_request_error")
    assert reply.header("allow") == allow


def test_every_answer_has_a_request_id_of_its_own() -> None:
    async def scenario() -> list[str | None]:
        world = World()
        return [(await world.call("GET", path)).header("request-id") for path in (PATH, PATH, "/nothing", "/healthz")]

    ids = asyncio.run(scenario())

    assert len(set(ids)) == 4
    assert all(each and each.startswith("req_") and len(each) == 28 and each[4:].isalnum() for each in ids)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("0", "limit: Input should be greater than or equal to 1"),
        ("-1", "limit: Input should be greater than or equal to 1"),
        ("1001", "limit: Input should be less than or equal to 1000"),
        ("9" * 5000, "limit: Input should be less than or equal to 1000"),
        ("", "limit: Input should be a valid integer, unable to parse string as an integer"),
        ("x", "limit: Input should be a valid integer, unable to parse string as an integer"),
        ("1.5", "limit: Input should be a valid integer, unable to parse string as an integer"),
        ("%D9%A1", "limit: Input should be a valid integer, unable to parse string as an integer"),
    ],
)
def test_a_bad_limit_is_a_400_in_the_services_words(limit: str, message: str) -> None:
    assert asyncio.run(World().call("GET", f"{PATH}?limit={limit}")).error() == (400, "invalid_request_error", message)


@pytest.mark.parametrize("query", ["limit=1", "limit=1000", "limit=007", "limit=%2B5", "beta=true", "x=1&x=2", "&&=&a"])
def test_good_limits_and_unknown_keys_are_taken(query: str) -> None:
    assert asyncio.run(World().call("GET", f"{PATH}?{query}")).status == 200


@pytest.mark.parametrize("cursor", ["after_id", "before_id"])
@pytest.mark.parametrize("value", ["", "x", "msgbatch_1", "batch_01AAAAAAAAAAAAAAAAAAAAAA"])
def test_a_malformed_cursor_is_a_400(cursor: str, value: str) -> None:
    status, error_type, message = asyncio.run(World().call("GET", f"{PATH}?{cursor}={value}")).error()

    assert (status, error_type) == (400, "invalid_request_error")
    assert message.startswith(f"{cursor}: ")


def test_the_list_is_newest_first_in_pages_of_twenty() -> None:
    async def scenario() -> None:
        world = World()
        created = [await world.create() for _ in range(23)]
        newest = created[::-1]

        page = (await world.call("GET", PATH)).json()
        assert [each["id"] for each in page["data"]] == newest[:20]
        assert (page["has_more"], page["first_id"], page["last_id"]) == (True, newest[0], newest[19])

        rest = (await world.call("GET", f"{PATH}?after_id={page['last_id']}")).json()
        assert [each["id"] for each in rest["data"]] == newest[20:]
        assert rest["has_more"] is False

        back = (await world.call("GET", f"{PATH}?before_id={newest[20]}&limit=3")).json()
        assert [each["id"] for each in back["data"]] == newest[17:20]
        assert back["has_more"] is True

    asyncio.run(scenario())


def test_past_either_end_the_page_is_empty() -> None:
    async def scenario() -> None:
        world = World()
        oldest, newest = await world.create(), await world.create()

        for query in (f"after_id={oldest}", f"before_id={newest}"):
            page = (await world.call("GET", f"{PATH}?{query}")).json()
            assert page == {"data": [], "has_more": False, "first_id": None, "last_id": None}

    asyncio.run(scenario())


def test_both_cursors_give_what_lies_between_them() -> None:
    async def scenario() -> None:
        world = World()
        created = [await world.create() for _ in range(5)]

        page = (await world.call("GET", f"{PATH}?after_id={created[4]}&before_id={created[0]}&limit=2")).json()

        assert [each["id"] for each in page["data"]] == [created[3], created[2]]
        assert page["has_more"] is True

    asyncio.run(scenario())


def test_a_deleted_batch_leaves_the_list_but_stays_a_position() -> None:
    async def scenario() -> None:
        world = World()
        first, second, third = [await world.ended() for _ in range(3)]
        await world.call("DELETE", f"{PATH}/{second}")

        assert [each["id"] for each in (await world.call("GET", PATH)).json()["data"]] == [third, first]
        after = (await world.call("GET", f"{PATH}?after_id={second}")).json()
        assert [each["id"] for each in after["data"]] == [first]

    asyncio.run(scenario())


def test_cancel_begins_and_can_be_repeated() -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.create("a", "b")
        headers: dict[str, str | None] = {"content-type": "application/json", "content-length": "0"}

        first = await world.call("POST", f"{PATH}/{batch_id}/cancel", headers=headers)
        world.clock.moment += timedelta(seconds=5)
        second = await world.call("POST", f"{PATH}/{batch_id}/cancel", headers=headers)

        assert first.status == second.status == 200
        assert first.json() == second.json()
        assert first.json()["processing_status"] == "canceling"
        assert first.json()["cancel_initiated_at"] == "2026-03-02T09:00:01.000000Z"
        assert first.json()["request_counts"]["processing"] == 2
        assert first.json()["ended_at"] is first.json()["results_url"] is None
        assert world.events[1:] == [CancelAsked(batch_id, "w1")]

    asyncio.run(scenario())


def test_cancel_of_an_ended_batch_is_a_400() -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.ended()

        reply = await world.call("POST", f"{PATH}/{batch_id}/cancel")

        assert reply.error()[:2] == (400, "invalid_request_error")
        assert "cannot be canceled because it has already finished processing" in reply.error()[2]
        assert (await world.call("GET", f"{PATH}/{batch_id}")).json()["cancel_initiated_at"] is None

    asyncio.run(scenario())


@pytest.mark.parametrize("canceled", [False, True])
def test_a_batch_that_has_not_ended_is_not_deleted(canceled: bool) -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.create()
        if canceled:
            await world.call("POST", f"{PATH}/{batch_id}/cancel")

        reply = await world.call("DELETE", f"{PATH}/{batch_id}", headers={"content-type": "application/json"})

        words = "In progress batches cannot be deleted. Consider canceling the batch instead."
        assert reply.error() == (400, "invalid_request_error", words)

    asyncio.run(scenario())


def test_a_deleted_batch_is_gone_with_every_file() -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.ended("a", "b")
        assert len(world.blobs.names) == 4

        reply = await world.call("DELETE", f"{PATH}/{batch_id}")

        assert (reply.status, reply.json()) == (200, {"id": batch_id, "type": "message_batch_deleted"})
        assert world.blobs.names == set()
        assert world.events[-1] == BatchDeleted(batch_id, "w1")
        for method, suffix in [("GET", ""), ("GET", "/results"), ("POST", "/cancel"), ("DELETE", "")]:
            assert (await world.call(method, f"{PATH}/{batch_id}{suffix}")).status == 404

    asyncio.run(scenario())


def test_an_ended_batch_shows_its_end() -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.create("a", "b", "c")
        await world.finish(batch_id, Succeeded(MESSAGE), Errored(RequestError("api_error", "x")), Canceled())

        shown = (await world.call("GET", f"{PATH}/{batch_id}")).json()

        assert shown["processing_status"] == "ended"
        counts = {"processing": 0, "succeeded": 1, "errored": 1, "canceled": 1, "expired": 0}
        assert shown["request_counts"] == counts
        assert shown["ended_at"] == "2026-03-02T09:00:01.000000Z"
        assert shown["results_url"] == f"http://127.0.0.1:8787{PATH}/{batch_id}/results"

    asyncio.run(scenario())


def test_head_is_get_without_the_body() -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.create()

        got, head = [await world.call(method, f"{PATH}/{batch_id}") for method in ("GET", "HEAD")]

        assert head.status == 200
        assert head.body == b""
        assert head.header("content-length") == str(len(got.body))

    asyncio.run(scenario())
