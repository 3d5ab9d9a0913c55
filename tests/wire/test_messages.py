"""Messages, streams, counts and models over the API: what reaches the lane, what comes back, how a break looks."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from batchyard.domain.catalog import ModelInfo, read_list, simulated
from batchyard.domain.outcome import (
    Failed,
    Held,
    Hostile,
    Hung,
    NotStarted,
    Outcome,
    Refused,
    Unknown,
)
from batchyard.domain.result import RequestError
from batchyard.ports import Call, Stream
from batchyard.testing.upstreams import ScriptedUpstream, always, answered
from batchyard.upstream.simulator import Simulator, SimulatorSettings
from batchyard.web.outcomes import HELD
from batchyard.web.settings import WebSettings
from tests.wire.world import Reply, World, serving

BODY = b'{ "stream":false, "n":123456789012345678901234567890,"a" : "\\u00fc\\/" }\n'
STREAM = b'{"stream":true}'


def ask(world: World, body: bytes | Sequence[bytes] = BODY, target: str = "/v1/messages", **more: Any) -> Reply:
    return asyncio.run(world.call("POST", target, body, **more))


def get(world: World, target: str) -> Reply:
    return asyncio.run(world.call("GET", target))


def error(kind: str = "api_error", message: str = "so it went") -> RequestError:
    return RequestError(kind, message, "req_of_the_upstream")


def test_the_body_reaches_the_lane_byte_for_byte() -> None:
    upstream = ScriptedUpstream()
    span = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"anthropic-beta": "a,b", "anthropic-version": "2026-10-21", "traceparent": span}

    reply = ask(World(calls=upstream), [BODY[:7], BODY[7:]], headers=headers)

    assert [seen.call for seen in upstream.calls] == [
        Call(BODY, "2026-10-21", ("a", "b"), batched=False, traceparent=span)
    ]
    assert (reply.status, reply.body) == (200, answered().message)
    assert str(reply.header("request-id")).startswith("req_")
    assert reply.header("content-type") == "application/json"


FAILURES: list[tuple[Outcome, int, str, str | None]] = [
    (Refused(error("invalid_request_error")), 400, "invalid_request_error", None),
    (Refused(error("not_found_error")), 404, "not_found_error", None),
    (Refused(error("request_too_large"), is_too_large=True), 413, "request_too_large", None),
    (NotStarted(error("rate_limit_error"), 7.2), 429, "rate_limit_error", "8"),
    (NotStarted(error("rate_limit_error"), 9_999.0), 429, "rate_limit_error", "60"),
    (NotStarted(error("overloaded_error")), 529, "overloaded_error", "5"),
    (NotStarted(error("api_error")), 529, "overloaded_error", "5"),
    (Refused(error("rate_limit_error")), 429, "rate_limit_error", "5"),
    (Refused(error("overloaded_error")), 529, "overloaded_error", "5"),
    (Held(error("authentication_error")), 500, "api_error", None),
    (Failed(error("api_error")), 500, "api_error", None),
    (Failed(error("timeout_error")), 504, "timeout_error", None),
    (Unknown(error()), 500, "api_error", None),
    (Hung(error("timeout_error")), 504, "timeout_error", None),
    (Hostile(error()), 500, "api_error", None),
]


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["plain", "stream"])
@pytest.mark.parametrize(("outcome", "status", "kind", "retry_after"), FAILURES)
def test_what_went_wrong_is_told_under_our_own_request_id(
    outcome: Outcome, status: int, kind: str, retry_after: str | None, body: bytes
) -> None:
    reply = ask(World(calls=ScriptedUpstream(always(outcome))), body)

    assert reply.error()[:2] == (status, kind)
    assert reply.error()[2] == (HELD if isinstance(outcome, Held) else "so it went")
    assert reply.header("retry-after") == retry_after
    assert b"req_of_the_upstream" not in reply.body


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"stream"', b"\xff{}", b"[" * 100_000])
@pytest.mark.parametrize("target", ["/v1/messages", "/v1/messages/count_tokens"])
def test_what_is_no_object_reaches_no_lane(body: bytes, target: str) -> None:
    upstream = ScriptedUpstream()

    assert ask(World(calls=upstream), body, target).error()[:2] == (400, "invalid_request_error")
    assert upstream.calls == []


def test_a_body_over_the_limit_is_refused_while_it_is_read() -> None:
    world = World(WebSettings(max_request_bytes=1000), calls=(upstream := ScriptedUpstream()))

    assert ask(world, b"x" * 1001, headers={"content-length": "1001"}).error()[:2] == (413, "request_too_large")
    assert ask(world, [b"x" * 600] * 9).error()[:2] == (413, "request_too_large")
    assert ask(world, b"{%b}" % (b" " * 998)).status == 200
    assert len(upstream.calls) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"x-api-key": "wrong"}, 401), ({"anthropic-version": None}, 400), ({"content-encoding": "gzip"}, 400)],
)
def test_the_head_is_judged_as_for_batches(headers: dict[str, str | None], status: int) -> None:
    upstream = ScriptedUpstream()

    assert ask(World(calls=upstream), BODY, headers=headers).status == status
    assert upstream.calls == []


def test_a_client_that_goes_away_cuts_its_call() -> None:
    upstream = ScriptedUpstream(always(answered(), seconds=1000.0))

    async def scene() -> None:
        world = World(calls=upstream)
        for body in (BODY, STREAM):
            reply = await asyncio.wait_for(world.call("POST", "/v1/messages", body, leaves=True), 10)
            assert reply.status == 0

    asyncio.run(scene())
    assert [seen.cut for seen in upstream.calls if seen.call.params == BODY] in ([True], [])
    assert upstream.in_flight == 0


def test_events_come_as_they_are() -> None:
    reply = ask(World(calls=ScriptedUpstream()), STREAM)

    assert reply.status == 200
    assert reply.header("content-type") == "text/event-stream; charset=utf-8"
    assert reply.header("content-length") is None
    assert reply.whole
    assert reply.body.startswith(b"event: message_start\n")
    assert reply.body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


class Breaking:
    """A stream of one event that then breaks, or goes on for ever."""

    def __init__(self, then: Outcome | None) -> None:
        self.then = then
        self.closed = 0
        self._told = False

    async def read(self) -> bytes | Outcome:
        if not self._told:
            self._told = True
            return b"event: message_start\ndata: {}\n\n"
        if self.then is None:
            await asyncio.Event().wait()
            raise AssertionError
        return self.then

    async def close(self) -> None:
        self.closed += 1


class Streaming(ScriptedUpstream):
    """An upstream whose every stream is this one."""

    def __init__(self, given: Stream) -> None:
        super().__init__()
        self.given = given

    async def stream(self, call: Call) -> Stream | Outcome:
        return self.given


POST = (
    b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: key-one\r\nanthropic-version: 2023-06-01\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(STREAM), STREAM)
)


def test_a_stream_that_breaks_ends_with_an_error_event_and_does_not_look_whole() -> None:
    broken = Breaking(Unknown(error(message="The upstream reset the connection.")))

    async def scene() -> bytes:
        async with serving(World(calls=Streaming(broken)).app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(POST)
            heard = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            return heard

    heard = asyncio.run(scene())
    assert b"transfer-encoding: chunked" in heard
    assert not heard.endswith(b"0\r\n\r\n")
    [told] = [line for line in heard.split(b"\n") if b'"type":"error"' in line]
    assert b"event: error\ndata: " in heard
    envelope = json.loads(told.partition(b"data: ")[2])
    assert envelope["error"] == {"type": "api_error", "message": "The upstream reset the connection."}
    assert f"request-id: {envelope['request_id']}".encode() in heard
    assert broken.closed >= 1


class Pouring(Breaking):
    """A stream that breaks as soon as so much of it waits in our own buffer for a client that does not read."""

    def __init__(self, then: Outcome, unsent: Callable[[], int]) -> None:
        super().__init__(then)
        self.unsent = unsent

    async def read(self) -> bytes | Outcome:
        assert self.then is not None
        return b"event: ping\ndata: %b\n\n" % (b"x" * 2000) if self.unsent() < 20_000 else self.then


def test_a_client_that_reads_late_still_reads_why_its_stream_broke() -> None:
    async def scene() -> bytes:
        pouring = Pouring(Unknown(error(message="The upstream reset the connection.")), lambda: 0)
        async with serving(World(calls=Streaming(pouring)).app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1000)
            while not server.connections:
                await asyncio.sleep(0)
            [ours] = server._state.connections
            pouring.unsent = ours.transport.get_write_buffer_size
            writer.write(POST)
            async with asyncio.timeout(10):
                while not pouring.closed:
                    await asyncio.sleep(0.01)
            heard = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            return heard

    heard = asyncio.run(scene())
    assert len(heard) > 20_000
    assert b"event: error\ndata: " in heard
    assert not heard.endswith(b"0\r\n\r\n")


def test_a_client_that_goes_away_in_mid_stream_closes_it_though_nothing_comes() -> None:
    silent = Breaking(None)

    async def scene() -> None:
        async with serving(World(calls=Streaming(silent)).app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(POST)
            await asyncio.wait_for(reader.readuntil(b"message_start"), 10)
            writer.close()
            async with asyncio.timeout(10):
                while server.busy or not silent.closed:
                    await asyncio.sleep(0.01)

    asyncio.run(scene())
    assert silent.closed >= 1


def simulator() -> Simulator:
    return Simulator(SimulatorSettings(latency=0.0), now=lambda: 0.0)


def test_a_count_of_tokens() -> None:
    world = World(calls=simulator())
    body = b'{"model":"simulator","messages":[{"role":"user","content":"12345678"}]}'

    assert ask(world, body, "/v1/messages/count_tokens").json() == {"input_tokens": 6}
    assert ask(world, b"{}", "/v1/messages/count_tokens").error()[0] == 400


# -- models

IDS = [model.id for model in simulated()]


def page(world: World, query: str) -> tuple[list[str], bool]:
    """The ids of a page and whether more follow, after a look at its ends."""
    told = get(world, f"/v1/models{query}").json()
    ids = [model["id"] for model in told["data"]]
    assert (told["first_id"], told["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
    return ids, told["has_more"]


@pytest.mark.parametrize(
    ("query", "ids", "has_more"),
    [
        ("", IDS[:20], True),
        ("?limit=1000", IDS, False),
        ("?limit=3", IDS[:3], True),
        (f"?limit=3&after_id={IDS[2]}", IDS[3:6], True),
        (f"?after_id={IDS[-3]}", IDS[-2:], False),
        (f"?after_id={IDS[-1]}", [], False),
        (f"?limit=2&before_id={IDS[5]}", IDS[3:5], True),
        (f"?before_id={IDS[2]}", IDS[:2], False),
        (f"?before_id={IDS[0]}", [], False),
        (f"?after_id={IDS[1]}&before_id={IDS[4]}", IDS[2:4], False),
        ("?lifecycle[]=retired", [], False),
        ("?limit=1&lifecycle%5B%5D=active&lifecycle%5B%5D=retired", IDS[:1], True),
    ],
)
def test_models_are_listed_in_pages(query: str, ids: list[str], has_more: bool) -> None:
    assert page(World(calls=simulator()), query) == (ids, has_more)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after_id=nobody", "lifecycle[]=young"])
def test_a_query_that_cannot_be_is_refused(query: str) -> None:
    assert get(World(calls=simulator()), f"/v1/models?{query}").error()[:2] == (400, "invalid_request_error")


MEMBERS = [
    "type",
    "id",
    "display_name",
    "created_at",
    "lifecycle",
    "deprecated_at",
    "retires_at",
    "line",
    "max_input_tokens",
    "max_tokens",
    "capabilities",
]


def test_a_model_has_every_member_and_can_be_batched() -> None:
    model = get(World(calls=simulator()), "/v1/models/claude-sonnet-4-5").json()

    assert list(model) == MEMBERS
    assert model["id"] == "claude-sonnet-4-5-20250929"
    assert model["display_name"] == "Claude Sonnet 4.5 (simulated)"
    assert (model["type"], model["line"], model["created_at"]) == ("model", "sonnet", "2025-09-29T00:00:00.000000Z")
    assert model["capabilities"]["batch"] == {"supported": True}
    assert model["capabilities"]["thinking"]["types"]["adaptive"] == {"supported": False}


def test_a_model_that_is_not_listed_is_not_found() -> None:
    assert get(World(calls=simulator()), "/v1/models/no%2Fbody").error() == (404, "not_found_error", "model: no/body")


def listed_as(listed: object) -> Callable[[str], Reply]:
    models = read_list(json.dumps(listed).encode())
    assert models is not None
    upstream = ScriptedUpstream()
    upstream.listed = models
    return lambda target: get(World(calls=upstream), target)


def test_what_an_upstream_tells_of_its_models_is_kept_and_filled_up() -> None:
    told = {
        "id": "a",
        "created_at": "2026-01-02T05:04:05+02:00",
        "retires_at": "9999-12-31T23:59:59-01:00",
        "max_tokens": 64,
        "lifecycle": "odd",
        "capabilities": {"batch": {"supported": False}, "pdf_input": {"supported": True}, "citations": "yes"},
    }
    ask_for = listed_as({"data": [told, {"id": ""}, {"name": "no id"}, {"id": "b", "max_model_len": 4096}]})

    first, second = ask_for("/v1/models").json()["data"]
    assert list(first) == list(second) == MEMBERS
    assert (first["display_name"], first["created_at"], first["max_tokens"]) == ("a", "2026-01-02T03:04:05.000000Z", 64)
    assert (first["lifecycle"], first["retires_at"]) == ("active", None)
    assert {name: first["capabilities"][name]["supported"] for name in ("batch", "pdf_input", "citations")} == {
        "batch": True,
        "pdf_input": True,
        "citations": False,
    }
    assert (second["max_input_tokens"], second["created_at"]) == (4096, "1970-01-01T00:00:00.000000Z")
    assert ask_for("/v1/models/b").status == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":{}}', b'{"data":[1]}', b"\xff", b"[" * 100_000])
def test_what_is_no_list_of_models_is_none(body: bytes) -> None:
    assert read_list(body) is None


class Failing(ScriptedUpstream):
    """An upstream whose list cannot be had."""

    async def models(self) -> Sequence[ModelInfo] | Outcome:
        return Held(error("authentication_error"))


def test_a_list_that_cannot_be_had_is_an_error() -> None:
    for target in ("/v1/models", "/v1/models/a"):
        assert get(World(calls=Failing()), target).error() == (500, "api_error", HELD)


def test_other_methods_are_named() -> None:
    for method, target in (("GET", "/v1/messages"), ("GET", "/v1/messages/count_tokens"), ("POST", "/v1/models")):
        assert asyncio.run(World().call(method, target)).status == 405
