"""The fault matrix: whatever a server does to HTTP, the outcome is right, nothing is stuck, the next call works.

Each kind runs in every dialect, on asyncio's own loop and on uvloop: transports differ in what they tell, and when.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
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
from batchyard.testing import fault_kinds, fault_streams
from batchyard.testing.fault_kinds import GOOD, KINDS, Speech
from batchyard.testing.faults import Fault, FaultServer, in_turn
from batchyard.upstream.chat_completions import ChatUpstream
from batchyard.upstream.exchange import CallLimits
from batchyard.upstream.messages import MessagesUpstream

PARAMS = b'{"model":"faulty", "max_tokens":5, "n":12345678901234567890123, "messages":[ ]}'
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


@dataclass(frozen=True)
class Dialect:
    """An adapter, the params it is given, what it sends for them, and what its servers say: whole, or as a stream."""

    upstream: type[MessagesUpstream] | type[ChatUpstream]
    params: bytes
    sent: bytes
    speech: Speech
    streams: bool = False

    @property
    def kinds(self) -> dict[str, Fault]:
        return _KINDS[self.speech.good]


CHAT_PARAMS = b'{"model":"faulty", "max_tokens":5, "temperature":0.10, "messages":[{"role":"user","content":"x"}]}'
CHAT_SENT = b'{"model":"faulty","temperature":0.10,"max_tokens":5,"messages":[{"role":"user","content":"x"}]}'
STREAM_SENT = CHAT_SENT[:-1] + b',"stream":true,"stream_options":{"include_usage":true}}'
DIALECTS = {
    "messages": Dialect(MessagesUpstream, PARAMS, PARAMS, fault_kinds.MESSAGES),
    "chat": Dialect(ChatUpstream, CHAT_PARAMS, CHAT_SENT, fault_kinds.CHAT),
    "messages-stream": Dialect(
        MessagesUpstream, PARAMS, PARAMS[:-1] + b',"stream":true}', fault_streams.MESSAGE_EVENTS, streams=True
    ),
    "chat-stream": Dialect(ChatUpstream, CHAT_PARAMS, STREAM_SENT, fault_streams.CHAT_CHUNKS, streams=True),
}
_KINDS = {dialect.speech.good: fault_kinds.kinds(dialect.speech) for dialect in DIALECTS.values()}

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


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return DIALECTS[request.param]


async def attempts(
    dialect: Dialect, script: Callable[[int], Fault], calls: int, limits: CallLimits = PATIENT
) -> tuple[list[Outcome], FaultServer, MessagesUpstream | ChatUpstream]:
    """Make the calls one after the other and close all; the servers and pools are left to be looked at."""
    server = FaultServer(script)
    upstream = dialect.upstream(await server.start(), "sk-test-0123456789", limits, streams=dialect.streams)
    try:
        call = Call(dialect.params, "2023-06-01")
        outcomes = [await upstream.attempt(call) for _ in range(calls)]
    finally:
        await upstream.close()
        await server.close()
    return outcomes, server, upstream


def is_answer(dialect: Dialect, outcome: Outcome) -> bool:
    """Whether it is the good answer: in its own dialect to the byte, from another one as the same Message."""
    if dialect.speech.good == GOOD:
        return outcome == Answered(GOOD, 7, 11)
    assert isinstance(outcome, Answered), outcome
    message = json.loads(outcome.message)
    assert [block["text"] for block in message["content"]] == [fault_kinds.MESSAGE["content"][0]["text"]]
    return (outcome.input_tokens, outcome.output_tokens, message["stop_reason"]) == (7, 11, "end_turn")


def test_the_matrix_is_wide() -> None:
    assert len(MATRIX) == len(KINDS) >= 100
    assert all(dialect.kinds.keys() == KINDS.keys() for dialect in DIALECTS.values())


@pytest.mark.parametrize(("name", "expected"), MATRIX, ids=[name for name, _ in MATRIX])
def test_each_fault_has_its_outcome_and_the_next_call_works(
    run: Run, dialect: Dialect, name: str, expected: type[Outcome]
) -> None:
    limits = HASTY if expected is Hung else PATIENT
    script = in_turn([dialect.kinds[name]], dialect.kinds["good"])

    (outcome, after), server, upstream = run(attempts(dialect, script, 2, limits))

    assert type(outcome) is expected, outcome
    assert is_answer(dialect, after)
    assert server.calls == 2
    assert server.by_body[dialect.sent] >= 1
    assert upstream.connections == server.open_connections == 0
    if isinstance(outcome, Answered):
        assert outcome.input_tokens == 7
        assert b"\n" not in outcome.message
    else:
        assert outcome.error.message


@pytest.mark.parametrize("place", [0, 1, 20, 100, "half", -2, -1])
def test_a_truncated_answer_with_the_right_length_is_unknown(run: Run, dialect: Dialect, place: int | str) -> None:
    good = dialect.speech.good
    cut = good[: len(good) // 2] if isinstance(place, str) else good[:place]
    [outcome], _, _ = run(
        attempts(dialect, in_turn([fault_kinds.sends(dialect.speech.whole(cut))], dialect.kinds["good"]), 1)
    )

    assert isinstance(outcome, Unknown)


def test_an_answer_cut_after_any_byte_is_never_answered(run: Run, dialect: Dialect) -> None:
    answer = dialect.speech.whole(dialect.speech.good)
    cuts = [fault_kinds.sends(answer[:length], then_close=True) for length in range(len(answer))]

    outcomes, server, _ = run(attempts(dialect, in_turn(cuts, dialect.kinds["good"]), len(cuts) + 1))

    assert [type(outcome) for outcome in outcomes] == [Unknown] * len(cuts) + [Answered]
    assert server.calls == len(cuts) + 1


def test_chunks_cut_after_any_byte_are_never_answered(run: Run, dialect: Dialect) -> None:
    pieces = fault_kinds.chunked(dialect.speech.good, 64)
    answer = dialect.speech.head(headers=[("transfer-encoding", "chunked")]) + pieces + b"0\r\n\r\n"
    cuts = [fault_kinds.sends(answer[:length], then_close=True) for length in range(len(answer))]

    outcomes, _, _ = run(attempts(dialect, in_turn(cuts, dialect.kinds["good"]), len(cuts)))

    assert {type(outcome) for outcome in outcomes} == {Unknown}
