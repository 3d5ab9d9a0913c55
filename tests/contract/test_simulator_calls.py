"""The simulator asked by API callers: streams at their pace, counts, models; and what ends a stream for its watcher."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchyard.domain.outcome import NotStarted, Outcome, Refused
from batchyard.domain.stream import StreamWatch
from batchyard.ports import Call, Stream
from batchyard.testing.time import run_virtual
from batchyard.upstream.simulator import Simulator, SimulatorSettings


def call(words: str = "Hi", **members: Any) -> Call:
    params = {"model": "simulator", "max_tokens": 50, "messages": [{"role": "user", "content": words}], **members}
    return Call(json.dumps(params).encode(), "2023-06-01", batched=False)


def simulator(**settings: Any) -> Simulator:
    return Simulator(SimulatorSettings(**settings), now=lambda: 0.0)


async def read(stream: Stream | Outcome) -> list[tuple[float, str]]:
    """The kinds of all events, and when each came."""
    assert not isinstance(stream, Outcome), stream
    told = []
    while part := await stream.read():
        assert isinstance(part, bytes)
        told.append((asyncio.get_running_loop().time(), part.split(b"\n")[0].removeprefix(b"event: ").decode()))
    return told


def test_a_stream_begins_after_the_latency_and_comes_at_its_pace() -> None:
    told = run_virtual(_streamed(simulator(latency=2.0, tokens_per_second=10.0)), limit=60)

    assert told[0] == (2.0, "message_start")
    assert told[-1][1] == "message_stop"
    assert told[-1][0] == pytest.approx(2.0 + 50 / 10.0)
    deltas = [moment for moment, kind in told if kind == "content_block_delta"]
    assert len(set(deltas)) == len(deltas) > 3


async def _streamed(upstream: Simulator) -> list[tuple[float, str]]:
    return await read(await upstream.stream(call("[[simulate: tokens=50]] Hi", stream=True)))


def test_a_stream_takes_capacity_until_it_ends_or_is_closed() -> None:
    async def main() -> None:
        upstream = simulator(latency=0.0, capacity=1)
        for end in ("read", "close"):
            stream = await upstream.stream(call(stream=True))
            assert not isinstance(stream, Outcome)
            for refused in (await upstream.stream(call(stream=True)), await upstream.attempt(call())):
                assert isinstance(refused, NotStarted)
            await (read(stream) if end == "read" else stream.close())
            await stream.close()
        assert (await read(await upstream.stream(call(stream=True))))[-1][1] == "message_stop"

    asyncio.run(main())


def test_wrong_params_and_wished_failures_come_before_the_first_event() -> None:
    async def main() -> None:
        upstream = simulator(latency=0.0, capacity=1)
        assert isinstance(await upstream.stream(call(stream=True, extra=1)), Refused)
        assert isinstance(await upstream.stream(call("[[simulate: overloaded_error once]]", stream=True)), NotStarted)
        assert isinstance(await upstream.stream(call("[[simulate: api_error]]", stream=True)), Refused)
        assert isinstance(await upstream.count(call()), Refused)
        assert (
            await upstream.count(Call(b'{"model":"simulator","messages":[{"role":"user","content":"12345"}]}', "v"))
            == 6
        )

    asyncio.run(main())


ENDED = [
    b"event: ping\ndata: {}\n\nevent: message_stop\ndata: {}\n\n",
    b'data: {"type": "message_stop"}\r\n\r\n',
    b"event:message_stop\r\ndata:\r\n\r\n",
]
OPEN = [
    b"event: message_stop\ndata: {}\n",
    b'event: x\ndata: {"text": "event: message_stop"}\n\n',
    b'event: x\ndata: {"type":"content_block_delta","text":"\\n\\nevent: message_stop\\n\\n"}\n\n',
    b": event: message_stop\n\n",
    b"event: message_stopped\ndata: {}\n\n",
    b"x" * 1000 + b"event: message_stop\n\n",
]


@given(st.sampled_from([(told, True) for told in ENDED] + [(told, False) for told in OPEN]), st.data())
def test_the_last_event_is_seen_in_any_pieces_and_nowhere_else(told: tuple[bytes, bool], data: st.DataObject) -> None:
    raw, ended = told
    watch, at = StreamWatch(), 0
    while at < len(raw):
        size = data.draw(st.integers(1, len(raw) - at))
        watch.feed(raw[at : at + size])
        at += size

    assert (watch.ended, watch.failed) == (ended, False)


def test_an_error_event_is_seen() -> None:
    for raw in (b"event: error\ndata: {}\n\n", b'data: {"type":"error","error":{}}\n\n'):
        watch = StreamWatch()
        watch.feed(raw)
        assert (watch.ended, watch.failed) == (False, True)
