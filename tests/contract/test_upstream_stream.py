"""What an upstream over HTTP promises of a stream: bytes as they came, no faster than they are read, a break told."""

import asyncio
import json
import random
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from batchyard.domain.outcome import Failed, Held, Hostile, Hung, NotStarted, Outcome, Refused, Unknown
from batchyard.ports import Call, Stream
from batchyard.testing.fault_kinds import GOOD, KINDS, chunked, head, sends, sends_then_hangs, sends_then_resets, whole
from batchyard.testing.faults import Fault, FaultServer, Wire, in_turn
from batchyard.upstream.exchange import CallLimits
from batchyard.upstream.flow import FULL_BYTES
from batchyard.upstream.messages import MessagesUpstream

CALL = Call(b'{"model":"m", "stream":true}', "2023-06-01", ("a-beta",), batched=False)
LIMITS = CallLimits(total_seconds=20.0)


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


WORDS = [event("content_block_delta", index=0, delta={"type": "text_delta", "text": f"ü event: {n}"}) for n in range(9)]
TOLD = b"".join([event("message_start"), event("ping"), *WORDS, event("message_stop")])
TYPE = ("content-type", "text/event-stream; charset=utf-8")
HEAD = head(headers=[("transfer-encoding", "chunked")]).replace(
    b"application/json", b"text/event-stream; charset=utf-8"
)
LAST = b"0\r\n\r\n"
STREAM = sends(HEAD + chunked(TOLD, 100) + LAST)

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def loops() -> list[Callable[[], asyncio.AbstractEventLoop]]:
    if sys.platform == "win32":
        return [asyncio.new_event_loop]
    import uvloop

    return [asyncio.SelectorEventLoop, uvloop.new_event_loop]


@pytest.fixture(params=loops(), ids=lambda factory: factory.__module__.partition(".")[0])
def run(request: pytest.FixtureRequest) -> Run:
    def on_this_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(asyncio.wait_for(coroutine, 30))

    return on_this_loop


Scene = Callable[[MessagesUpstream, FaultServer], Awaitable[None]]


def play(run: Run, scene: Scene, *faults: Fault, limits: CallLimits = LIMITS) -> FaultServer:
    """Run the scene with these answers, then good ones; afterwards no connection may be left."""
    server = FaultServer(in_turn(faults, KINDS["good"]))

    async def whole_scene() -> None:
        upstream = MessagesUpstream(await server.start(), "sk-test-0123456789", limits)
        try:
            await scene(upstream, server)
        finally:
            await upstream.close()
            await server.close()
        assert upstream.connections == 0

    run(whole_scene())
    assert server.open_connections == 0
    return server


async def read(stream: Stream | Outcome) -> tuple[bytes, Outcome | None]:
    """Read to the end; return all bytes, and the outcome of a break."""
    assert not isinstance(stream, Outcome), stream
    told = b""
    while isinstance(part := await stream.read(), bytes):
        if not part:
            assert await stream.read() == b""
            return told, None
        told += part
    assert await stream.read() == part
    return told, part


def test_the_bytes_pass_as_they_came_and_the_connection_is_kept(run: Run) -> None:
    async def scene(upstream: MessagesUpstream, server: FaultServer) -> None:
        assert await read(await upstream.stream(CALL)) == (TOLD, None)
        assert await read(await upstream.stream(CALL)) == (TOLD, None)
        assert server.connections == 1

    server = play(run, scene, STREAM, STREAM)

    assert server.received[0].body == CALL.params
    assert server.received[0].header("anthropic-beta") == "a-beta"


@pytest.mark.parametrize("seed", range(5))
def test_any_pieces_and_any_line_ends_make_the_same_stream(run: Run, seed: int) -> None:
    chance = random.Random(seed)
    told = TOLD.replace(b"\n", b"\r\n") if seed % 2 else TOLD
    raw = HEAD + chunked(told, chance.randint(1, 60)) + LAST
    pieces, at = list[bytes](), 0
    while at < len(raw):
        size = chance.randint(1, 90)
        pieces.append(raw[at : at + size])
        at += size

    async def scene(upstream: MessagesUpstream, _server: FaultServer) -> None:
        assert await read(await upstream.stream(CALL)) == (told, None)

    play(run, scene, sends(*pieces))


