"""Create: what is taken, what is refused, and that nothing is left of what was refused."""

import asyncio
import json
from datetime import timedelta

import pytest

from batchyard.domain.batch import Batch
from batchyard.domain.errors import StoreUnavailable
from batchyard.domain.events import BatchCreated, BugFound
from batchyard.domain.request import Drafts, Origin
from batchyard.ports import NewBatch, Pick
from batchyard.store.memory import MemoryStore
from batchyard.testing.blobs import MemoryBlobs, MemoryWriter
from batchyard.web.settings import WebSettings
from tests.wire.world import NOW, World, a_body

PATH = "/v1/messages/batches"


def test_a_batch_is_answered_with_its_ten_members_in_the_services_order() -> None:
    world = World()

    reply = asyncio.run(world.call("POST", PATH, a_body("a", "b")))

    assert reply.status == 200
    batch_id = reply.json()["id"]
    assert reply.body.decode() == (
        f'{{"id":"{batch_id}","type":"message_batch","processing_status":"in_progress",'
        '"request_counts":{"processing":2,"succeeded":0,"errored":0,"canceled":0,"expired":0},"ended_at":null,'
        '"created_at":"2026-03-02T09:00:00.000000Z","expires_at":"2026-03-03T09:00:00.000000Z","archived_at":null,'
        '"cancel_initiated_at":null,"results_url":null}'
    )
    assert reply.header("content-type") == "application/json"
    assert world.events == [BatchCreated(batch_id, "w1", 2)]


def test_a_created_batch_is_there_at_once() -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.create()

        assert (await world.call("GET", f"{PATH}/{batch_id}")).status == 200
        assert [each["id"] for each in (await world.call("GET", PATH)).json()["data"]] == [batch_id]

    asyncio.run(scenario())


