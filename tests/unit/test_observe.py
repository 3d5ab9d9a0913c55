"""Logs and metrics: one JSON object a line, nothing secret at info, every event counted."""

import io
import json
import logging
from typing import get_args

import pytest

from batchyard.domain import events
from batchyard.domain.call_events import CallAnswered
from batchyard.domain.usage import Usage
from batchyard.metrics import TROUBLE, Metrics
from batchyard.observe import LEVELS, Log, LogHandler, Observer, fields_of

FINISHED = events.AttemptFinished("b", 0, 1, "answered", 0.2, "up", "m", Usage(10, 20))


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


def call(method: str, route: str = "/v1/messages/batches/{batch_id}") -> CallAnswered:
    return CallAnswered("req_1", method, route, 200, 0.1, "w", "msgbatch_1")


def test_calls_that_change_something_are_logged_with_their_ids_and_reads_are_not() -> None:
    stream = io.StringIO()
    observe = Observer(Log(stream), Metrics())
    for told in (call("GET"), call("HEAD"), call("POST", "/v1/messages"), call("DELETE")):
        observe(told)

    [line] = lines(stream)
    assert (line["event"], line["method"], line["status"]) == ("call_answered", "DELETE", 200)
    assert (line["request_id"], line["batch"], line["workspace"]) == ("req_1", "msgbatch_1", "w")


def test_a_bug_of_a_call_has_the_id_that_its_caller_was_told() -> None:
    stream = io.StringIO()
    Observer(Log(stream), Metrics())(events.BugFound("GET /", ValueError(), "req_7"))

    assert lines(stream)[0]["request_id"] == "req_7"


def test_what_is_trouble_to_the_log_is_trouble_to_the_metrics() -> None:
    assert {kind for kind, level in LEVELS.items() if level > logging.INFO} == set(TROUBLE)


@pytest.mark.parametrize("kind", get_args(events.Event), ids=lambda kind: kind.__name__)
def test_no_event_has_a_place_for_what_must_not_be_told(kind: type) -> None:
    assert not set(fields_of(kind)) & {"params", "message", "key", "custom_id", "body", "prompt"}


class Broken(io.StringIO):
    """A stream that nothing can be written to any more."""

    def __init__(self, problem: Exception) -> None:
        super().__init__()
        self._problem = problem

    def write(self, _text: str) -> int:
        raise self._problem


@pytest.mark.parametrize(
    "problem", [OSError(28, "No space left on device"), BrokenPipeError(), ValueError("I/O operation on closed file")]
)
def test_a_log_that_cannot_be_written_stops_nobody(problem: Exception) -> None:
    log = Log(Broken(problem))

    Observer(log, Metrics())(FINISHED)
    Observer(log, Metrics())(events.LaneHeld("up", 1.0, "away"))
    LogHandler(log).emit(logging.makeLogRecord({"msg": "a word", "levelno": logging.ERROR}))