def test_a_stream_without_framing_ends_well_only_after_its_last_event(run: Run) -> None:
    plain = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"

    async def scene(upstream: MessagesUpstream, _server: FaultServer) -> None:
        assert await read(await upstream.stream(CALL)) == (TOLD, None)
        told, broken = await read(await upstream.stream(CALL))
        assert isinstance(broken, Unknown)
        assert TOLD.startswith(told)
        assert told.endswith(b"\n\n")

    play(run, scene, sends(plain, TOLD, then_close=True), sends(plain, TOLD[:-3], then_close=True))


BREAKS: dict[str, tuple[Fault, type[Outcome]]] = {
    "reset": (sends_then_resets(HEAD + chunked(TOLD[:500], 100)), Unknown),
    "closed": (sends(HEAD + chunked(TOLD[:500], 100), then_close=True), Unknown),
    "closed before the last chunk": (sends(HEAD + chunked(TOLD, 100), then_close=True), Unknown),
    "framed well but not told to its end": (sends(HEAD + chunked(TOLD[:500], 100) + LAST), Unknown),
    "not HTTP": (sends(HEAD + chunked(TOLD[:500], 100) + b"zz\r\n", then_close=True), Unknown),
    "hangs": (sends_then_hangs(HEAD + chunked(TOLD[:500], 100)), Hung),
    "an error event": (sends(HEAD + chunked(TOLD[:0] + event("error", error={"type": "x"}), 10) + LAST), Failed),
}


@pytest.mark.parametrize(("fault", "expected"), BREAKS.values(), ids=BREAKS)
def test_a_break_in_mid_stream_is_told_after_whole_events(run: Run, fault: Fault, expected: type[Outcome]) -> None:
    async def scene(upstream: MessagesUpstream, _server: FaultServer) -> None:
        told, broken = await read(await upstream.stream(CALL))
        assert type(broken) is expected
        assert told.endswith(b"\n\n")
        assert await read(await upstream.stream(CALL)) == (TOLD, None)

    play(run, scene, fault, STREAM, limits=CallLimits(total_seconds=1.0))


NO_STREAMS: dict[str, type[Outcome]] = {
    "good": Unknown,
    "400": Refused,
    "429_seconds": NotStarted,
    "401": Held,
    "500_json": Failed,
    "close_after_request": Unknown,
    "compressed_200": Hostile,
    "html_200": Unknown,
}


@pytest.mark.parametrize(("name", "expected"), NO_STREAMS.items())
def test_what_is_no_stream_is_judged_before_a_byte_of_it(run: Run, name: str, expected: type[Outcome]) -> None:
    async def scene(upstream: MessagesUpstream, _server: FaultServer) -> None:
        assert isinstance(await upstream.stream(CALL), expected)
        assert await read(await upstream.stream(CALL)) == (TOLD, None)

    play(run, scene, KINDS[name], STREAM)


def test_events_with_an_error_status_are_no_stream(run: Run) -> None:
    async def scene(upstream: MessagesUpstream, _server: FaultServer) -> None:
        assert isinstance(await upstream.stream(CALL), Failed)

    play(run, scene, sends(HEAD.replace(b"200", b"500") + chunked(TOLD, 100) + LAST))


def test_a_reader_who_is_slow_slows_the_upstream_down(run: Run) -> None:
    sent = [0]
    again = chunked(event("content_block_delta", text="x" * 60_000), 70_000)
    most = 32 * 1024 * 1024

    async def pour(wire: Wire) -> None:
        await wire.send(HEAD)
        while sent[0] < most:
            await wire.send(again)
            sent[0] += len(again)
        await wire.send(chunked(event("message_stop"), 100) + LAST)

    async def scene(upstream: MessagesUpstream, _server: FaultServer) -> None:
        stream = await upstream.stream(CALL)
        assert not isinstance(stream, Outcome)
        seen = -1
        while seen != sent[0]:
            seen = sent[0]
            await asyncio.sleep(0.2)
        assert sent[0] < most // 2
        first = await stream.read()
        assert isinstance(first, bytes)
        assert 0 < len(first) <= FULL_BYTES + 200_000

        while part := await stream.read():
            assert isinstance(part, bytes)
        assert sent[0] >= most

    play(run, scene, Fault(pour))


