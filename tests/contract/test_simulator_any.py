"""Whatever is asked of the simulator: it never raises, answers are valid and always the same."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
from anthropic.types import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from batchyard.domain.outcome import Answered, NotStarted, Outcome, Refused
from batchyard.domain.params import check_count, check_params
from batchyard.domain.result import RequestError
from batchyard.ports import Call
from batchyard.testing.time import VirtualTimeLoop
from batchyard.upstream.simulator import Simulator, SimulatorSettings
from tests.contract.test_simulator import attempt, params, simulator
from tests.contract.test_simulator_content import (
    GIF,
    PDF,
    PNG,
    SENTIMENT,
    SF,
    STOCKS,
    WEATHER,
    notes,
    pdf,
    picture,
    text,
)

JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=9)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=9), inner, max_size=3)),
    max_leaves=6,
)
MARK = {"type": "ephemeral"}
CITED = {"citations": {"enabled": True}}
SAID = st.one_of(
    st.text(min_size=1, max_size=40),
    st.sampled_from(
        [
            SF,
            "Classify as a, b or c",
            "Return JSON with keys a and b",
            "[[simulate: refusal]]",
            "[[simulate:",
            "A" * 9000,
        ]
    ),
)
WELL_FORMED = st.one_of(
    SAID.map(text),
    SAID.map(lambda words: text(words, cache_control=MARK)),
    SAID.map(lambda words: notes(words, **CITED)),
    st.sampled_from([picture(PNG), picture(GIF, "image/gif"), picture(GIF), pdf(PDF, **CITED), pdf(b"x")]),
    st.binary(max_size=60).map(picture),
    st.binary(max_size=60).map(lambda junk: pdf(b"%PDF-" + junk)),
)
BLOCK = st.one_of(WELL_FORMED, JSON)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "system": st.one_of(SAID, st.lists(BLOCK, max_size=2)),
    "tools": st.one_of(st.just([WEATHER, STOCKS]), st.just([WEATHER]), JSON),
    "tool_choice": st.one_of(st.sampled_from(["auto", "any", "none"]).map(lambda kind: {"type": kind}), JSON),
    "thinking": st.one_of(st.just({"type": "enabled", "budget_tokens": 1024}), JSON),
    "output_config": st.one_of(
        st.just({"format": {"type": "json_schema", "schema": SENTIMENT}}),
        JSON.map(lambda junk: {"format": {"type": "json_schema", "schema": {"type": "object", "properties": junk}}}),
        JSON,
    ),
    "stop_sequences": st.one_of(st.lists(st.text(min_size=1, max_size=3), max_size=3), JSON),
    "cache_control": st.one_of(st.just(MARK), JSON),
    "temperature": st.one_of(st.just(1), JSON),
    "mcp_servers": JSON,
    "metadata": JSON,
    "unknown": JSON,
}
CONTENT = st.one_of(SAID, st.lists(BLOCK, min_size=1, max_size=3), JSON)
PARAMS = st.fixed_dictionaries(
    {
        "model": st.one_of(st.sampled_from(["simulator", "claude-haiku-4-5", "claude-opus-5-5", "gpt"]), JSON),
        "max_tokens": st.one_of(st.integers(0, 5000), st.just(2000), JSON),
        "messages": st.one_of(
            CONTENT.map(lambda content: [{"role": "user", "content": content}]),
            st.lists(
                st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": CONTENT}),
                max_size=4,
            ),
            JSON,
        ),
    },
    optional=MEMBERS,
)
RIGHT = st.fixed_dictionaries(
    {
        "model": st.just("claude-haiku-4-5"),
        "max_tokens": st.integers(1, 3000),
        "messages": st.lists(WELL_FORMED, min_size=1, max_size=3).map(
            lambda blocks: [{"role": "user", "content": blocks}]
        ),
    },
    optional={key: MEMBERS[key] for key in ("system", "tools", "tool_choice", "output_config", "stop_sequences")},
)
BETAS = st.lists(st.sampled_from(["mcp-client-2025-11-20", "compact-2026-09-04", "free text"]), max_size=2).map(tuple)


@settings(max_examples=200, deadline=None)
@given(st.one_of(PARAMS, RIGHT), st.sampled_from(["2023-06-01", "2026-10-21"]), BETAS, st.booleans())
def test_any_params_are_answered_or_refused(asked: Any, version: str, betas: tuple[str, ...], batched: bool) -> None:
    raw = msgspec.json.encode(asked)
    outcome = attempt(raw, version=version, betas=betas, batched=batched)

    assert isinstance(outcome, Answered | Refused)
    assert outcome == attempt(raw, version=version, betas=betas, batched=batched)
    if isinstance(outcome, Answered):
        message = json.loads(outcome.message)
        assert Message.model_validate(message).to_dict(mode="json") == message
        assert message["usage"]["output_tokens"] <= asked["max_tokens"]
        assert all(stop not in str(message["content"][-1].get("text")) for stop in [message["stop_sequence"]] if stop)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_error(raw: bytes) -> None:
    assert isinstance(check_params(raw, version="2023-06-01", betas=(), batched=True), RequestError)
    assert isinstance(check_count(raw, version="2023-06-01", betas=()), RequestError)


def test_nesting_as_deep_as_json_allows_is_no_exception() -> None:
    for depth in (50, 200, 500, 900):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        tool = b'[{"name":"weather","input_schema":{"type":"object","properties":{"a":%s}}}]' % deep
        raw = params(SF)[:-1] + b',"tools":' + tool + b"}"
        assert isinstance(attempt(raw), Refused)
        assert isinstance(attempt(raw, version="2026-10-21"), Refused)
        counted = simulator().count_tokens(raw.replace(b'"max_tokens":1000,', b""), "2026-10-21", ())
        assert isinstance(counted, int | RequestError)


def test_a_count_is_what_the_same_request_is_charged() -> None:
    body = json.loads(params([text("What is it?"), picture(PNG)], system="Be brief", tools=[WEATHER]))
    outcome = attempt(json.dumps(body).encode())
    del body["max_tokens"]

    assert isinstance(outcome, Answered)
    assert simulator().count_tokens(json.dumps(body).encode(), "2023-06-01", ()) == outcome.input_tokens
    refused = simulator().count_tokens(b"{}", "2023-06-01", ())
    assert isinstance(refused, RequestError)
    assert refused.message == "model: Field required"


def elapsed(*calls: bytes, **settings: Any) -> tuple[list[Outcome], float]:
    loop = VirtualTimeLoop(1000.0)

    async def all_at_once() -> list[Outcome]:
        upstream = Simulator(SimulatorSettings(**settings), now=loop.time)
        return await asyncio.gather(*[upstream.attempt(Call(raw, "2023-06-01")) for raw in calls])

    try:
        outcomes = loop.run_until_complete(all_at_once())
        return outcomes, round(loop.time(), 6)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_an_answer_takes_its_latency_and_the_time_of_its_tokens() -> None:
    tokens = params("[[simulate: tokens=300]]")

    assert elapsed(tokens, latency=0.5)[1] == 0.5
    assert elapsed(tokens, latency=0.5, tokens_per_second=100.0)[1] == 3.5
    assert elapsed(tokens, tokens, latency=0.5)[1] == 0.5


def test_jitter_varies_the_latency_by_request_within_its_share() -> None:
    took = [elapsed(params(f"question {nth}"), latency=1.0, jitter=0.5)[1] for nth in range(20)]

    assert len(set(took)) > 10
    assert all(0.5 <= seconds <= 1.5 for seconds in took)
    assert elapsed(params("question 0"), latency=1.0, jitter=0.5)[1] == took[0]


def test_a_place_is_free_again_after_an_answer_a_refusal_and_a_cancelled_call() -> None:
    async def one_by_one() -> list[Outcome]:
        upstream = simulator(capacity=1, latency=60.0)
        cut = asyncio.ensure_future(upstream.attempt(Call(params(), "2023-06-01")))
        await asyncio.sleep(0)
        full = await upstream.attempt(Call(params(), "2023-06-01"))
        cut.cancel()
        await asyncio.wait([cut])
        refused = await upstream.attempt(Call(b"{}", "2023-06-01"))
        quick = await upstream.attempt(Call(params("[[simulate: latency=0s]] Hi"), "2023-06-01"))
        return [full, refused, quick]

    assert [type(outcome) for outcome in asyncio.run(one_by_one())] == [NotStarted, Refused, Answered]


SCRIPT = """
import asyncio, sys
from batchyard.ports import Call
from batchyard.upstream.simulator import Simulator, SimulatorSettings
upstream = Simulator(SimulatorSettings(latency=0), now=lambda: 0.0)
for raw in sys.stdin.buffer:
    sys.stdout.write(asyncio.run(upstream.attempt(Call(raw, "2023-06-01"))).message.decode() + "\\n")
"""


def test_another_process_gives_the_same_bytes() -> None:
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in "abcdef"}, "minProperties": 8}
    asked = [
        params(SF, tools=[WEATHER, STOCKS]),
        params("weather stock prices", tools=[WEATHER, STOCKS], tool_choice={"type": "any"}),
        params("x", output_config={"format": {"type": "json_schema", "schema": schema}}),
        params([notes("The grass is green.", **CITED), text("Classify as a, b or c")]),
        params("Return JSON with keys a, b and c"),
    ]
    root = Path(__file__).parents[2]

    def told(seed: str) -> list[bytes]:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root / "src")}
        command = [sys.executable, "-c", SCRIPT]
        done = subprocess.run(command, env=environment, input=b"\n".join(asked), capture_output=True, check=True)
        return done.stdout.splitlines()

    first = told("1")

    assert first == told("2")
    assert len(first) == len(asked)
