"""The scripted upstream keeps to its script and to its own books."""

import asyncio

import pytest

from batchyard.domain.outcome import NotStarted
from batchyard.domain.result import RequestError
from batchyard.ports import Call, Upstream
from batchyard.testing.upstreams import ScriptedUpstream, always, answered, in_turn, per_request

BUSY = NotStarted(RequestError("overloaded_error", "busy"), 1.0)


def call(params: bytes = b"{}") -> Call:
    return Call(params, "2023-06-01")


def test_calls_get_the_steps_of_the_script_in_their_order() -> None:
    upstream = ScriptedUpstream(in_turn([(0.0, BUSY)], then=(0.0, answered("ok"))))

    async def run() -> list[object]:
        return [await upstream.attempt(call()) for _ in range(3)]

    assert asyncio.run(run()) == [BUSY, answered("ok"), answered("ok")]
    assert upstream.repeated == {b"{}": 2}


def test_each_request_has_attempts_of_its_own() -> None:
    upstream = ScriptedUpstream(
        per_request(lambda params, attempt: (0.0, BUSY if attempt < 2 else answered(str(params))))
    )

    async def run() -> list[object]:
        return [await upstream.attempt(call(params)) for params in (b"1", b"2", b"1", b"2")]

    assert asyncio.run(run()) == [BUSY, BUSY, answered("b'1'"), answered("b'2'")]


def test_what_runs_at_once_is_counted() -> None:
    upstream = ScriptedUpstream(always(answered(), seconds=0.01))

    async def run() -> None:
        await asyncio.gather(*(upstream.attempt(call()) for _ in range(4)))
        await upstream.attempt(call())

    asyncio.run(run())
    assert (upstream.most_in_flight, upstream.in_flight, len(upstream.calls)) == (4, 0, 5)
    assert all((seen.ended_at or 0) >= seen.started_at + 0.009 for seen in upstream.calls)


def test_a_cancelled_call_is_marked_as_cut() -> None:
    upstream = ScriptedUpstream(always(answered(), seconds=60))

    async def run() -> None:
        task = asyncio.create_task(upstream.attempt(call()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert upstream.calls[0].cut
    assert upstream.calls[0].outcome is None
    assert upstream.in_flight == 0


def test_it_is_an_upstream() -> None:
    upstream: Upstream = ScriptedUpstream()
    asyncio.run(upstream.close())
    with pytest.raises(AssertionError, match="after close"):
        asyncio.run(upstream.attempt(call()))
