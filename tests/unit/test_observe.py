"""Logs and metrics: one JSON object a line, nothing secret at info, every event counted."""

import io
import json
import logging
from typing import get_args

import pytest

from batchyard.domain import events
from batchyard.domain.batch import Counts
from batchyard.observe import Log, LogHandler, Metrics, Observer, fields_of

FINISHED = events.AttemptFinished("b", 0, 1, "answered", 0.2, 10, 20)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


def test_a_line_is_one_json_object_whatever_is_in_it() -> None:
    stream = io.StringIO()
    Observer(Log(stream), Metrics())(events.LaneHeld("up", 1.0, 'no"\n{"event": "forged"}\r\n\u2028'))

    [line] = lines(stream)

    assert (line["event"], line["level"]) == ("lane_held", "warning")
    assert line["reason"] == 'no"\n{"event": "forged"}\r\n\u2028'


def test_attempts_are_logged_at_debug_only() -> None:
    quiet, loud = io.StringIO(), io.StringIO()
    Observer(Log(quiet), Metrics())(FINISHED)
    Observer(Log(loud, logging.DEBUG), Metrics())(FINISHED)

    assert lines(quiet) == []
    assert lines(loud)[0]["outcome"] == "answered"


def test_a_bug_is_logged_with_its_place_but_not_with_its_text() -> None:
    stream = io.StringIO()
    try:
        raise ValueError("the prompt of somebody")
    except ValueError as bug:
        Observer(Log(stream), Metrics())(events.BugFound("seal", bug))

    assert "somebody" not in stream.getvalue()
    assert lines(stream)[0]["error"] == "ValueError"
    assert "test_observe.py" in str(lines(stream)[0]["traceback"])


def test_records_of_libraries_become_lines_too() -> None:
    stream = io.StringIO()
    logger = logging.Logger("a.library")
    logger.addHandler(LogHandler(Log(stream)))
    logger.warning("odd %s", "thing")

    assert lines(stream)[0]["message"] == "odd thing"


def test_metrics_tell_what_happened() -> None:
    metrics = Metrics()
    metrics.in_flight = lambda: 7
    for event in (
        FINISHED,
        events.BatchCreated("b", "w", 7),
        events.BatchEnded("b", "w", Counts(succeeded=5, errored=2), 1.0),
        events.CancelAsked("b", "w"),
        events.StoreFailed("commit", "full"),
    ):
        metrics.observe(event)
    text = metrics.render().decode()

    for line in (
        'batchyard_attempts_total{outcome="answered"} 1.0',
        "batchyard_attempts_in_flight 7.0",
        'batchyard_attempt_seconds_bucket{le="0.1"} 0.0',
        'batchyard_attempt_seconds_bucket{le="0.25"} 1.0',
        "batchyard_attempt_seconds_count 1.0",
        'batchyard_tokens_total{direction="output"} 20.0',
        "batchyard_requests_taken_total 7.0",
        'batchyard_requests_total{result="errored"} 2.0',
        'batchyard_batches_total{event="cancel_asked"} 1.0',
        'batchyard_trouble_total{event="store_failed"} 1.0',
    ):
        assert line in text


@pytest.mark.parametrize("kind", get_args(events.Event), ids=lambda kind: kind.__name__)
def test_no_event_has_a_place_for_what_must_not_be_told(kind: type) -> None:
    assert not set(fields_of(kind)) & {"params", "message", "key", "custom_id", "body", "prompt"}
