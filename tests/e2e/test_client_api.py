"""The client against a server that answers, refuses, goes away and cuts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest

from batchyard.client.api import Api
from batchyard.client.download import Download
from batchyard.client.errors import BadReply, RefusedByServer, ServerError, Unreachable
from batchyard.client.patience import Patience
from tests.e2e.fake_api import Cut, Drop, FakeApi, FakeBatch, Refuse

T = TypeVar("T")
BATCH = "msgbatch_1"


class Bytes:
    """A body that is there already."""

    def __init__(self, body: bytes) -> None:
        self.size = len(body)
        self.problem: Exception | None = None
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body[:10]
        yield self._body[10:]


class Naps:
    """A sleep that takes no time and remembers."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


ONE = Bytes(b'{"requests":[{"custom_id":"a","params":{}}]}')


def call(server: FakeApi, work: Callable[[Api], Awaitable[T]], *, naps: Naps | None = None, tries: int = 2) -> T:
    async def go() -> T:
        async with server, Api(server.base, "k", patience=Patience(tries), sleep=naps or Naps()) as api:
            return await work(api)

    return asyncio.run(go())


def with_batch(count: int = 3, *, ranges: bool = True, backwards: bool = False) -> FakeApi:
    server = FakeApi(ranges=ranges, backwards=backwards)
    requests: list[dict[str, object]] = [{"custom_id": f"r{number}", "params": {}} for number in range(count)]
    server.batches[BATCH] = FakeBatch(BATCH, requests, 0)
    return server


async def ids_of(api: Api) -> list[str]:
    return [known.custom_id async for _, known in Download(api, BATCH).lines()]


def test_a_create_sends_the_body_whole_with_key_version_and_idempotency_key() -> None:
    server = FakeApi()

    batch = call(server, lambda api: api.create(ONE, idempotency_key="once"))

    assert server.batches[batch.id].requests == [{"custom_id": "a", "params": {}}]
    [headers] = server.called("create")
    assert headers["x-api-key"] == "k"
    assert headers["anthropic-version"] == "2023-06-01"
    assert headers["idempotency-key"] == "once"
    assert headers["content-length"] == str(ONE.size)


def test_a_create_whose_answer_was_lost_is_repeated_and_makes_one_batch() -> None:
    server = FakeApi()
    server.fail("create", Drop(effect=True), Refuse(503))

    batch = call(server, lambda api: api.create(ONE, idempotency_key="once"))

    assert list(server.batches) == [batch.id]
    assert [headers["x-stainless-retry-count"] for headers in server.called("create")] == ["0", "1", "2"]
    assert {headers["idempotency-key"] for headers in server.called("create")} == {"once"}


def test_a_base_url_may_have_a_path_and_a_slash_at_its_end() -> None:
    server = FakeApi(prefix="/inference/team")

    async def go() -> int:
        async with server, Api(server.base + "/", "k") as api:
            return len((await api.page()).batches)

    assert asyncio.run(go()) == 0


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
def test_what_may_pass_is_tried_again(status: int) -> None:
    server, naps = with_batch(), Naps()
    server.fail("retrieve", Refuse(status), Refuse(status))

    batch = call(server, lambda api: api.retrieve(BATCH), naps=naps)

    assert batch.id == BATCH
    assert 0.375 <= naps.seconds[0] <= 0.5
    assert 0.75 <= naps.seconds[1] <= 1.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_what_will_not_pass_is_not_tried_again(status: int) -> None:
    server = with_batch()
    server.fail("retrieve", Refuse(status))

    with pytest.raises(RefusedByServer) as refused:
        call(server, lambda api: api.retrieve(BATCH))

    assert (refused.value.status, refused.value.message, refused.value.request_id) == (status, "scripted", "req_1")
    assert len(server.called("retrieve")) == 1


@pytest.mark.parametrize(
    ("headers", "nap"),
    [({"retry-after": "7"}, 7.0), ({"retry-after-ms": "250", "retry-after": "7"}, 0.25), ({"retry-after": "0"}, 0.0)],
)
def test_the_servers_own_wait_is_kept(headers: dict[str, str], nap: float) -> None:
    server, naps = with_batch(), Naps()
    server.fail("retrieve", Refuse(429, headers))

    call(server, lambda api: api.retrieve(BATCH), naps=naps)

    assert naps.seconds == [nap]