def test_closing_a_stream_cuts_the_call(run: Run) -> None:
    async def scene(upstream: MessagesUpstream, server: FaultServer) -> None:
        stream = await upstream.stream(CALL)
        assert not isinstance(stream, Outcome)
        await stream.read()
        await stream.close()
        await stream.close()
        assert isinstance(await stream.read(), Unknown)
        async with asyncio.timeout(5):
            while server.open_connections:
                await asyncio.sleep(0.01)

    play(run, scene, sends_then_hangs(HEAD + chunked(TOLD[:500], 100)))


def test_closing_a_stream_that_has_ended_leaves_the_connection_to_its_next_call(run: Run) -> None:
    taken, closed = asyncio.Event(), asyncio.Event()

    async def answers_after_the_close(wire: Wire) -> None:
        taken.set()
        await closed.wait()
        await wire.send(whole(GOOD))

    async def scene(upstream: MessagesUpstream, server: FaultServer) -> None:
        ended = await upstream.stream(CALL)
        assert await read(ended) == (TOLD, None)
        assert not isinstance(ended, Outcome)
        running = asyncio.create_task(upstream.attempt(CALL))
        await taken.wait()  # after a stream a connection rests: a call that is only begun is not on it yet
        assert server.connections == 1
        await ended.close()
        closed.set()
        assert type(await running).__name__ == "Answered"

    play(run, scene, STREAM, Fault(answers_after_the_close))


def test_a_call_that_is_cancelled_before_its_head_is_cut(run: Run) -> None:
    async def scene(upstream: MessagesUpstream, server: FaultServer) -> None:
        asking = asyncio.create_task(upstream.stream(CALL))
        async with asyncio.timeout(5):
            while not server.calls:
                await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        async with asyncio.timeout(5):
            while server.open_connections:
                await asyncio.sleep(0.01)
        assert upstream.connections == 0

    play(run, scene, sends_then_hangs())


def test_a_count_is_asked_of_the_upstream(run: Run) -> None:
    async def scene(upstream: MessagesUpstream, _server: FaultServer) -> None:
        assert await upstream.count(CALL) == 17
        for kind in (Refused, Refused, Refused, Refused, Held, Unknown, Unknown):
            assert isinstance(await upstream.count(CALL), kind)

    absent = [sends(whole(b"no", status)) for status in (404, 405, 501)]
    named = KINDS["404_model"]
    odd = [sends(whole(b'{"tokens": 3}')), sends(whole(b'{"input_tokens": -3}'))]
    server = play(run, scene, sends(whole(b'{"input_tokens": 17}')), *absent, named, KINDS["401"], *odd)

    assert server.received[0].head.startswith(b"POST /v1/messages/count_tokens HTTP/1.1\r\n")
    assert server.received[0].body == CALL.params


def test_an_absent_counter_is_named(run: Run) -> None:
    async def scene(upstream: MessagesUpstream, _server: FaultServer) -> None:
        refused = await upstream.count(CALL)
        assert isinstance(refused, Refused)
        assert (refused.error.type, "count_tokens" in refused.error.message) == ("not_found_error", True)

    play(run, scene, KINDS["404_page"])


def test_the_list_of_models_is_kept_for_a_minute_and_a_failure_is_not(run: Run) -> None:
    listed = json.dumps(
        {"object": "list", "data": [{"id": "m1", "object": "model", "created": 1_700_000_000}]}
    ).encode()

    async def scene(upstream: MessagesUpstream, server: FaultServer) -> None:
        assert isinstance(await upstream.models(), Failed)
        assert isinstance(await upstream.models(), Unknown)
        first, second = await asyncio.gather(upstream.models(), upstream.models())
        assert first == second == await upstream.models()
        assert not isinstance(first, Outcome)
        assert [(model.id, model.created_at) for model in first] == [("m1", "2023-11-14T22:13:20.000000Z")]
        assert server.calls == 3

    server = play(run, scene, KINDS["500_json"], sends(whole(GOOD)), sends(whole(listed)))

    assert server.received[0].head.startswith(b"GET /v1/models?limit=1000 HTTP/1.1\r\n")
    assert server.received[0].header("x-api-key") == "sk-test-0123456789"


def test_an_upstream_without_a_list_has_no_models(run: Run) -> None:
    async def scene(upstream: MessagesUpstream, _server: FaultServer) -> None:
        assert await upstream.models() == ()

    play(run, scene, KINDS["404_page"])
