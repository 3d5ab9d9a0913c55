"""What Prometheus reads: events counted as they pass, and the state of things at the moment it asks.

No label carries params, messages, keys or custom_ids. Labels are bounded: upstreams, lanes and workspaces are the
operator's, lanes are at most 256 of each upstream.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import get_args

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from batchyard.domain import call_events, events
from batchyard.domain.events import Event
from batchyard.domain.hook_events import WebhookFailed, WebhookTried
from batchyard.domain.outcome import Outcome
from batchyard.domain.spending import SpendCapped
from batchyard.domain.usage import NO_USAGE

CALL_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
BATCH_BUCKETS = (1, 10, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 48 * 3600)
TURN_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
ANSWER_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30, 60)
DIRECTIONS = ("input", "output", "cache_read", "cache_write")
FATES = ("succeeded", "errored", "canceled", "expired")
HAPPENED = ("created", "cancel_asked", "expired", "ended", "archived", "deleted")
CARRIED = ("made", "sent", "adopted", "collected", "lost")
OUTCOMES = tuple(kind.__name__.lower() for kind in get_args(Outcome))
TROUBLE = (
    events.SettlementRefused,
    events.LaneHeld,
    events.CarrierTrouble,
    events.CarrierStranded,
    events.StoreFailed,
    events.DiskShort,
    events.ClockJumped,
    events.DeadlinesHeld,
    events.DamageFound,
    events.BatchStopped,
    events.BugFound,
    WebhookFailed,
    SpendCapped,
)
"""Events that should not happen, each counted by its name. An alert on one that never was needs a 0 to rise from."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One number as it is now. All of one name have the same labels."""

    name: str
    words: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


