"""The fault matrix: whatever a server does to HTTP, the outcome is right, nothing is stuck, the next call works.

Each kind runs on asyncio's own loop and on uvloop: their transports differ in what they tell, and when.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from batchyard.domain.outcome import (
    Answered,
    Failed,
    Held,
    Hostile,
    Hung,
    NotStarted,
    Outcome,
    Refused,
    Unknown,
)
from batchyard.ports import Call
from batchyard.testing import fault_kinds
from batchyard.testing.fault_kinds import GOOD, KINDS
from batchyard.testing.faults import Fault, FaultServer, in_turn
from batchyard.upstream.exchange import CallLimits
from batchyard.upstream.messages import MessagesUpstream

PARAMS = b'{"model":"faulty", "max_tokens":5, "n":12345678901234567890123, "messages":[ ]}'
CALL = Call(PARAMS, "2023-06-01")
PATIENT = CallLimits(total_seconds=20.0, max_answer_bytes=1_000_000, max_header_bytes=16_384)
HASTY = CallLimits(total_seconds=0.15, max_answer_bytes=1_000_000, max_header_bytes=16_384)
EXPECTED: dict[type[Outcome], dict[str, Fault]] = {
    Answered: fault_kinds.WELL,
    Refused: fault_kinds.REFUSED,
    NotStarted: fault_kinds.NOT_STARTED,
    Held: fault_kinds.HELD,
    Failed: fault_kinds.FAILED,
    Unknown: fault_kinds.UNKNOWN,
    Hung: fault_kinds.HUNG,
    Hostile: fault_kinds.HOSTILE,
}
MATRIX = [(name, outcome) for outcome, kinds in EXPECTED.items() for name in kinds]

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


async def attempts(
    script: Callable[[int], Fault], calls: int, limits: CallLimits = PATIENT
) -> tuple[list[Outcome], FaultServer, MessagesUpstream]:
    """Make the calls one after the other and close all; the servers and pools are left to be looked at."""
    server = FaultServer(script)
    upstream = MessagesUpstream(await server.start(), "sk-test-0123456789", limits)
    try:
        outcomes = [await upstream.attempt(CALL) for _ in range(calls)]
    finally:
        await upstream.close()
        await server.close()
    return outcomes, server, upstream


def test_the_matrix_is_wide() -> None:
    assert len(MATRIX) == len(KINDS) >= 100


@pytest.mark.parametrize(("name", "expected"), MATRIX, ids=[name for name, _ in MATRIX])
def test_each_fault_has_its_outcome_and_the_next_call_works(run: Run, name: str, expected: type[Outcome]) -> None:
    limits = HASTY if expected is Hung else PATIENT

    (outcome, after), server, upstream = run(attempts(in_turn([KINDS[name]], KINDS["good"]), 2, limits))

    assert type(outcome) is expected, outcome
    assert after == Answered(GOOD, 7, 11)
    assert server.calls == 2
    assert server.by_body[PARAMS] >= 1
    assert upstream.connections == server.open_connections == 0
    if isinstance(outcome, Answered):
        assert outcome.input_tokens == 7
        assert b"\n" not in outcome.message
    else:
        assert outcome.error.message


@pytest.mark.parametrize("length", [0, 1, 20, 100, len(GOOD) // 2, len(GOOD) - 2])
def test_a_truncated_message_with_the_right_length_is_unknown(run: Run, length: int) -> None:
    [outcome], _, _ = run(attempts(in_turn([fault_kinds.truncated(length)], KINDS["good"]), 1))

    assert isinstance(outcome, Unknown)


def test_an_answer_cut_after_any_byte_is_never_answered(run: Run) -> None:
    answer = fault_kinds.whole()
    cuts = [fault_kinds.sends(answer[:length], then_close=True) for length in range(len(answer))]

    outcomes, server, _ = run(attempts(in_turn(cuts, KINDS["good"]), len(cuts) + 1))

    assert [type(outcome) for outcome in outcomes] == [Unknown] * len(cuts) + [Answered]
    assert server.calls == len(cuts) + 1


def test_chunks_cut_after_any_byte_are_never_answered(run: Run) -> None:
    answer = fault_kinds.head(headers=[("transfer-encoding", "chunked")]) + fault_kinds.chunked(GOOD, 64) + b"0\r\n\r\n"
    cuts = [fault_kinds.sends(answer[:length], then_close=True) for length in range(len(answer))]

    outcomes, _, _ = run(attempts(in_turn(cuts, KINDS["good"]), len(cuts)))

    assert {type(outcome) for outcome in outcomes} == {Unknown}
