"""What a lane that streams promises: one member of the params is set, silence is seen, errors are judged by place."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from batchyard.domain.allowance import Allowance
from batchyard.domain.outcome import Answered, Failed, Held, Hostile, Hung, NotStarted, Outcome, Refused, Unknown
from batchyard.ports import Call
from batchyard.testing import fault_kinds
from batchyard.testing.fault_kinds import GOOD, KINDS, chunked, sends, whole
from batchyard.testing.fault_streams import CHAT_CHUNKS, MESSAGE_EVENTS, chat_chunks, chunk, event, message_events
from batchyard.testing.faults import Fault, FaultServer, Wire, in_turn
from batchyard.upstream.chat_completions import ChatUpstream
from batchyard.upstream.exchange import CallLimits
from batchyard.upstream.messages import MessagesUpstream

KEY = "sk-test-0123456789"
PATIENT = CallLimits(total_seconds=20.0, max_answer_bytes=1_000_000)
PARAMS = b'{ "model":"m", "messages":[{"role":"user","content":"x"}],"max_tokens":5 }'
CHUNKED = [("transfer-encoding", "chunked")]
LAST = b"0\r\n\r\n"
Adapter = MessagesUpstream | ChatUpstream
SPEECHES = {MessagesUpstream: MESSAGE_EVENTS, ChatUpstream: CHAT_CHUNKS}


def loops() -> list[Callable[[], asyncio.AbstractEventLoop]]:
    if sys.platform == "win32":
        return [asyncio.new_event_loop]
    import uvloop

    return [asyncio.SelectorEventLoop, uvloop.new_event_loop]


@pytest.fixture(params=loops(), ids=lambda factory: factory.__module__.partition(".")[0])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    def on_this_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(asyncio.wait_for(coroutine, 30))

    return on_this_loop


Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=[MessagesUpstream, ChatUpstream], ids=["messages", "chat"])
def adapter(request: pytest.FixtureRequest) -> type[Adapter]:
    kind: type[Adapter] = request.param
    return kind


def asked(
    run: Run, adapter: type[Adapter], *faults: Fault, limits: CallLimits = PATIENT, params: bytes = PARAMS, **more: Any
) -> tuple[list[Outcome], FaultServer]:
    """Make a call for each fault; return what they came to, with all connections gone."""
    server = FaultServer(in_turn(faults, KINDS["good"]))

    async def scene() -> list[Outcome]:
        upstream = adapter(await server.start(), KEY, limits, streams=True, **more)
        try:
            return [await upstream.attempt(Call(params, "2023-06-01")) for _ in faults]
        finally:
            await upstream.close()
            await server.close()

    outcomes: list[Outcome] = run(scene())
    assert server.open_connections == 0
    return outcomes, server


def streamed(adapter: type[Adapter], *pieces: bytes, pause: float = 0.0, hangs: bool = False) -> Fault:
    """Return a fault that sends the head of a stream and these pieces, each a chunk of its own."""
    speech = SPEECHES[adapter]

    async def act(wire: Wire) -> None:
        await wire.send(speech.head(headers=CHUNKED))
        for piece in pieces:
            await asyncio.sleep(pause)
            await wire.send(chunked(piece, len(piece)))
        await (wire.hang() if hangs else wire.send(LAST))

    return Fault(act)


def test_only_one_member_of_the_params_is_set(run: Run) -> None:
    good = sends(MESSAGE_EVENTS.whole(MESSAGE_EVENTS.good))
    odd = PARAMS.replace(b'"messages"', b'"n":12345678901234567890123, "messages"')
    asking = odd.replace(b'"n"', b'"stream" : false, "n"')

    _, server = asked(run, MessagesUpstream, good, params=odd)
    _, other = asked(run, MessagesUpstream, good, params=asking)

    assert server.received[0].body == odd[:-1] + b',"stream":true}'
    assert other.received[0].body == asking.replace(b"false", b"true")


def test_a_stream_becomes_the_answer_and_the_connection_is_kept(run: Run, adapter: type[Adapter]) -> None:
    speech = SPEECHES[adapter]
    left = [("x-ratelimit-remaining-requests", "7")]
    good = sends(speech.whole(speech.good, headers=left))

    outcomes, server = asked(run, adapter, good, good)

    assert server.connections == 1
    for outcome in outcomes:
        assert isinstance(outcome, Answered)
        assert (outcome.input_tokens, outcome.output_tokens) == (7, 11)
        assert outcome.allowance == Allowance(requests_left=7)
        message = json.loads(outcome.message)
        assert [block["text"] for block in message["content"]] == [fault_kinds.MESSAGE["content"][0]["text"]]
        assert message["usage"].get("service_tier", "batch") == "batch"


def test_a_server_that_answers_whole_all_the_same_is_believed(run: Run, adapter: type[Adapter]) -> None:
    body = GOOD if adapter is MessagesUpstream else fault_kinds.CHAT.good

    [outcome], _ = asked(run, adapter, sends(whole(body)))

    assert isinstance(outcome, Answered)
    assert outcome.output_tokens == 11


def pings(adapter: type[Adapter]) -> bytes:
    return event("ping") if adapter is MessagesUpstream else b": PROCESSING\n\n"


def test_pings_alone_are_no_first_byte(run: Run, adapter: type[Adapter]) -> None:
    limits = CallLimits(total_seconds=20.0, first_byte_seconds=0.3)
    fault = streamed(adapter, *[pings(adapter)] * 400, pause=0.01)

    [outcome], _ = asked(run, adapter, fault, limits=limits)

    assert isinstance(outcome, Hung)
    assert "not one byte of an answer within 0.3 s" in outcome.error.message


def test_pings_alone_are_no_progress(run: Run, adapter: type[Adapter]) -> None:
    limits = CallLimits(total_seconds=20.0, silence_seconds=0.3)
    begun = message_events()[:4] if adapter is MessagesUpstream else chat_chunks()[:2]
    fault = streamed(adapter, *begun, *[pings(adapter)] * 400, pause=0.01)

    [outcome], _ = asked(run, adapter, fault, limits=limits)

    assert isinstance(outcome, Hung)
    assert "fell silent for 0.3 s" in outcome.error.message


def test_a_slow_stream_that_moves_is_not_hung(run: Run, adapter: type[Adapter]) -> None:
    limits = CallLimits(total_seconds=20.0, first_byte_seconds=0.4, silence_seconds=0.4)
    pieces = message_events() if adapter is MessagesUpstream else [*chat_chunks()]

    [outcome], _ = asked(run, adapter, streamed(adapter, *pieces, pause=0.1), limits=limits)

    assert isinstance(outcome, Answered)


@pytest.mark.parametrize("hung", [True, False])
def test_a_stream_that_never_ends_is_cut_at_its_total_time(run: Run, adapter: type[Adapter], hung: bool) -> None:
    pieces = message_events()[:-1] if adapter is MessagesUpstream else chat_chunks(done=False)

    [outcome], _ = asked(run, adapter, streamed(adapter, *pieces, hangs=hung), limits=CallLimits(total_seconds=0.3))

    assert type(outcome) is (Hung if hung else Unknown)


def error_piece(adapter: type[Adapter], kind: str, words: str) -> bytes:
    if adapter is MessagesUpstream:
        return event("error", error={"type": kind, "message": words})
    return chunk(error={"type": kind, "message": words})


@pytest.mark.parametrize(
    ("kind", "place", "expected"),
    [
        ("overloaded_error", 0, NotStarted),
        ("overloaded_error", 1, NotStarted),
        ("overloaded_error", 4, Failed),
        ("invalid_request_error", 0, Refused),
        ("authentication_error", 0, Held),
        ("api_error", 0, Failed),
    ],
)
def test_an_error_event_is_judged_by_its_place(
    run: Run, adapter: type[Adapter], kind: str, place: int, expected: type[Outcome]
) -> None:
    good = message_events() if adapter is MessagesUpstream else chat_chunks()
    pieces = [*good[:place], error_piece(adapter, kind, f"so it went, {KEY}"), *good[place:]]

    [outcome], _ = asked(run, adapter, streamed(adapter, *pieces))

    assert type(outcome) is expected, outcome
    assert not isinstance(outcome, Answered)
    assert outcome.error.message == "so it went, [key]"


def test_an_endless_stream_is_hostile(run: Run, adapter: type[Adapter]) -> None:
    limits = CallLimits(total_seconds=20.0, max_answer_bytes=2_000)
    begun = message_events()[:2] if adapter is MessagesUpstream else chat_chunks()[:1]
    again = message_events()[3] if adapter is MessagesUpstream else chat_chunks()[1]
    floods = [streamed(adapter, *begun, again * 20_000), streamed(adapter, *begun, pings(adapter) * 100_000)]

    outcomes, _ = asked(run, adapter, *floods, limits=limits)

    assert [type(outcome) for outcome in outcomes] == [Hostile, Hostile]


@pytest.mark.parametrize("keeps", [True, False])
def test_a_server_that_closes_after_a_stream_costs_no_call(run: Run, adapter: type[Adapter], keeps: bool) -> None:
    speech = SPEECHES[adapter]

    async def act(wire: Wire) -> None:
        await wire.send(speech.head(headers=CHUNKED) + chunked(speech.good, 100) + LAST)
        if not keeps:  # as llama.cpp's server does, whose head promised to keep it
            await asyncio.sleep(0.001)
            wire.close()

    server = FaultServer(lambda _: Fault(act))

    async def scene() -> list[Outcome]:
        upstream = adapter(await server.start(), KEY, PATIENT, streams=True)
        slots = asyncio.Semaphore(4)

        async def call() -> Outcome:
            async with slots:
                return await upstream.attempt(Call(PARAMS, "2023-06-01"))

        try:
            return await asyncio.gather(*(call() for _ in range(100)))
        finally:
            await upstream.close()
            await server.close()

    outcomes = run(scene())

    assert {type(outcome) for outcome in outcomes} == {Answered}
    assert server.calls == 100
    assert server.connections == 4 if keeps else server.connections >= 90


@pytest.mark.parametrize(("silent_from", "times"), [(1, 0), (4, 1), (99, 1)])
def test_the_first_token_is_told_once_when_it_has_come(
    run: Run, adapter: type[Adapter], silent_from: int, times: int
) -> None:
    pieces = message_events() if adapter is MessagesUpstream else chat_chunks()
    fault = streamed(adapter, *pieces[:silent_from], hangs=silent_from < len(pieces))
    server = FaultServer(in_turn([fault], KINDS["good"]))
    heard: list[None] = []

    async def scene() -> Outcome:
        upstream = adapter(await server.start(), KEY, CallLimits(total_seconds=0.5), streams=True)
        try:
            return await upstream.attempt(Call(PARAMS, "2023-06-01", heard=lambda: heard.append(None)))
        finally:
            await upstream.close()
            await server.close()

    outcome = run(scene())

    assert len(heard) == times
    assert isinstance(outcome, Answered if silent_from >= len(pieces) else Hung)