def test_requests_that_begin_alike_run_behind_their_first_by_as_much_as_the_settings_say() -> None:
    def request(number: int) -> dict[str, object]:
        says = [{"role": "user", "content": str(number)}]
        params = {"model": "simulator", "max_tokens": 5, "system": "abc"[number // 2] * 2000, "messages": says}
        return {"custom_id": f"r{number}", "params": params}

    async def order(lead: int) -> list[int]:
        world = World(settings=WebSettings(lead=lead))
        reply = await world.call("POST", PATH, json.dumps({"requests": [request(n) for n in range(6)]}).encode())
        turn = await world.store.turn("e", [], [Pick(reply.json()["id"], "simulator", 6)], world.clock.now())
        return [lease.seq for lease in turn.leases]

    assert asyncio.run(order(1)) == [0, 2, 1, 4, 3, 5]
    assert asyncio.run(order(10)) == [0, 2, 4, 1, 3, 5]


def test_params_are_stored_as_they_were_sent_however_the_body_was_cut() -> None:
    async def scenario() -> None:
        world = World()
        params = b'{ "b":1e400 , "a" : 123456789012345678901234567890, "x":"\\u00e9\\/", "a":2}'
        body = b'{"requests":[{"custom_id":"a","params":' + params + b"}]}"

        reply = await world.call("POST", PATH, [body[at : at + 7] for at in range(0, len(body), 7)])

        assert reply.status == 200
        [name] = world.blobs.names
        assert await world.blobs.read(name, 0, len(params)) == params

    asyncio.run(scenario())


def test_betas_that_are_long_together_are_refused_and_nothing_is_stored() -> None:
    async def scenario() -> None:
        world = World()
        fits = ",".join(f"beta-{number:010}" for number in range(256))
        assert (await world.call("POST", PATH, a_body("a"), headers={"anthropic-beta": fits})).status == 200
        repeated = {"anthropic-beta": f"{fits},{fits}"}
        assert (await world.call("POST", PATH, a_body("a"), headers=repeated)).status == 200

        for path in (PATH, "/v1/messages", "/v1/messages/count_tokens"):
            reply = await world.call("POST", path, a_body("a"), headers={"anthropic-beta": f"{fits},x"})
            assert reply.error() == (
                400,
                "invalid_request_error",
                "anthropic-beta: at most 4096 characters are allowed.",
            )
        assert len(await world.blobs.old(-1)) == 2

    asyncio.run(scenario())


def test_version_and_betas_are_kept_with_the_batch() -> None:
    async def scenario() -> None:
        world = World()
        headers = {"anthropic-version": "2026-10-21", "anthropic-beta": "one-2025,two, one-2025,,string"}

        batch_id = await world.create(headers=headers)

        batch = await world.store.get("w1", batch_id)
        assert (batch.version, batch.betas) == ("2026-10-21", ("one-2025", "two", "string"))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The request body is not valid JSON"),
        (b"{", "The request body is not valid JSON"),
        (b"{}", "requests: Field required"),
        (b'{"requests":[]}', "requests: List should have at least 1 item after validation, not 0"),
        (a_body("a", "a"), "requests: custom_id's must be unique within a batch. Duplicate custom_id found: a"),
        (a_body("a\r\nx-evil: 1"), "requests.0.custom_id: String should match pattern"),
        (a_body("x" * 65), "requests.0.custom_id: String should have at most 64 characters"),
        (b'{"requests":[{"custom_id":"a"}]}', "requests.0.params: Field required"),
        (b"\xff\xfe{", "The request body is not valid JSON"),
        (b"[" * 100_000, ""),
    ],
)
def test_a_wrong_body_is_a_400_and_leaves_nothing(body: bytes, message: str) -> None:
    world = World()

    reply = asyncio.run(world.call("POST", PATH, body))

    status, error_type, text = reply.error()
    assert (status, error_type) == (400, "invalid_request_error")
    assert text.startswith(message)
    assert world.blobs.names == set()
    assert world.events == []
    assert asyncio.run(world.call("GET", PATH)).json()["data"] == []


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_a_413_and_leaves_nothing(declared: bool) -> None:
    world = World(WebSettings(max_body_bytes=1000))
    body = a_body(*[f"r{seq}" for seq in range(30)])
    headers: dict[str, str | None] = (
        {"content-length": str(len(body))} if declared else {"transfer-encoding": "chunked"}
    )

    reply = asyncio.run(world.call("POST", PATH, [body[:900], body[900:]], headers=headers))

    assert reply.error()[:2] == (413, "request_too_large")
    assert world.blobs.names == set()


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read() -> None:
    headers = {"content-length": str(256 * 1024 * 1024 + 1)}

    reply = asyncio.run(World().call("POST", PATH, headers=headers, unread=True))

    assert reply.error()[:2] == (413, "request_too_large")


def test_more_requests_than_allowed_are_refused() -> None:
    world = World(WebSettings(max_requests=2))

    reply = asyncio.run(world.call("POST", PATH, a_body("a", "b", "c")))

    status, _, message = reply.error()
    assert status == 400
    assert message.startswith("requests: List should have at most 2 items")


@pytest.mark.parametrize("header", [("content-encoding", "gzip"), ("transfer-encoding", "gzip, chunked")])
def test_an_encoded_body_is_refused_before_it_is_read(header: tuple[str, str]) -> None:
    world = World()

    reply = asyncio.run(world.call("POST", PATH, b"\x1f\x8b", headers={header[0]: header[1]}, unread=True))

    assert reply.error()[:2] == (400, "invalid_request_error")
    assert reply.error()[2].startswith(header[0])


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None])
def test_any_content_type_will_do(content_type: str | None) -> None:
    reply = asyncio.run(World().call("POST", PATH, a_body("a"), headers={"content-type": content_type}))

    assert reply.status == 200


@pytest.mark.parametrize(("count", "repeats"), [("1", True), ("2", True), ("0", False), ("x", False), ("²", False)])
def test_a_repeated_create_gets_the_first_batch(count: str, repeats: bool) -> None:
    async def scenario() -> None:
        world = World()
        first = await world.create("a")

        second = await world.create("a", headers={"x-stainless-retry-count": count})

        assert (second == first) is repeats
        assert len(world.blobs.names) == (1 if repeats else 2)
        assert len(world.events) == (1 if repeats else 2)

    asyncio.run(scenario())