def test_a_wait_of_hours_is_an_error_at_once() -> None:
    server, naps = with_batch(), Naps()
    server.fail("retrieve", Refuse(429, {"retry-after": "86400"}))

    with pytest.raises(RefusedByServer):
        call(server, lambda api: api.retrieve(BATCH), naps=naps)

    assert naps.seconds == []


def test_the_server_may_forbid_a_repeat() -> None:
    server = with_batch()
    server.fail("retrieve", Refuse(429, {"x-should-retry": "false"}))

    with pytest.raises(RefusedByServer):
        call(server, lambda api: api.retrieve(BATCH))


def test_a_server_that_stays_away_is_given_up_after_the_tries() -> None:
    server, naps = with_batch(), Naps()
    server.fail("retrieve", *[Drop(effect=False)] * 9)

    with pytest.raises(Unreachable):
        call(server, lambda api: api.retrieve(BATCH), naps=naps)

    assert len(naps.seconds) == 2


@pytest.mark.parametrize("body", [b"<html>no</html>", b"{}", b'{"error":"text"}', b"\xff"])
def test_an_error_with_a_strange_body_is_an_error_all_the_same(body: bytes) -> None:
    server = with_batch()
    server.fail("retrieve", Refuse(400, body=body))

    with pytest.raises(RefusedByServer) as refused:
        call(server, lambda api: api.retrieve(BATCH))

    assert refused.value.status == 400


@pytest.mark.parametrize("body", [b"<html>hello</html>", b'{"id": 7}', b"[]"])
def test_a_200_that_is_no_batch_is_a_bad_reply(body: bytes) -> None:
    server = with_batch()
    server.fail("retrieve", Refuse(200, body=body))

    with pytest.raises(BadReply):
        call(server, lambda api: api.retrieve(BATCH))


def test_a_redirect_is_not_followed() -> None:
    server = with_batch()
    server.fail("retrieve", Refuse(307, {"location": f"/v1/messages/batches/{BATCH}/results"}))

    with pytest.raises(BadReply):
        call(server, lambda api: api.retrieve(BATCH))

    assert server.called("results") == []


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("backwards", [True, False])
def test_a_download_that_is_cut_gives_each_line_once(ranges: bool, backwards: bool) -> None:
    server = with_batch(50, ranges=ranges, backwards=backwards)
    server.fail("results", Cut(300), Cut(1), Drop(effect=False), Cut(0), Refuse(500), Cut(5000))

    ids = call(server, ids_of, tries=6)

    assert sorted(ids) == sorted(f"r{number}" for number in range(50))
    assert ("range" in server.called("results")[1]) is True


def test_a_download_that_never_moves_is_given_up() -> None:
    server = with_batch(50)
    server.fail("results", *[Cut(10)] * 9)

    with pytest.raises(ServerError):
        call(server, ids_of)

    assert len(server.called("results")) == 3


def test_progress_renews_patience() -> None:
    server = with_batch(50)
    server.fail("results", *[Cut(400)] * 8)

    assert len(call(server, ids_of)) == 50


def test_a_result_line_that_is_none_is_a_bad_reply() -> None:
    server = with_batch()
    server.fail("results", Refuse(200, body=b'{"custom_id":"r0"}\n'))

    with pytest.raises(BadReply):
        call(server, ids_of)


@pytest.mark.parametrize("taken", [0, 1])
def test_a_server_that_stops_taking_a_body_is_given_up(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """It is frozen: the connection stays, and nobody reads what comes."""
    monkeypatch.setattr("batchyard.client.uploads.STALL_SECONDS", 0.2)

    thawed, writers = asyncio.Event(), list[asyncio.StreamWriter]()

    async def frozen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(taken)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await thawed.wait()
        writer.transport.abort()

    class Large:
        size = 2**26
        problem: Exception | None = None

        async def chunks(self) -> AsyncIterator[bytes]:
            for _ in range(2**8):
                yield bytes(2**18)

    async def go() -> None:
        server = await asyncio.start_server(frozen, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, Api(url, "k", patience=Patience(0)) as api:
            try:
                await api.create(Large(), idempotency_key="k")
            finally:
                thawed.set()
                for _ in range(20):  # both ends notice
                    await asyncio.sleep(0)

    with pytest.raises(Unreachable, match="no answer in time"):
        asyncio.run(asyncio.wait_for(go(), 30))
    assert len(writers) == 1
