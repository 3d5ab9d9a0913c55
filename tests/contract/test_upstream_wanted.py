"""A call that is wanted no more when there is a connection is not sent, and the connection serves the next one."""

import asyncio
import json
from collections.abc import Callable

import pytest

from batchyard.domain.outcome import Answered, NotStarted, Outcome
from batchyard.ports import Call, Upstream
from batchyard.testing.fault_kinds import KINDS
from batchyard.testing.faults import FaultServer
from batchyard.upstream.chat_completions import ChatUpstream
from batchyard.upstream.messages import MessagesUpstream

PARAMS = json.dumps({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}).encode()
KINDS_OF_UPSTREAM: dict[str, Callable[[str], Upstream]] = {
    "messages": lambda url: MessagesUpstream(url, None),
    "messages, streamed": lambda url: MessagesUpstream(url, None, streams=True),
    "chat": lambda url: ChatUpstream(url, None),
    "chat, streamed": lambda url: ChatUpstream(url, None, streams=True),
}


@pytest.mark.parametrize("kind", KINDS_OF_UPSTREAM)
def test_it_is_asked_at_the_last_moment_and_costs_nothing(kind: str) -> None:
    asked: list[int] = []

    def is_wanted() -> bool:
        asked.append(server.open_connections)
        return False

    async def scene() -> tuple[Outcome, Outcome]:
        url = await server.start()
        upstream = KINDS_OF_UPSTREAM[kind](url)
        try:
            unwanted = await upstream.attempt(Call(PARAMS, "2023-06-01", is_wanted=is_wanted))
            assert len(server.received) == 0
            return unwanted, await upstream.attempt(Call(PARAMS, "2023-06-01"))
        finally:
            await upstream.close()
            await server.close()

    server = FaultServer(lambda _number: KINDS["good"])
    unwanted, wanted = asyncio.run(asyncio.wait_for(scene(), 30))

    assert isinstance(unwanted, NotStarted)
    assert len(asked) == 1
    assert len(server.received) == 1
    assert not kind.startswith("messages") or isinstance(wanted, Answered)
