"""Events become one JSON line each on standard error, and Prometheus metrics. The core knows nothing of either.

Per-request facts are logged at debug only. No line and no label carries params, messages, keys or custom_ids.
"""

import json
import logging
import sys
import traceback
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, TextIO

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from batchyard.domain import events
from batchyard.domain.events import Event

_encode = msgspec.json.Encoder(enc_hook=str).encode

LEVELS: dict[type, int] = {
    events.AttemptFinished: logging.DEBUG,
    events.CallFinished: logging.DEBUG,
    events.SettlementRefused: logging.WARNING,
    events.LaneHeld: logging.WARNING,
    events.CarrierTrouble: logging.WARNING,
    events.CarrierStranded: logging.ERROR,
    events.StoreFailed: logging.ERROR,
    events.DiskShort: logging.ERROR,
    events.ClockJumped: logging.WARNING,
    events.DeadlinesHeld: logging.ERROR,
    events.DamageFound: logging.ERROR,
    events.BatchStopped: logging.ERROR,
    events.BugFound: logging.ERROR,
}
"""Event -> level; those not named here are info."""

FATES = ("succeeded", "errored", "canceled", "expired")
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


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
        self._stream.write(_on_one_line(_encode(line).decode()) + "\n")
        self._stream.flush()


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


class Metrics:
    """Counts what happened in plain numbers: thousands of attempts a second pass here. ``render`` makes Prometheus
    text of them."""

    def __init__(self) -> None:
        self.in_flight: Callable[[], int] = lambda: 0
        """Asked for the calls being made when the metrics are rendered."""
        self._outcomes: Counter[str] = Counter()
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        self._tokens = [0, 0]
        self._calls: Counter[str] = Counter()
        self._canaries: Counter[str] = Counter()
        self._batches: Counter[str] = Counter()
        self._carriers: Counter[str] = Counter()
        self._taken = 0
        self._results: Counter[str] = Counter()
        self._trouble: Counter[str] = Counter()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self) -> bytes:
        """Return the exposition text."""
        return bytes(generate_latest(self._registry))

    def observe(self, event: Event) -> None:
        """Count an event."""
        match event:
            case events.AttemptFinished():
                self._outcomes[event.outcome] += 1
                self._seconds += event.seconds
                self._buckets[bisect_left(BUCKETS, event.seconds)] += 1
                self._tokens[0] += event.input_tokens
                self._tokens[1] += event.output_tokens
            case events.CallFinished(outcome=outcome):
                self._calls[outcome] += 1
            case events.CanaryFinished(outcome=outcome):
                self._canaries[outcome] += 1
            case events.BatchCreated(requests=requests):
                self._batches["created"] += 1
                self._taken += requests
            case events.BatchEnded(counts=counts):
                self._batches["ended"] += 1
                self._results.update({name: getattr(counts, name) for name in FATES})
            case events.CancelAsked() | events.BatchExpired() | events.BatchDeleted() | events.BatchArchived():
                self._batches[_name(event)] += 1
            case events.CarrierMade() | events.CarrierSent() | events.CarrierAdopted():
                self._carriers[_name(event).removeprefix("carrier_")] += 1
            case events.CarrierEnded(how=how):
                self._carriers[how] += 1
            case _ if LEVELS.get(type(event), logging.INFO) > logging.INFO:
                self._trouble[_name(event)] += 1
            case _:
                pass

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they stand; Prometheus' registry calls this."""
        yield _counter("batchyard_attempts", "Attempts that ended.", "outcome", self._outcomes)
        yield self._histogram()
        yield GaugeMetricFamily("batchyard_attempts_in_flight", "Attempts being made.", self.in_flight())
        tokens = {"input": self._tokens[0], "output": self._tokens[1]}
        yield _counter("batchyard_tokens", "Tokens by the upstream's count.", "direction", tokens)
        yield _counter("batchyard_calls", "Interactive calls that ended.", "outcome", self._calls)
        yield _counter(
            "batchyard_canaries", "Small calls of our own to lanes that were held.", "outcome", self._canaries
        )
        yield _counter("batchyard_batches", "Batches by what happened.", "event", self._batches)
        yield _counter("batchyard_carriers", "Batches at upstreams that take batches.", "event", self._carriers)
        yield CounterMetricFamily("batchyard_requests_taken", "Requests taken in.", self._taken)
        yield _counter("batchyard_requests", "Requests of ended batches.", "result", self._results)
        yield _counter("batchyard_trouble", "What should not happen.", "event", self._trouble)

    def _histogram(self) -> Metric:
        bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._buckets), strict=True))
        return HistogramMetricFamily(
            "batchyard_attempt_seconds", "How long attempts took.", buckets=buckets, sum_value=self._seconds
        )


def _counter(name: str, words: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, words, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


class Observer:
    """The ``Emit`` of the product: to the log and to the metrics."""

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self._log, self._metrics = log, metrics

    def __call__(self, event: Event) -> None:
        self._metrics.observe(event)
        level = LEVELS.get(type(event), logging.INFO)
        if level < self._log.level:
            return
        facts = {name: getattr(event, name) for name in fields_of(type(event))}
        if isinstance(event, events.BugFound):
            facts["error"] = type(event.error).__name__
            frames = traceback.extract_tb(event.error.__traceback__)
            facts["traceback"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        self._log.write(level, _name(event), **facts)


def fields_of(kind: type[Any]) -> tuple[str, ...]:
    """Return the names of an event's fields; the events of attempts are structs, which are made faster."""
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    return tuple(field.name for field in fields(kind))


def _name(event: Event) -> str:
    """``BatchEnded`` -> ``batch_ended``."""
    name = type(event).__name__
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")
