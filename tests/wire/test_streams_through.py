"""A stream all the way: the official SDK, our server, a slot of a lane, and a model server that may break it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anthropic
import pytest
from anthropic import AsyncAnthropic

from batchyard.dispatch.dispatcher import Dispatcher
from batchyard.dispatch.lanes import Lanes
from batchyard.testing.blobs import MemoryBlobs
from batchyard.testing.fault_kinds import KINDS, chunked, sends, sends_then_hangs, sends_then_resets
from batchyard.testing.faults import Fault, FaultServer, in_turn
from batchyard.upstream.chat_completions import ChatUpstream
from batchyard.upstream.exchange import CallLimits
from batchyard.upstream.messages import MessagesUpstream
from batchyard.upstream.simulated_stream import events
from tests.contract.test_simulator import answer
from tests.contract.test_upstream_chat import SPOKEN
from tests.contract.test_upstream_stream import HEAD, LAST
from tests.wire.world import KEY, SetClock, World, serving

MESSAGE = answer("Tell me of the sea", max_tokens=500)
TOLD = list(events(MESSAGE))
WHOLE = sends(HEAD + chunked(b"".join(TOLD), 64) + LAST)
BEGUN = HEAD + chunked(b"".join(TOLD[:6]) + TOLD[6][:30], 64)


@dataclass
class Way:
    """The client at one end, the model server at the other, and what lies between."""

    client: AsyncAnthropic
    server: FaultServer
    dispatcher: Dispatcher

    async def stream(self) -> list[str]:
        """Make one streamed call and return the kinds of its events."""
        stream = await self.client.messages.create(
            model="simulator", max_tokens=500, messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        return [event.type async for event in stream]


@asynccontextmanager
async def way(
    *faults: Fault, dialect: type[MessagesUpstream] | type[ChatUpstream] = MessagesUpstream
) -> AsyncIterator[Way]:
    """One slot, and a model server that answers like this, then whole."""
    server = FaultServer(in_turn(faults, WHOLE))
    upstream = dialect(await server.start(), "sk-upstream-0123456789", CallLimits(total_seconds=20))
    world, events_seen = World(), list[object]()
    clock = SetClock()
    dispatcher = Dispatcher(
        world.store,
        MemoryBlobs(),
        Lanes.of_one(upstream, 1, clock, events_seen.append),
        clock,
        events_seen.append,
        owner="one",
        jitter=lambda: 0.0,
    )
    world.calls = dispatcher.calls
    try:
        async with (
            serving(world.app) as ours,
            AsyncAnthropic(base_url=ours.url, api_key=KEY, max_retries=0) as client,
        ):
            yield Way(client, server, dispatcher)
    finally:
        await upstream.close()
        await server.close()


async def reached(way: Way) -> None:
    """Wait until the call to the model server is cut and the slot is free."""
    async with asyncio.timeout(10):
        while way.server.open_connections or way.dispatcher.calls.running:
            await asyncio.sleep(0.01)


def test_a_whole_stream_is_the_upstreams_own() -> None:
    async def scene() -> None:
        async with way() as here:
            async with here.client.messages.stream(
                model="simulator", max_tokens=500, messages=[{"role": "user", "content": "Hi"}]
            ) as stream:
                message = await stream.get_final_message()
            assert message.id == MESSAGE["id"]
            assert message.to_dict()["content"] == MESSAGE["content"]
            assert here.dispatcher.calls.running == 0

    asyncio.run(scene())


def test_a_stream_of_chat_completions_is_a_stream_of_a_message_to_the_sdk() -> None:
    chunks = sends(HEAD + chunked(SPOKEN, 64) + LAST)
    torn = sends(HEAD + chunked(SPOKEN[: SPOKEN.index(b"lo")], 64) + LAST)

    async def scene() -> None:
        async with way(chunks, torn, dialect=ChatUpstream) as here:
            async with here.client.messages.stream(
                model="simulator", max_tokens=500, messages=[{"role": "user", "content": "Hi"}]
            ) as stream:
                message = await stream.get_final_message()
            told = [block.to_dict() for block in message.content]
            assert [block["type"] for block in told] == ["thinking", "text", "tool_use"]
            assert (told[1]["text"], told[2]["input"], message.stop_reason) == ("Hello", {"a": 1}, "tool_use")
            assert (message.usage.input_tokens, message.usage.output_tokens) == (9, 3)

            with pytest.raises(anthropic.APIError):
                await here.stream()
            await reached(here)

    asyncio.run(scene())


@pytest.mark.parametrize(
    "fault",
    [
        sends_then_resets(BEGUN),
        sends(BEGUN, then_close=True),
        sends(BEGUN + LAST),
        sends(HEAD + chunked(b"".join(TOLD[:6]), 64) + LAST),
    ],
    ids=["reset", "closed", "half an event", "framed well"],
)
def test_a_break_in_mid_stream_is_the_sdks_error_and_the_next_call_works(fault: Fault) -> None:
    async def scene() -> None:
        async with way(fault) as here:
            with pytest.raises(anthropic.APIStatusError, match="The upstream") as broken:
                await here.stream()
            assert broken.value.body["request_id"] == broken.value.request_id  # type: ignore[index]
            assert (await here.stream())[-1] == "message_stop"

    asyncio.run(scene())


def test_an_error_before_the_first_byte_has_its_status() -> None:
    async def scene() -> None:
        async with way(KINDS["429_seconds"], KINDS["good"]) as here:
            with pytest.raises(anthropic.RateLimitError) as limited:
                await here.stream()
            assert limited.value.response.headers["retry-after"] == "2"
            with pytest.raises(anthropic.InternalServerError, match="stream"):
                await here.stream()
            assert (await here.stream())[-1] == "message_stop"

    asyncio.run(scene())


def test_a_client_that_goes_away_in_mid_stream_cuts_the_upstreams_call() -> None:
    async def scene() -> None:
        async with way(sends_then_hangs(BEGUN)) as here:
            stream = await here.client.messages.create(
                model="simulator", max_tokens=500, messages=[{"role": "user", "content": "Hi"}], stream=True
            )
            assert (await anext(aiter(stream))).type == "message_start"
            assert here.dispatcher.calls.running == here.server.open_connections == 1

            await stream.close()

            await reached(here)
            assert (await here.stream())[-1] == "message_stop"

    asyncio.run(scene())


def test_a_client_that_goes_away_before_the_first_byte_cuts_it_too() -> None:
    async def scene() -> None:
        async with way(sends_then_hangs()) as here:
            asking = asyncio.create_task(here.stream())
            async with asyncio.timeout(10):
                while not here.server.calls:
                    await asyncio.sleep(0.01)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

            await reached(here)

    asyncio.run(scene())