def test_a_repeat_by_another_key_or_with_another_body_is_a_batch_of_its_own() -> None:
    async def scenario() -> None:
        world = World()
        first = await world.create("a")
        again: dict[str, str | None] = {"x-stainless-retry-count": "1"}

        other_key = await world.create("a", headers={**again, "x-api-key": "key-one-b"})
        other_body = await world.create("b", headers=again)

        assert len({first, other_key, other_body}) == 3

    asyncio.run(scenario())


def test_the_retry_defence_can_be_turned_off_but_an_idempotency_key_holds() -> None:
    async def scenario() -> None:
        world = World(WebSettings(retry_defence=False))
        named: dict[str, str | None] = {"idempotency-key": "k1"}
        first = await world.create("a", headers=named)

        assert await world.create("a", headers={"x-stainless-retry-count": "1"}) != first
        assert await world.create("a", headers=named) == first
        refused = await world.call("POST", PATH, a_body("b"), headers=named)
        assert refused.error()[:2] == (400, "invalid_request_error")
        assert len(world.blobs.names) == 2

    asyncio.run(scenario())


def test_a_clients_long_idempotency_key_is_refused() -> None:
    reply = asyncio.run(World().call("POST", PATH, a_body("a"), headers={"idempotency-key": "k" * 256}))

    assert reply.status == 400


def test_the_expiry_follows_the_setting() -> None:
    reply = asyncio.run(World(WebSettings(expires_after=timedelta(hours=1))).call("POST", PATH, a_body("a")))

    assert reply.json()["expires_at"] == "2026-03-02T10:00:00.000000Z"


def test_a_client_that_left_before_the_commit_gets_no_batch() -> None:
    async def scenario() -> None:
        world = World()

        reply = await world.call("POST", PATH, a_body("a"), leaves=True)

        assert reply.status == 0
        assert world.blobs.names == set()
        assert (await world.call("GET", PATH)).json()["data"] == []
        assert world.events == []

    asyncio.run(scenario())


