"""Events become one JSON line each on standard error, and Prometheus metrics. The core knows nothing of either.

Per-request facts are logged at debug only. No line and no label carries params, messages, keys or custom_ids.
"""

import logging
import sys
import traceback
from dataclasses import fields
from datetime import UTC, datetime
from typing import TextIO

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from batchyard.domain import events
from batchyard.domain.batch import Counts
from batchyard.domain.events import Event

_encode = msgspec.json.Encoder(enc_hook=str).encode

LEVELS: dict[type, int] = {
    events.AttemptStarted: logging.DEBUG,
    events.AttemptFinished: logging.DEBUG,
    events.SettlementRefused: logging.WARNING,
    events.LaneHeld: logging.WARNING,
    events.StoreFailed: logging.ERROR,
    events.DamageFound: logging.ERROR,
    events.BugFound: logging.ERROR,
}
"""Event -> level; those not named here are info."""

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Log:
    """Writes one JSON object a line, whatever is in it: no input can forge a second one."""

    def __init__(self, stream: TextIO | None = None, level: int = logging.INFO) -> None:
        self._stream = stream or sys.stderr
        self.level = level

    def write(self, level: int, event: str, **facts: object) -> None:
        """Write a line with time, level, the event's name and its facts."""
        if level < self.level:
            return
        line = {"time": datetime.now(UTC), "level": logging.getLevelName(level).lower(), "event": event, **facts}
        self._stream.write(_encode(line).decode() + "\n")
        self._stream.flush()


class LogHandler(logging.Handler):
    """Turns the log records of libraries into lines of ours."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.write(record.levelno, "library", logger=record.name, message=record.getMessage())


class Metrics:
    """Counts what happened; ``render`` gives the Prometheus text."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._attempts = Counter("batchyard_attempts", "Attempts that ended.", ["outcome"], registry=registry)
        self._seconds = Histogram(
            "batchyard_attempt_seconds", "How long attempts took.", buckets=_BUCKETS, registry=registry
        )
        self._in_flight = Gauge("batchyard_attempts_in_flight", "Attempts being made.", registry=registry)
        self._tokens = Counter("batchyard_tokens", "Tokens by the upstream's count.", ["direction"], registry=registry)
        self._batches = Counter("batchyard_batches", "Batches by what happened.", ["event"], registry=registry)
        self._requests = Counter("batchyard_requests", "Requests of ended batches.", ["result"], registry=registry)
        self._created = Counter("batchyard_requests_taken", "Requests taken in.", registry=registry)
        self._trouble = Counter("batchyard_trouble", "What should not happen.", ["event"], registry=registry)
        self._input = self._tokens.labels("input")
        self._output = self._tokens.labels("output")

    def render(self) -> bytes:
        """Return the exposition text."""
        return bytes(generate_latest(self._registry))

    def observe(self, event: Event) -> None:
        """Count an event."""
        match event:
            case events.AttemptStarted():
                self._in_flight.inc()
            case events.AttemptFinished():
                self._attempt(event)
            case events.BatchCreated(requests=requests):
                self._batches.labels("created").inc()
                self._created.inc(requests)
            case events.BatchEnded(counts=counts):
                self._batches.labels("ended").inc()
                self._results(counts)
            case events.CancelAsked() | events.BatchExpired() | events.BatchDeleted() | events.BatchArchived():
                self._batches.labels(_name(event)).inc()
            case _ if LEVELS.get(type(event), logging.INFO) > logging.INFO:
                self._trouble.labels(_name(event)).inc()
            case _:
                pass

    def _attempt(self, event: events.AttemptFinished) -> None:
        self._in_flight.dec()
        self._attempts.labels(event.outcome).inc()
        self._seconds.observe(event.seconds)
        self._input.inc(event.input_tokens)
        self._output.inc(event.output_tokens)

    def _results(self, counts: Counts) -> None:
        for name in ("succeeded", "errored", "canceled", "expired"):
            self._requests.labels(name).inc(getattr(counts, name))


class Observer:
    """The ``Emit`` of the product: to the log and to the metrics."""

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self._log, self._metrics = log, metrics

    def __call__(self, event: Event) -> None:
        self._metrics.observe(event)
        level = LEVELS.get(type(event), logging.INFO)
        if level < self._log.level:
            return
        facts = {field.name: getattr(event, field.name) for field in fields(event)}
        if isinstance(event, events.BugFound):
            facts["error"] = type(event.error).__name__
            facts["traceback"] = "".join(traceback.format_tb(event.error.__traceback__))
        self._log.write(level, _name(event), **facts)


def _name(event: Event) -> str:
    """``BatchEnded`` -> ``batch_ended``."""
    name = type(event).__name__
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")
