"""docs/simulator.md: every marker in it works, every keyword, format and setting in it is one, and none is missing."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from batchyard.domain.outcome import Answered, Failed, NotStarted, Outcome, Refused
from batchyard.domain.result import ERROR_TYPES
from batchyard.ports import Call
from batchyard.settings import DECLARED
from batchyard.testing.time import VirtualTimeLoop
from batchyard.upstream.simulated_keywords import ANNOTATIONS, ASSERTIONS
from batchyard.upstream.simulated_markers import REFUSAL_CATEGORIES, STOP_REASONS
from batchyard.upstream.simulated_schema import FORMATS
from batchyard.upstream.simulator import Simulator, SimulatorSettings

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
WORDS = " ".join(PAGE.split())
MARKERS = sorted(set(re.findall(r"\[\[simulate: ([^\]]+)\]\]", PAGE)))
SECONDS = {"2s": 2.0, "1s": 1.0, "10m": 600.0, "1h": 3600.0}
TOOL = {"name": "get_weather", "input_schema": {"type": "object"}}


def attempts(marker: str, count: int) -> tuple[list[Outcome], float]:
    """Return the outcomes of so many attempts with the marker, and how long the first took."""
    message = {"role": "user", "content": f"[[simulate: {marker}]] Tell me a story"}
    params = {
        "model": "simulator",
        "max_tokens": 2000,
        "messages": [message],
        "stop_sequences": ["END"],
        "tools": [TOOL],
    }
    call = Call(json.dumps(params).encode(), "2026-10-21")
    loop = VirtualTimeLoop(10_000.0)

    async def all_of_them() -> tuple[list[Outcome], float]:
        upstream = Simulator(SimulatorSettings(latency=0), now=loop.time)
        first = await upstream.attempt(call)
        took = loop.time()
        return [first, *[await upstream.attempt(call) for _ in range(count - 1)]], took

    try:
        return loop.run_until_complete(all_of_them())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def answered(marker: str) -> dict[str, Any]:
    [outcome], _ = attempts(marker, 1)
    assert isinstance(outcome, Answered), outcome
    message: dict[str, Any] = json.loads(outcome.message)
    assert "simulate:" not in str(message["content"])
    return message


def test_the_page_shows_every_marker() -> None:
    shown = {re.split(r"[ =]", marker)[0] for marker in MARKERS}

    assert shown == {*STOP_REASONS, *ERROR_TYPES, "text", "tokens", "latency"}
    assert all(f"`{category}`" in PAGE for category in REFUSAL_CATEGORIES)


@pytest.mark.parametrize("marker", [marker for marker in MARKERS if re.split("=", marker)[0] in STOP_REASONS])
def test_a_marker_of_a_stop_reason_works(marker: str) -> None:
    reason, _, category = marker.partition("=")
    message = answered(marker)

    assert message["stop_reason"] == reason
    assert message["stop_sequence"] == ("END" if reason == "stop_sequence" else None)
    assert (message["stop_details"] or {}).get("category") == (category or None)
    assert (message["stop_details"] is not None) == (reason == "refusal") == (message["content"] == [])
    assert [block["type"] for block in message["content"]][-1:] != ["tool_use"] or reason == "tool_use"
    assert (message["usage"]["output_tokens"] == 1024) == (reason == "max_tokens")


@pytest.mark.parametrize("marker", [marker for marker in MARKERS if marker in ERROR_TYPES])
def test_a_marker_of_an_error_works(marker: str) -> None:
    outcomes, _ = attempts(marker, 5)

    assert all(isinstance(outcome, Refused) and outcome.error.type == marker for outcome in outcomes)


@pytest.mark.parametrize("marker", [marker for marker in MARKERS if marker.endswith((" once", " times"))])
def test_a_marker_of_passing_errors_works(marker: str) -> None:
    kind, how_often = marker.split(" ", 1)
    times = 1 if how_often == "once" else int(how_often.split()[0])
    failure = NotStarted if kind in ("rate_limit_error", "overloaded_error") else Failed
    outcomes, _ = attempts(marker, 2 * times + 2)

    assert [type(outcome) for outcome in outcomes] == 2 * [*[failure] * times, Answered]


@pytest.mark.parametrize("marker", [marker for marker in MARKERS if marker.startswith("latency=")])
def test_a_marker_of_latency_works(marker: str) -> None:
    _, took = attempts(marker, 1)

    assert took == SECONDS[marker.removeprefix("latency=")]


def test_the_markers_of_text_work() -> None:
    assert answered("text=All is well.")["content"][0]["text"] == "All is well."
    assert answered("tokens=500")["usage"]["output_tokens"] == 500


def test_every_marker_of_the_page_was_tried() -> None:
    def is_tried(marker: str) -> bool:
        return (
            marker.split("=", maxsplit=1)[0] in STOP_REASONS
            or marker.split(" ", maxsplit=1)[0] in ERROR_TYPES
            or marker.startswith("latency=")
            or marker in ("text=All is well.", "tokens=500")
        )

    assert [marker for marker in MARKERS if not is_tried(marker)] == []


def test_an_unknown_marker_is_an_error_that_lists_them() -> None:
    [outcome], _ = attempts("refuse", 1)

    assert isinstance(outcome, Refused)
    assert all(reason in outcome.error.message for reason in STOP_REASONS)


def test_the_page_lists_the_keywords_and_formats() -> None:
    section = PAGE.partition("## JSON Schema")[2].partition("## Settings")[0]
    listed = set(re.findall(r"`([^`]+)`", section))

    assert listed == {
        *ASSERTIONS,
        *ANNOTATIONS,
        *FORMATS,
        "output_config.format",
        "input_schema",
        "x-",
        r"\b",
    }


def test_the_page_lists_the_settings_with_their_defaults() -> None:
    listed = re.findall(r"\| `(simulator_\w+)` \| (\S+) \|", PAGE)

    assert listed == [(name, each.default) for name, each in DECLARED.items() if name.startswith("simulator_")]