def test_a_client_that_left_in_the_middle_of_its_body_leaves_nothing() -> None:
    world = World()

    async def scenario() -> None:
        body = a_body("a")
        messages: list[dict[str, object]] = [
            {"type": "http.request", "body": body[:20], "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> dict[str, object]:
            return messages.pop(0)

        async def send(_: object) -> None:
            raise AssertionError("nobody listens")

        scope = {"type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(), "query_string": b""}
        headers = [(b"host", b"localhost"), (b"x-api-key", b"key-one"), (b"anthropic-version", b"2023-06-01")]
        await world.app({**scope, "headers": headers}, receive, send)

    asyncio.run(scenario())

    assert world.blobs.names == set()


class BrokenStore(MemoryStore):
    """Cannot create."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def create(self, new: NewBatch, drafts: Drafts, origin: Origin, *, defend: bool) -> Batch:
        raise self._error


def test_a_store_that_cannot_write_is_a_529_that_says_when_to_try_again() -> None:
    world = World(store=BrokenStore(StoreUnavailable("disk full at /secret")))

    reply = asyncio.run(world.call("POST", PATH, a_body("a")))

    assert reply.error()[:2] == (529, "overloaded_error")
    assert reply.header("retry-after") == "5"
    assert b"secret" not in reply.body
    assert world.blobs.names == set()


def test_a_bug_is_a_500_that_tells_the_client_nothing() -> None:
    world = World(store=BrokenStore(ValueError("the secret")))

    reply = asyncio.run(world.call("POST", PATH, a_body("a")))

    assert reply.error() == (500, "api_error", "Internal server error")
    [event] = world.events
    assert isinstance(event, BugFound)
    assert str(event.error) == "the secret"
    assert world.blobs.names == set()


class FullBlobs(MemoryBlobs):
    """A disk with no room."""

    def writer(self, kind: str) -> MemoryWriter:
        writer = super().writer(kind)

        async def write(chunk: bytes) -> None:
            raise StoreUnavailable("no space left")

        writer.write = write  # type: ignore[method-assign]
        return writer


def test_a_full_disk_is_a_529_and_leaves_nothing() -> None:
    world = World(blobs=FullBlobs())

    reply = asyncio.run(world.call("POST", PATH, a_body("a")))

    assert reply.error()[:2] == (529, "overloaded_error")
    assert world.blobs.names == set()


def test_a_server_that_drains_takes_no_new_batch_but_answers_the_rest() -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.create()
        world.not_ready = "draining"

        refused = await world.call("POST", PATH, a_body("a"))

        assert refused.error()[:2] == (529, "overloaded_error")
        assert "draining" in refused.error()[2]
        assert refused.header("retry-after") == "5"
        assert (await world.call("GET", f"{PATH}/{batch_id}")).status == 200

    asyncio.run(scenario())


class LateStore(MemoryStore):
    """Its commit takes a moment, and tells when it began."""

    def __init__(self) -> None:
        super().__init__()
        self.began = asyncio.Event()
        self.go = asyncio.Event()

    async def create(self, new: NewBatch, drafts: Drafts, origin: Origin, *, defend: bool) -> Batch:
        self.began.set()
        await self.go.wait()
        return await super().create(new, drafts, origin, defend=defend)


def test_a_stop_in_the_middle_of_a_commit_does_not_take_the_body_from_the_batch() -> None:
    async def scenario() -> None:
        store = LateStore()
        world = World(store=store)
        creating = asyncio.create_task(world.call("POST", PATH, a_body("a")))
        await store.began.wait()

        creating.cancel()
        await asyncio.gather(creating, return_exceptions=True)
        store.go.set()
        for _ in range(5):
            await asyncio.sleep(0)

        [batch] = (await store.page("w1", after=None, before=None, limit=5)).batches
        assert batch.body in world.blobs.names

    asyncio.run(scenario())


def test_many_requests_in_one_large_message_are_taken() -> None:
    async def scenario() -> None:
        world = World()
        body = a_body(*[f"r{seq}" for seq in range(20_000)])
        assert len(body) > 2_000_000

        reply = await world.call("POST", PATH, body)

        assert reply.json()["request_counts"]["processing"] == 20_000

    asyncio.run(scenario())


def test_created_at_is_the_servers_time() -> None:
    reply = asyncio.run(World().call("POST", PATH, a_body("a")))

    assert reply.json()["created_at"] == NOW.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert json.loads(reply.body)["ended_at"] is None


class SetSpace:
    """A ``Space`` of so many bytes."""

    def __init__(self, spare: int) -> None:
        self.bytes = spare

    def spare(self) -> int:
        return self.bytes


@pytest.mark.parametrize("announced", [True, False])
def test_a_batch_that_the_disk_has_no_room_for_is_refused_and_leaves_nothing(announced: bool) -> None:
    async def scenario() -> None:
        world = World(space=SetSpace(1000))
        body = a_body(*[f"r{seq}" for seq in range(50)])
        headers = {"content-length": str(len(body))} if announced else {}

        reply = await world.call("POST", PATH, body, headers=headers, unread=announced)

        status, kind, message = reply.error()
        assert (status, kind) == (529, "overloaded_error")
        assert "disk has no room" in message
        assert reply.header("retry-after") == "5"
        assert world.blobs.names == set()
        assert (await world.store.page("w1", after=None, before=None, limit=5)).batches == []

        world.space = SetSpace(len(body) + 400 * 50)
        assert (await world.call("POST", PATH, body, headers=headers)).status == 200

    asyncio.run(scenario())


def test_the_rows_of_a_batch_need_room_too() -> None:
    body = a_body(*[f"r{seq}" for seq in range(50)])

    reply = asyncio.run(World(space=SetSpace(len(body) + 100)).call("POST", PATH, body))

    assert reply.error()[0] == 529
