"""Events become one JSON line each on standard error, and are counted. The core knows nothing of either.

Per-request facts are logged at debug only. No line and no label carries params, messages, keys or custom_ids.
"""

import json
import logging
import sys
import traceback
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from batchyard.domain import call_events, events
from batchyard.domain.events import Event
from batchyard.domain.hook_events import WebhookFailed
from batchyard.domain.spending import SpendCapped
from batchyard.metrics import Metrics, name_of

_encode = msgspec.json.Encoder(enc_hook=str).encode

LEVELS: dict[type, int] = {
    events.AttemptFinished: logging.DEBUG,
    call_events.TurnFinished: logging.DEBUG,
    call_events.CallFinished: logging.DEBUG,
    events.SettlementRefused: logging.WARNING,
    SpendCapped: logging.WARNING,
    events.LaneHeld: logging.WARNING,
    events.CarrierTrouble: logging.WARNING,
    events.CarrierStranded: logging.ERROR,
    events.StoreFailed: logging.ERROR,
    WebhookFailed: logging.ERROR,
    events.DiskShort: logging.ERROR,
    events.ClockJumped: logging.WARNING,
    events.DeadlinesHeld: logging.ERROR,
    events.DamageFound: logging.ERROR,
    events.BatchStopped: logging.ERROR,
    events.BugFound: logging.ERROR,
}
"""Event -> level; those not named here are info."""


class Log:
    """Writes one JSON object a line, whatever is in it: no input can forge a second one."""

    def __init__(self, stream: TextIO | None = None, level: int = logging.INFO) -> None:
        self._stream = stream or sys.stderr
        self.level = level

    def write(self, level: int, event: str, **facts: object) -> None:
        """Write a line with time, level, the event's name and its facts. What cannot be written stops nobody's work."""
        if level < self.level:
            return
        line = {"time": datetime.now(UTC), "level": logging.getLevelName(level).lower(), "event": event, **facts}
        text = _on_one_line(_encode(line).decode()) + "\n"
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # a full disk, a reader that went away, a closed stream: nobody is left to tell
            return


def _on_one_line(text: str) -> str:
    """Escape what JSON need not, but a reader may take for the end of a line, or a terminal for a command."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


class LogHandler(logging.Handler):
    """Turns the log records of libraries into lines of ours."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.write(record.levelno, "library", logger=record.name, message=record.getMessage())


def level_of(event: Event) -> int:
    """Return how loud an event is: API calls that only read are many."""
    level = LEVELS.get(type(event))
    if level is not None:
        return level
    return logging.DEBUG if isinstance(event, call_events.CallAnswered) and not event.is_telling else logging.INFO


class Observer:
    """The ``Emit`` of the product: to the log and to the metrics."""

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self._log, self._metrics = log, metrics

    def __call__(self, event: Event) -> None:
        self._metrics.observe(event)
        level = level_of(event)
        if level < self._log.level:
            return
        facts = {name: getattr(event, name) for name in fields_of(type(event))}
        if isinstance(event, events.BugFound):
            facts["error"] = type(event.error).__name__
            frames = traceback.extract_tb(event.error.__traceback__)
            facts["traceback"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        self._log.write(level, name_of(type(event)), **facts)


def fields_of(kind: type[Any]) -> tuple[str, ...]:
    """Return the names of an event's fields; the events of attempts are structs, which are made faster."""
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    return tuple(field.name for field in fields(kind))