class Histogram:
    """Plain numbers: thousands a second are put in."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def filled(self) -> tuple[list[tuple[str, float]], float]:
        """Return the buckets as Prometheus wants them, and the sum."""
        bounds = [*(str(bound) for bound in self._bounds), "+Inf"]
        return list(zip(bounds, accumulate(self._counts), strict=True)), self._sum


class _Upstream(msgspec.Struct):
    """What attempts at one upstream came to."""

    outcomes: Counter[str] = msgspec.field(default_factory=lambda: Counter(dict.fromkeys(OUTCOMES, 0)))
    seconds: Histogram = msgspec.field(default_factory=lambda: Histogram(CALL_BUCKETS))
    tokens: list[int] = msgspec.field(default_factory=lambda: [0] * len(DIRECTIONS))
    repeats: int = 0


class Metrics:
    """Counts what happened. ``render`` makes Prometheus text of it."""

    def __init__(self) -> None:
        self._upstreams: defaultdict[str, _Upstream] = defaultdict(_Upstream)
        self._calls = Counter(dict.fromkeys(OUTCOMES, 0))
        self._call_seconds = Histogram(CALL_BUCKETS)
        self._canaries = Counter(dict.fromkeys(OUTCOMES, 0))
        self._batches = Counter(dict.fromkeys(HAPPENED, 0))
        self._carriers = Counter(dict.fromkeys(CARRIED, 0))
        self._notices = Counter({"delivered": 0, "refused": 0})
        self._batch_seconds = Histogram(BATCH_BUCKETS)
        self._taken = self._reclaimed = 0
        self._results = Counter(dict.fromkeys(FATES, 0))
        self._answers: Counter[tuple[str, str, str]] = Counter()
        self._answer_seconds: defaultdict[tuple[str, str], Histogram] = defaultdict(lambda: Histogram(ANSWER_BUCKETS))
        self._turn_seconds = Histogram(TURN_BUCKETS)
        self._trouble = Counter({name_of(kind): 0 for kind in TROUBLE})
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self._now: Iterable[Gauge] = ()

    def render(self, now: Iterable[Gauge] = ()) -> bytes:
        """Return the exposition text, with what is so at this moment."""
        self._now = now
        return bytes(generate_latest(self._registry))

    def observe(self, event: Event) -> None:
        """Count an event."""
        match event:
            case events.AttemptFinished():
                self._attempted(event)
            case call_events.TurnFinished(seconds=seconds):
                self._turn_seconds.add(seconds)
            case call_events.CallAnswered():
                self._answers[event.method, event.route, str(event.status)] += 1
                self._answer_seconds[event.method, event.route].add(event.seconds)
            case call_events.CallFinished():
                self._calls[event.outcome] += 1
                self._call_seconds.add(event.seconds)
            case call_events.CanaryFinished(outcome=outcome):
                self._canaries[outcome] += 1
            case events.LeasesReclaimed(leases=leases):
                self._reclaimed += leases
            case _ if type(event) in TROUBLE:
                self._trouble[name_of(type(event))] += 1
            case _:
                self._moved(event)

    def _attempted(self, event: events.AttemptFinished) -> None:
        upstream = self._upstreams[event.upstream]
        upstream.outcomes[event.outcome] += 1
        upstream.seconds.add(event.seconds)
        upstream.repeats += event.is_repeat
        used, tokens = event.usage, upstream.tokens
        if used is not NO_USAGE:
            tokens[0] += used.input_tokens
            tokens[1] += used.output_tokens
            tokens[2] += used.cache_read_tokens
            tokens[3] += used.cache_write_tokens

    def _moved(self, event: Event) -> None:
        match event:
            case events.BatchCreated(requests=requests):
                self._batches["created"] += 1
                self._taken += requests
            case events.BatchEnded(counts=counts):
                self._batches["ended"] += 1
                self._batch_seconds.add(event.seconds)
                self._results.update({kind: getattr(counts, kind) for kind in FATES})
            case events.CancelAsked():
                self._batches["cancel_asked"] += 1
            case events.BatchExpired() | events.BatchDeleted() | events.BatchArchived():
                self._batches[name_of(type(event)).removeprefix("batch_")] += 1
            case events.CarrierMade() | events.CarrierSent() | events.CarrierAdopted():
                self._carriers[name_of(type(event)).removeprefix("carrier_")] += 1
            case events.CarrierEnded(how=how):
                self._carriers[how] += 1
            case WebhookTried(status=status):
                self._notices["delivered" if status is not None and 200 <= status < 300 else "refused"] += 1
            case _:
                pass

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they stand; Prometheus' registry calls this."""
        yield from self._of_upstreams()
        yield _counter("batchyard_calls", "Interactive calls that ended.", "outcome", self._calls)
        yield _histogram("batchyard_call_seconds", "How long these took.", [((), self._call_seconds)])
        yield _counter(
            "batchyard_canaries", "Small calls of our own to lanes that were held.", "outcome", self._canaries
        )
        yield _counter("batchyard_batches", "Batches by what happened.", "event", self._batches)
        yield _counter("batchyard_carriers", "Batches at upstreams that take batches.", "event", self._carriers)
        yield _histogram(
            "batchyard_batch_seconds", "From the create to the end of batches.", [((), self._batch_seconds)]
        )
        yield CounterMetricFamily("batchyard_requests_taken", "Requests taken in.", self._taken)
        yield _counter("batchyard_requests", "Requests of ended batches.", "result", self._results)
        answers = CounterMetricFamily(
            "batchyard_http_answers", "Answers to API calls.", labels=["method", "route", "status"]
        )
        for labels, count in self._answers.items():
            answers.add_metric(labels, count)
        yield answers
        yield _histogram(
            "batchyard_http_seconds",
            "From an API call to the first byte of its answer.",
            self._answer_seconds.items(),
            ("method", "route"),
        )
        yield _histogram("batchyard_turn_seconds", "How long commits took.", [((), self._turn_seconds)])
        yield CounterMetricFamily("batchyard_leases_reclaimed", "Leases of dead owners taken back.", self._reclaimed)
        yield _counter("batchyard_trouble", "What should not happen.", "event", self._trouble)
        yield _counter("batchyard_webhooks", "Posts to webhooks.", "outcome", self._notices)
        yield from gauges(self._now)

    def _of_upstreams(self) -> Iterator[Metric]:
        attempts = CounterMetricFamily("batchyard_attempts", "Attempts that ended.", labels=["upstream", "outcome"])
        tokens = CounterMetricFamily(
            "batchyard_tokens", "Tokens by the upstream's count.", labels=["upstream", "direction"]
        )
        repeats = CounterMetricFamily(
            "batchyard_repeats", "Attempts after one that may have been billed.", labels=["upstream"]
        )
        for name, upstream in self._upstreams.items():
            for outcome, count in upstream.outcomes.items():
                attempts.add_metric([name, outcome], count)
            for direction, count in zip(DIRECTIONS, upstream.tokens, strict=True):
                tokens.add_metric([name, direction], count)
            repeats.add_metric([name], upstream.repeats)
        yield from (attempts, tokens, repeats)
        seconds = [((name,), upstream.seconds) for name, upstream in self._upstreams.items()]
        yield _histogram("batchyard_attempt_seconds", "How long attempts took.", seconds, ("upstream",))


def gauges(now: Iterable[Gauge]) -> Iterator[Metric]:
    """Yield a family for each name."""
    families: dict[str, GaugeMetricFamily] = {}
    for gauge in now:
        family = families.get(gauge.name)
        if family is None:
            family = families[gauge.name] = GaugeMetricFamily(gauge.name, gauge.words, labels=list(gauge.labels))
        family.add_metric(list(gauge.labels.values()), gauge.value)
    yield from families.values()


def name_of(kind: type) -> str:
    """``BatchEnded`` -> ``batch_ended``."""
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in kind.__name__).lstrip("_")


def _counter(name: str, words: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, words, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _histogram(
    name: str, words: str, each: Iterable[tuple[tuple[str, ...], Histogram]], labels: tuple[str, ...] = ()
) -> Metric:
    family = HistogramMetricFamily(name, words, labels=labels)
    for values, histogram in each:
        buckets, total = histogram.filled()
        family.add_metric(values, buckets, total)
    return family
