"""A Message as events: the official SDK adds them up to the same Message."""

import json
from typing import Any

import msgspec
import pytest
from anthropic import Anthropic
from anthropic._streaming import SSEDecoder
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from batchyard.upstream.simulated_stream import MOST_DELTAS, events
from tests.contract.test_simulator import answer
from tests.contract.test_simulator_content import PDF, SF, STOCKS, WEATHER, notes, pdf, text

CITED = {"citations": {"enabled": True}}


def told(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the data of every event, read as the SDK reads a stream."""
    read = list(SSEDecoder().iter_bytes(iter([b"".join(events(message))])))
    assert [event.event for event in read] == [json.loads(event.data)["type"] for event in read]
    return [json.loads(event.data) for event in read]


def added_up(message: dict[str, Any]) -> dict[str, Any]:
    snapshot, pieces = None, dict[int, bytes]()
    for event in told(message):
        if event["type"] != "ping":
            typed: Any = TypeAdapter(RawMessageStreamEvent).validate_python(event)
            snapshot = accumulate_event(event=typed, current_snapshot=snapshot, json_bufs=pieces)
    assert snapshot is not None
    return json.loads(snapshot.to_json())  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "message",
    [
        lambda: answer("Hello there"),
        lambda: answer("Grüße, 你好 🎉 and more"),
        lambda: answer(SF, tools=[WEATHER]),
        lambda: answer("weather and stock", tools=[STOCKS, WEATHER], tool_choice={"type": "any"}),
        lambda: answer("Hi", tools=[{"name": "x", "input_schema": {"type": "object"}}], tool_choice={"type": "any"}),
        lambda: answer("Hi", thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000),
        lambda: answer([notes("The grass is green.", title="G", **CITED), pdf(PDF, **CITED), text("Colour?")]),
        lambda: answer("[[simulate: refusal=bio]] Hi"),
        lambda: answer("[[simulate: tokens=20000]] Hi", max_tokens=30000),
        lambda: answer("Hi there", stop_sequences=["model"]),
    ],
)
def test_the_sdk_adds_the_events_up_to_the_same_message(message: Any) -> None:
    whole = message()

    assert added_up(whole) == whole


def test_events_come_in_the_order_of_the_wire() -> None:
    kinds = [event["type"] for event in told(answer("Hi", max_tokens=1))]

    assert kinds == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_a_stream_begins_without_an_end_and_without_output() -> None:
    start = told(answer("Hi"))[0]["message"]

    assert (start["content"], start["stop_reason"], start["usage"]["output_tokens"]) == ([], None, 0)


def test_a_long_block_comes_in_larger_pieces() -> None:
    assert len(told(answer("[[simulate: tokens=20000]]", max_tokens=30000))) <= MOST_DELTAS + 6


def test_a_stream_reads_the_same_over_the_sdks_client() -> None:
    import httpx2

    whole = answer("Hello there")
    body = b"".join(events(whole))

    def respond(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})

    with httpx2.Client(transport=httpx2.MockTransport(respond)) as transport:
        client = Anthropic(api_key="k", base_url="http://simulator.invalid", http_client=transport)
        with client.messages.stream(
            model="simulator", max_tokens=9, messages=[{"role": "user", "content": "Hello there"}]
        ) as stream:
            final = stream.get_final_message()

    assert msgspec.json.decode(final.to_json()) == whole
